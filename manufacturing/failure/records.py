"""How raw rows become what the step layer reads, and what in them training never saw.

Columns, levels and the clock are those of training (`layout.py`); ranges and regimes are those of its train part. All
of it lies in `inputs.json` of a bundle. Only numpy and pyarrow are imported here, because the predictor imports this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lepton_solutions.data.columns import as_number
from lepton_solutions.deploy.predictor import table_of
from lepton_solutions.errors import UserError, did_you_mean
from manufacturing.failure.fleet import Question
from manufacturing.failure.layout import Layout

MARGIN = 0.1  # of the range seen in training, that a reading may lie outside of it without a word
FACTORS = (1000.0, 100.0, 10.0)  # between units of measure; a reading off by one, within a third of it, is told so
Rows: TypeAlias = Sequence[Mapping[str, object]] | pa.Table | pa.RecordBatch


@dataclass(frozen=True)
class Seen:
    """What training saw of a sensor, raw units: the least, the greatest and the usual (median) value."""

    low: float
    high: float
    usual: float

    def told(self, name: str, value: float) -> str:
        """What is unusual about a value outside."""
        found = f"`{name}`: {value:.6g}, outside {self.low:.6g} to {self.high:.6g} seen in training"
        ratio = abs(value / self.usual) if self.usual and value else 1.0
        for factor in FACTORS:
            for times, word in ((factor, "times"), (1 / factor, "of")):
                if 2 / 3 < ratio / times < 1.5:
                    part = f"about {factor:g} times" if word == "times" else f"about 1/{factor:g} of"
                    return f"{found}; {part} the usual: another unit of measure?"
        return found


@dataclass(frozen=True)
class Regimes:
    """How the machines were run in training. columns: which sensors are settings; centres: [k, settings], raw units;
    scale: [settings], of a difference; radius: the greatest distance of a row of training from its nearest centre.
    """

    columns: tuple[int, ...]
    centres: tuple[tuple[float, ...], ...]
    scale: tuple[float, ...]
    radius: float

    def distance(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of rows [n, S] from the nearest centre, in scales; NaN where a setting is missing."""
        scale = np.array(self.scale)
        settings = values[:, self.columns].astype(np.float64) / scale
        between = settings[:, None] - np.array(self.centres)[None] / scale
        return np.sqrt((between**2).sum(2)).min(1)


