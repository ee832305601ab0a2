"""How a table of readings is read: which column says whose row it is and when, and how the others become sensors.

Found once, when a run is prepared; kept in `data.json` and in the bundle, so that new rows are read in the same way.
Imports numpy and pyarrow only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from lepton_solutions.data.columns import MISSING, Column, Columns, ColumnsJson, as_text
from lepton_solutions.data.times import Clock, read_times
from lepton_solutions.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Layout:
    """unit, time, cycle: names of columns, None where the table has none; at least one of time and cycle, or neither
    where each row is a life. columns: what becomes sensors, a text column as one indicator for each of its levels.
    missing: words that mean a missing value besides the usual ones.
    """

    unit: str | None
    time: str | None
    cycle: str | None
    clock: Clock
    columns: Columns
    missing: tuple[str, ...] = ()

    @property
    def sensors(self) -> tuple[str, ...]:
        """Numbers in their order, then `column=level` for each level of each text column."""
        numbers = [column.name for column in self.columns.numeric]
        return (*numbers, *(f"{c.name}={level}" for c in self.columns.categories for level in c.levels))

    def values(
        self, table: pa.Table | pa.RecordBatch, *, where: str = "the rows", first_row: int = 1
    ) -> NDArray[np.float32]:
        """float32 [n, sensors], NaN where missing; a level that was never seen is 0 in all indicators.

        Raises UserError for an absent column, and for text where numbers are read.
        """
        rows = self.columns.encode(table, where=where, first_row=first_row)
        found = [rows.numeric]
        for column, codes in zip(self.columns.categories, rows.codes.T, strict=True):
            is_level = (codes[:, None] == 2 + np.arange(len(column.levels))).astype(np.float32)
            is_level[codes == MISSING] = np.nan
            found.append(is_level)
        return np.hstack(found)

    def times(
        self, table: pa.Table | pa.RecordBatch, *, where: str = "the rows", first_row: int = 1
    ) -> NDArray[np.float64]:
        """float64 [n], on the clock. Raises UserError for a missing one."""
        name = self.time or self.cycle
        assert name is not None
        column = self._column(table, name, where)
        times = read_times(column, name=name, where=where, first_row=first_row, clock=self.clock)[1]
        if np.isnan(times).any():
            row = first_row + int(np.argmax(np.isnan(times)))
            raise UserError(f"{where}, row {row}, column `{name}`: found nothing, expected a time")
        return times

    def units(
        self, table: pa.Table | pa.RecordBatch, *, where: str = "the rows", first_row: int = 1
    ) -> NDArray[np.str_]:
        """The machine of each row, [n]; one machine `1` where the table has no column of it."""
        if self.unit is None:
            return np.full(len(table), "1")
        text = as_text(self._column(table, self.unit, where))
        if text.null_count:
            row = first_row + int(np.argmax(np.asarray(text.is_null())))
            raise UserError(f"{where}, row {row}, column `{self.unit}`: found nothing, expected the name of a machine")
        return np.asarray(text.to_numpy(zero_copy_only=False), dtype=np.str_)

    def to_json(self) -> dict[str, object]:
        """As plain values for `data.json` and the bundle."""
        return {
            "unit": self.unit,
            "time": self.time,
            "cycle": self.cycle,
            "clock": self.clock.to_json(),
            "columns": self.columns.to_json(),
            "missing": list(self.missing),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, object]) -> Layout:
        """The inverse of `to_json`."""
        return cls(
            cast("str | None", saved["unit"]),
            cast("str | None", saved["time"]),
            cast("str | None", saved["cycle"]),
            TypeAdapter(Clock).validate_python(saved["clock"]),
            Columns.from_json(cast(ColumnsJson, saved["columns"])),
            tuple(cast("list[str]", saved["missing"])),
        )

    @classmethod
    def of_sensors(cls, sensors: Sequence[str], *, unit: str | None, time: str | None, clock: str) -> Layout:
        """Of a fleet that was not read from a table; `name=level` is a level of a text column."""
        numbers = [Column(name, "numeric") for name in sensors if "=" not in name]
        levels: dict[str, list[str]] = {}
        for name in sensors:
            column, divided, level = name.partition("=")
            if divided:
                levels.setdefault(column, []).append(level)
        texts = [Column(name, "category", tuple(known)) for name, known in levels.items()]
        return cls(unit, time, None, Clock(clock, "number"), Columns((*numbers, *texts)))

    def _column(self, table: pa.Table | pa.RecordBatch, name: str, where: str) -> pa.Array | pa.ChunkedArray:
        if name not in table.schema.names:
            raise UserError(f"{where}: column `{name}` is absent; {did_you_mean(name, table.schema.names)}")
        return table.column(name)
