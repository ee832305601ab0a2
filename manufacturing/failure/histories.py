"""The user's own histories: a table with a row a reading, from CSV, Parquet or JSON lines.

    ts,machine,pressure,type,failed_at          data.unit=machine data.time=ts data.failure=failed_at
    ts,machine,pressure,type,what               data.unit=machine data.time=ts data.event=what
    pressure,type,broken                        data.label=broken: each row is a machine of its own

Every other column is a sensor: a number, or a text of which each level becomes an indicator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lepton_solutions.data.columns import Column, Columns, as_text, is_number_text, is_text, plain_values
from lepton_solutions.data.tables import read_table
from lepton_solutions.data.times import Clock, read_times
from lepton_solutions.errors import UserError, did_you_mean
from manufacturing.failure.fleet import NOT_GIVEN, Fleet, Question
from manufacturing.failure.grid import Cells, to_cycles, to_grid
from manufacturing.failure.layout import Layout
from manufacturing.failure.lives import Lives, by_dates, by_events, without_end
from manufacturing.failure.settings import Histories

MOST_LEVELS = 32  # of a text column that becomes indicators; more are names, and names say nothing of the next machine
HEALTHY = ("0", "no", "false", "healthy", "normal", "good", "ok")  # the label of two that is no failure


def own_histories(data: Histories) -> tuple[Fleet, Layout]:
    """The table at `data.path`, and how further rows of it are read. Raises UserError for what cannot be meant."""
    if data.path is None:
        raise UserError(
            "no histories: `data=own_histories` needs the path of a table",
            hint="data.path=rows.csv data.unit=machine data.time=ts data.failure=failed_at",
        )
    return fleet_of(read_table(data.path, missing=data.missing), data, where=data.path)


def fleet_of(table: pa.Table, data: Histories, *, where: str) -> tuple[Fleet, Layout]:
    """A table in memory. where: what messages call it."""
    _check_names(table.column_names, data, where)
    sorted_rows, layout = _read(table, data, where)
    lives = _lives(table, data, sorted_rows, layout.clock, where)
    label, labels = _label(table, data, sorted_rows, where)
    columns = {column.name for column in layout.columns.columns}
    dropped = [name for name in table.column_names if name not in columns | _roles(data) | {*data.ignore}]
    notes = list(lives.notes)
    if dropped and data.sensors is None:
        notes.append(f"columns that are not read, dates or texts of over {MOST_LEVELS} levels: {', '.join(dropped)}")
    kept = np.flatnonzero(lives.kept)
    starts = np.append(np.flatnonzero(lives.begins[kept]), len(kept)).astype(np.int64)
    rows = sorted_rows.take(kept)
    end = rows.time[starts[1:] - 1]
    fleet = Fleet(
        name=where,
        question=_question(data, labels),
        sensors=layout.sensors,
        values=layout.values(table, where=where)[rows.row],
        time=rows.time,
        starts=starts,
        unit=rows.names[rows.unit[starts[:-1]]],
        failed_at=lives.failed_at,
        seen_until=np.fmax(end, np.where(np.isnan(lives.failed_at), end, lives.failed_at)),
        part=np.full(len(starts) - 1, NOT_GIVEN, np.int8),
        clock=layout.clock.unit,
        vibration=data.vibration,
        label=None if label is None else label[kept],
        labels=labels,
        mode=lives.mode,
        modes=lives.modes,
        settings=tuple(name for name in layout.sensors if name.partition("=")[0] in (data.settings or ())),
        notes=tuple(notes),
    )
    return _resampled(fleet, rows, data, where), layout


@dataclass(frozen=True)
class _Rows:
    """Rows in the order of their machines, each in that of the file. row: where each stands in the table. unit: codes
    into `names`. cycle: of a table that has a column of it.
    """

    row: NDArray[np.int64]
    unit: NDArray[np.int64]
    names: NDArray[np.str_]
    time: NDArray[np.float64]
    cycle: NDArray[np.float64] | None

    def take(self, which: NDArray[np.int64]) -> _Rows:
        cycle = None if self.cycle is None else self.cycle[which]
        return _Rows(self.row[which], self.unit[which], self.names, self.time[which], cycle)


def _roles(data: Histories) -> set[str]:
    roles = (data.unit, data.time, data.cycle, data.failure, data.event, data.label)
    return {name for name in roles if name is not None}


def _check_names(present: list[str], data: Histories, where: str) -> None:
    asked = [(f"data.{key}", getattr(data, key)) for key in ("unit", "time", "cycle", "failure", "event", "label")]
    asked += [(f"data.{key}", name) for key in ("sensors", "settings", "ignore") for name in getattr(data, key) or ()]
    for key, name in asked:
        if name is not None and name not in present:
            raise UserError(f"{where}: found no column `{name}`, which `{key}` names; {did_you_mean(name, present)}")
    if data.failure is not None and data.event is not None:
        raise UserError(
            "`data.failure` and `data.event` are both set, and each of them ends lives", hint="leave one of them out"
        )
    if data.events and data.event is None:
        raise UserError("`data.events` is set without `data.event`, the column whose values it explains")
    if data.grid is not None and (data.cycle is not None or data.time is None):
        raise UserError(
            f"data.grid={data.grid:g}: readings are brought to a grid by `data.time`, "
            + ("which is not set" if data.cycle is None else "and `data.cycle` makes each cycle one row already"),
            hint="leave one of them out" if data.cycle is not None else "data.time=COLUMN",
        )
    if (data.failure or data.event) and data.unit is None and data.time is None and data.cycle is None:
        raise UserError(
            "failures are dates of machines, but neither `data.unit` nor `data.time` is set",
            hint="data.unit=COLUMN data.time=COLUMN; a column that says of each row whether it failed is `data.label`",
        )


def _read(table: pa.Table, data: Histories, where: str) -> tuple[_Rows, Layout]:
    columns = _columns(table, data, where)
    series = data.unit is not None or data.time is not None or data.cycle is not None
    ticked = data.time or data.cycle
    unit_of_clock = "cycles" if data.time is None and data.cycle is not None else "steps"
    clock = Clock(unit_of_clock, "number")
    if ticked is not None:
        clock = read_times(table.column(ticked), name=ticked, where=where, unit=unit_of_clock)[0]
    layout = Layout(data.unit, data.time, data.cycle, clock, columns, data.missing)
    if not series:
        n = len(table)
        names = np.array([f"row {number}" for number in range(1, n + 1)])
        return _Rows(np.arange(n), np.arange(n), names, np.zeros(n), None), layout
    names, unit = np.unique(layout.units(table, where=where), return_inverse=True)
    order = np.argsort(unit, kind="stable")
    unit = unit[order].astype(np.int64)
    if ticked is None:
        begin = np.flatnonzero(np.append(True, unit[1:] != unit[:-1]))
        time = (np.arange(len(unit)) - np.repeat(begin, np.diff(np.append(begin, len(unit))))).astype(np.float64)
    else:
        time = layout.times(table, where=where)[order]
    cycle = None
    if data.cycle is not None:
        cycle = read_times(table.column(data.cycle), name=data.cycle, where=where)[1][order]
    rows = _Rows(order.astype(np.int64), unit, names, time, cycle)
    if ticked is not None:
        _check_order(rows, clock, ticked, where, twice=cycle is not None)
    return rows, layout


def _columns(table: pa.Table, data: Histories, where: str) -> Columns:
    """What becomes a sensor, and whether it is a number or a text."""
    taken = _roles(data) | {*data.ignore}
    names = [name for name in table.column_names if name not in taken] if data.sensors is None else [*data.sensors]
    if data.sensors is not None:
        names += [name for name in data.settings or () if name not in names]
    found = []
    for name in names:
        values = plain_values(table.column(name))
        if "=" in name:
            raise UserError(
                f"{where}: column `{name}` holds a `=`, which stands between a text column and its level",
                hint=f"rename it, such as `{name.replace('=', ' ')}`, or leave it out by data.ignore",
            )
        if is_text(values.type) and not is_number_text(values).all():
            levels = tuple(sorted(set(pc.unique(as_text(values)).to_pylist()) - {None}))
            if len(levels) <= MOST_LEVELS:
                found.append(Column(name, "category", levels))
            elif data.sensors is not None:
                readable = is_number_text(values)
                row = int(np.argmin(readable))
                text = values[row].as_py()
                raise UserError(
                    f"{where}, row {row + 1}, column `{name}`: found `{text}`, expected a number; "
                    f"{int((~readable).sum()):,} rows are like it",
                    hint=f"data.missing=[{text}] reads it as missing; texts have {MOST_LEVELS} levels at most",
                )
        elif not pa.types.is_temporal(values.type):
            found.append(Column(name, "numeric"))
    if not found:
        raise UserError(f"{where}: found no column of readings beside {', '.join(sorted(taken))}")
    return Columns(tuple(found))


def _check_order(rows: _Rows, clock: Clock, column: str, where: str, *, twice: bool) -> None:
    """Time has to rise within each machine. twice: equal times are rows of one cycle."""
    same = rows.unit[1:] == rows.unit[:-1]
    step = np.diff(rows.time)
    wrong = same & ((step < 0) if twice else (step <= 0))
    if wrong.any():
        at = np.flatnonzero(wrong)
        at = at[np.argmin(rows.row[at + 1])]
        machine, before, now = rows.names[rows.unit[at]], clock.told(rows.time[at]), clock.told(rows.time[at + 1])
        place = f"{where}, row {rows.row[at + 1] + 1}, column `{column}`, machine `{machine}`"
        more = f"; {int(wrong.sum()):,} rows are like it" if wrong.sum() > 1 else ""
        if rows.time[at] == rows.time[at + 1]:
            raise UserError(
                f"{place}: found {now} twice (row {rows.row[at] + 1} has it too), expected each time once{more}",
                hint="rows that belong together are averaged where `data.cycle` names their cycle",
            )
        raise UserError(
            f"{place}: found {now} after {before} (row {rows.row[at] + 1}), expected time to go forward{more}",
            hint="sort the rows of each machine by time; a clock that was set back has to be mended first",
        )


def _lives(table: pa.Table, data: Histories, rows: _Rows, clock: Clock, where: str) -> Lives:
    if data.failure is not None:
        failure = read_times(table.column(data.failure), name=data.failure, where=where, clock=clock)[1][rows.row]
        place = f"{where}, column `{data.failure}`"
        return by_dates(rows.unit, rows.time, failure, names=rows.names, place=place, clock=clock)
    if data.event is not None:
        event = as_text(table.column(data.event)).to_numpy(zero_copy_only=False)[rows.row]
        place = f"{where}, column `{data.event}`"
        return by_events(rows.unit, rows.time, event, data.events, row=rows.row + 1, place=place)
    return without_end(rows.unit)


def _label(
    table: pa.Table, data: Histories, rows: _Rows, where: str
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """int64 [rows], -1 where unknown, and the names; of two the failure is the last: not `HEALTHY`, or the rarer."""
    if data.label is None:
        return None, ()
    text = as_text(table.column(data.label))
    counted = {one["values"]: one["counts"] for one in pc.value_counts(text.drop_null()).to_pylist()}
    if len(counted) < 2:
        found = ", ".join(f"`{name}`" for name in counted) or "nothing"
        raise UserError(
            f"{where}, column `{data.label}`: found {found} in all rows, expected two labels or more",
            hint="question=health needs no label: it learns what healthy readings look like",
        )
    if len(counted) > MOST_LEVELS * 8:
        raise UserError(
            f"{where}, column `{data.label}`: found {len(counted):,} different values, expected the names of faults",
            hint="a column of dates or cycles at which a machine failed is `data.failure`",
        )
    names = sorted(counted)
    if len(names) == 2:
        healthy = [name for name in names if name.casefold() in HEALTHY]
        first = healthy[0] if len(healthy) == 1 else max(names, key=lambda name: counted[name])
        names.sort(key=lambda name: name != first)
    codes = pc.index_in(text, value_set=pa.array(names, pa.string())).fill_null(-1)
    return np.asarray(codes, dtype=np.int64)[rows.row], tuple(names)


def _question(data: Histories, labels: tuple[str, ...]) -> Question:
    if data.failure is not None or data.event is not None or not labels:
        return "rul"  # without any failure `prepare.question_of` says what can be asked
    return "failure" if len(labels) == 2 else "diagnosis"


def _resampled(fleet: Fleet, rows: _Rows, data: Histories, where: str) -> Fleet:
    """Rows of a cycle averaged, then rows brought to the grid."""
    if rows.cycle is not None:
        fleet = _in_cells(fleet, to_cycles(fleet.values, fleet.time, fleet.starts, rows.cycle))
    if data.grid is not None:
        fleet = _in_cells(fleet, to_grid(fleet.values, fleet.time, fleet.starts, data.grid, where=where))
    return fleet


def _in_cells(fleet: Fleet, cells: Cells) -> Fleet:
    # An empty cell shows nothing, and so its label is not known.
    label = None if fleet.label is None else np.where(cells.last >= 0, fleet.label[cells.last], -1)
    return replace(fleet, values=cells.values, time=cells.time, starts=cells.starts, label=label)