@dataclass(frozen=True)
class Records:
    """Rows as numbers. time: float64 [n], on the clock of training; NaN where rows are counted. values: float32 [n, S],
    raw, NaN where nothing was read. units: whose row each is, where the table says so. cycle: int64 [n], the cycle that
    a row belongs to, where several rows make one. where, first_row: what messages call the table and its first row.
    """

    time: NDArray[np.float64]
    values: NDArray[np.float32]
    units: list[str] | None
    cycle: NDArray[np.int64] | None
    where: str
    first_row: int

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class Inputs:
    """What serving has to know: `inputs.json`.

    seen: of each sensor, None where the network reads nothing of it. first: [D], a unit's state before any row. window:
    W. sources: [F], the sensor that each feature comes from, -1 for the age. grid: width of a cell on the clock, None:
    every row counts.
    """

    question: Question
    layout: Layout
    seen: tuple[Seen | None, ...]
    regimes: Regimes | None
    window: int
    sources: tuple[int, ...]
    first: tuple[float, ...]
    grid: float | None
    clock: str

    @property
    def sensors(self) -> tuple[str, ...]:
        return self.layout.sensors

    @property
    def features(self) -> int:
        """F."""
        return len(self.sources)

    @property
    def in_cells(self) -> bool:
        """Whether several rows can make one."""
        return self.grid is not None or self.layout.cycle is not None

    @property
    def alone(self) -> bool:
        """Whether each row is a unit of its own, as of products."""
        return self.layout.unit is None and self.layout.time is None and self.layout.cycle is None

    def told_time(self, time: float) -> float | str:
        """A time as its user writes it."""
        return time if self.layout.clock.kind == "number" else self.layout.clock.told(time)

    def first_state(self) -> NDArray[np.float32]:
        return np.array(self.first, np.float32)

    def follows(self, before: NDArray[np.float64], time: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether a time may come after another, bool [n]: it rises, but for the rows of one cycle."""
        same = self.layout.cycle is not None and self.layout.time is None
        return (time >= before) if same else (time > before)

    def records(self, rows: Rows, *, where: str = "the rows", first_row: int = 1) -> Records:
        """Rows by column name as numbers; further columns are passed over.

        Raises UserError that names a missing column, and the row whose value is no number or no time.
        """
        short = None if isinstance(rows, pa.Table | pa.RecordBatch) else self._short(rows)
        if short is not None:
            return short
        table = rows if isinstance(rows, pa.Table | pa.RecordBatch) else table_of(rows, self.layout.missing)
        layout, told = self.layout, table.schema.names
        values = layout.values(self._padded(table), where=where, first_row=first_row)
        units = layout.units(table, where=where, first_row=first_row).tolist() if layout.unit in told else None
        if layout.time is None and layout.cycle is None:
            return Records(np.full(len(values), np.nan), values, units, None, where, first_row)
        time = layout.times(table, where=where, first_row=first_row)
        if layout.cycle is None:
            return Records(time, values, units, None, where, first_row)
        if layout.cycle not in told:
            raise UserError(f"{where}: column `{layout.cycle}` is absent; {did_you_mean(layout.cycle, told)}")
        numbers = as_number(table.column(layout.cycle), name=layout.cycle, where=where, first_row=first_row)
        if np.isnan(numbers).any():
            row = first_row + int(np.argmax(np.isnan(numbers)))
            raise UserError(f"{where}, row {row}, column `{layout.cycle}`: found nothing, expected a cycle's number")
        return Records(time, values, units, np.floor(numbers).astype(np.int64), where, first_row)

    def _short(self, rows: Sequence[Mapping[str, object]]) -> Records | None:
        """Plain numbers by name without a table between, which costs most of a call for one row; None where a value
        needs the long way, or is refused by it."""
        layout = self.layout
        if layout.columns.categories or layout.clock.kind != "number" or layout.cycle is not None or not len(rows):
            return None
        names = layout.sensors if layout.time is None else (*layout.sensors, layout.time)
        try:
            found = np.array([[row[name] for name in names] for row in rows], np.float64)
            unit = layout.unit
            units = [str(row[unit]) for row in rows] if unit is not None and unit in rows[0] else None
        except (KeyError, TypeError, ValueError):
            return None
        time = np.full(len(rows), np.nan) if layout.time is None else found[:, -1]
        values = found[:, : len(layout.sensors)].astype(np.float32)
        if np.isinf(values).any() or (layout.time is not None and not np.isfinite(time).all()):
            return None
        return Records(time, values, units, None, where="the rows", first_row=1)

    def _padded(self, table: pa.Table | pa.RecordBatch) -> pa.Table | pa.RecordBatch:
        """With an empty column for each that the network reads nothing of: nobody has to give those."""
        idle = {name for name, seen in zip(self.sensors, self.seen, strict=True) if seen is None}
        for name in sorted(idle & set(self.layout.columns.names) - set(table.schema.names)):
            table = table.append_column(name, pa.nulls(len(table), pa.float64()))
        return table

    def unusual(self, values: NDArray[np.float32]) -> list[list[str]]:
        """Of raw rows [n, S], what is unlike training: readings out of range, unknown levels, a new regime."""
        told: list[list[str]] = [[] for _ in range(len(values))]
        low, high = self._limits
        with np.errstate(invalid="ignore"):
            outside = (values < low) | (values > high)
        for row, column in zip(*(found.tolist() for found in np.nonzero(outside)), strict=True):
            seen = self.seen[column]
            assert seen is not None
            told[row].append(seen.told(self.sensors[column], float(values[row, column])))
        for name, columns in self._indicators.items():
            for row in np.flatnonzero((values[:, columns] == 0).all(1)).tolist():
                told[row].append(f"`{name}`: a value never seen in training")
        if self.regimes is not None:
            for row in np.flatnonzero(self.regimes.distance(values) > (1 + MARGIN) * self.regimes.radius).tolist():
                settings = ", ".join(f"{self.sensors[i]} {values[row, i]:.6g}" for i in self.regimes.columns)
                told[row].append(f"run as never in training: {settings}")
        return told

    @cached_property
    def _limits(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        low = [-np.inf if one is None else one.low - MARGIN * (one.high - one.low) for one in self.seen]
        high = [np.inf if one is None else one.high + MARGIN * (one.high - one.low) for one in self.seen]
        return np.array(low, np.float32), np.array(high, np.float32)

    @cached_property
    def _indicators(self) -> dict[str, list[int]]:
        """Of each category, which sensors are its levels."""
        place = {name: column for column, name in enumerate(self.sensors)}
        return {
            column.name: [place[f"{column.name}={level}"] for level in column.levels]
            for column in self.layout.columns.categories
        }

    def to_json(self) -> dict[str, object]:
        return {
            "question": self.question,
            "layout": self.layout.to_json(),
            "seen": [None if one is None else [one.low, one.high, one.usual] for one in self.seen],
            "regimes": None
            if self.regimes is None
            else {
                "columns": list(self.regimes.columns),
                "centres": [list(centre) for centre in self.regimes.centres],
                "scale": list(self.regimes.scale),
                "radius": self.regimes.radius,
            },
            "window": self.window,
            "sources": list(self.sources),
            "first": [None if np.isnan(value) else value for value in self.first],
            "grid": self.grid,
            "clock": self.clock,
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Inputs:
        """The inverse of `to_json`."""
        regimes = saved["regimes"]
        return cls(
            question=saved["question"],
            layout=Layout.from_json(saved["layout"]),
            seen=tuple(None if one is None else Seen(*one) for one in saved["seen"]),
            regimes=None
            if regimes is None
            else Regimes(
                tuple(regimes["columns"]),
                tuple(tuple(centre) for centre in regimes["centres"]),
                tuple(regimes["scale"]),
                regimes["radius"],
            ),
            window=saved["window"],
            sources=tuple(saved["sources"]),
            first=tuple(float("nan") if value is None else value for value in saved["first"]),
            grid=saved["grid"],
            clock=saved["clock"],
        )
