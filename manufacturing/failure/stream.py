"""Answers as rows arrive: a small state a unit instead of its history, and the same answers as from the whole history.

    stream = MachinePredictor.open("runs/manufacturing/failure/...").stream()
    stream.update("pump 7", {"ts": "2026-11-24 06:00", "pressure": 3.1, ...})   # {"remaining": 41.0, "low": 22.0, ...}
    stream.update_many(units, rows)                                             # all units in one call of the network

A row goes through the step layer with the state of its unit, and its features into a ring of the last W; the network
reads the ring. Scoring a file runs the same two lines over time, for all of its units at once.

Imports numpy and ONNX Runtime; never torch, pandas or scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lepton_solutions.errors import UserError
from manufacturing.failure.grid import almost_empty
from manufacturing.failure.memory import Memory, ranks
from manufacturing.failure.records import Records

if TYPE_CHECKING:
    from manufacturing.failure.predictor import MachinePredictor

TOGETHER = 1024  # windows held at once when a call brings many rows
Answer = dict[str, object]
Waiting = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]  # places, times, windows [n, W, F]


class Stream:
    """The units that were heard of, and what is kept of each. Not for several threads at once."""

    def __init__(self, predictor: MachinePredictor) -> None:
        inputs = predictor.inputs
        self.predictor = predictor
        self._first = inputs.first_state()
        self._slot: dict[str, int] = {}
        self._names: list[str] = []
        self._memory = Memory.empty(
            0,
            state=len(self._first),
            window=inputs.window,
            features=inputs.features,
            sensors=len(inputs.sensors) if inputs.in_cells else 0,
        )

    @property
    def units(self) -> tuple[str, ...]:
        """In the order in which they were first heard of, but for gaps that `forget` filled."""
        return tuple(self._names)

    @property
    def bytes_per_unit(self) -> int:
        """What is kept of a unit, however long it runs; its name and a place in a dictionary come on top."""
        return self._memory.bytes_per_unit

    def update(self, unit: str, row: Mapping[str, object]) -> Answer:
        """Take in a row of one unit; what is known of the unit then. Arguments and errors as of `update_many`."""
        return self.update_many([unit], [row])[0]

    def update_many(
        self, units: Sequence[str], rows: Sequence[Mapping[str, object]] | pa.Table | pa.RecordBatch
    ) -> list[Answer]:
        """Take in rows of any units, [n] each; for each row what is known of its unit then, in the order given.

        rows: by the column names of training, in its units of measure; a reading that is missing is None or NaN. Rows
        of one unit are taken in the order given. Raises UserError for a column that is missing and for a time that is
        not later than the unit's last; nothing of the call is taken in then. What training never saw is answered, and
        named under `flags`.
        """
        if not len(units) and not len(rows):
            return []
        names, inputs = [str(unit) for unit in units], self.predictor.inputs
        records = inputs.records(rows)
        if len(records) != len(names):
            raise UserError(f"units: {len(names)} names for {len(records)} rows, expected one a row")
        told: list[Answer] = [{}] * len(names)
        for places, time, windows in self._windows_of(self.take(names, records)):
            answers = self.predictor.answers(windows, time)
            unusual = inputs.unusual(records.values[places])
            for place, at, answer, flags in zip(places.tolist(), time.tolist(), answers, unusual, strict=True):
                told[place] = {"unit": names[place], "time": inputs.told_time(at), **answer, "flags": flags}
        return told

    def take(self, units: Sequence[str], records: Records) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Take rows in, the first of each unit, then the second, and so on, unanswered: [m] places and slots of each
        such round. Nothing happens until the rounds are drawn; errors as of `update_many`, before the first.
        """
        slots = self._slots(units, records)
        rounds = ranks(slots)
        order = np.argsort(rounds, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(rounds[order])) + 1) if len(order) else ():
            self._advance(slots[places], records, places)
            yield places, slots[places]

    def windows(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 [n, W, F]: what the network would read of these units now."""
        windows = self._memory.window(slots)
        if not self.predictor.inputs.in_cells:
            return windows
        features, _ = self.predictor.step(self._open_cell(slots), self._memory.state[slots])
        begun = self._memory.steps[slots] > 0  # else the open cell is the first, which fills the window
        return np.concatenate([np.where(begun[:, None, None], windows[:, 1:], features[:, None]), features[:, None]], 1)

    def answers(self) -> tuple[NDArray[np.float64], list[Answer]]:
        """Of every unit, at its last row: the time, and what is known; in the order of `units`."""
        slots, found = np.arange(len(self._names)), []
        for start in range(0, len(slots), TOGETHER):
            some = slots[start : start + TOGETHER]
            found += self.predictor.answers(self.windows(some), self._memory.time[some])
        return self._memory.time[slots], found

    def restart(self, unit: str) -> None:
        """The unit was repaired or replaced: its next row begins a life. Its time still has to rise."""
        slot = self._known(unit)
        time = self._memory.time[slot]
        self._memory.clear(np.array([slot]), self._first)
        self._memory.time[slot] = time

    def forget(self, unit: str) -> None:
        """Keep nothing of the unit any more."""
        slot, last = self._known(unit), len(self._names) - 1
        self._memory.move(last, slot)
        self._names[slot] = self._names[last]
        self._slot[self._names[slot]] = slot
        del self._slot[unit]
        self._names.pop()

    def save(self, path: str | Path) -> None:
        """Write all state to one .npz, under its name only when it is whole; `load` of the same bundle goes on."""
        place, held = Path(path), len(self._names)
        aside = place.with_name(f".{place.name}.partial")
        with aside.open("wb") as stream:
            arrays = {name: array[:held] for name, array in self._memory.arrays().items()}
            np.savez(stream, model=self.predictor.name, units=np.array(self._names, np.str_), **arrays)  # type: ignore[arg-type]  # numpy's stub means its own keywords
        aside.replace(place)

    def load(self, path: str | Path) -> Stream:
        """Go on where a saved stream stood. Raises UserError for another file, or the state of another model."""
        try:
            with np.load(path, allow_pickle=False) as saved:
                found = {name: saved[name] for name in saved.files}
            model, names = str(found.pop("model")), [str(name) for name in found.pop("units").tolist()]
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise UserError(f"{path}: not the saved state of a stream ({error})") from error
        if model != self.predictor.name:
            raise UserError(f"{path}: the state of model {model}, expected {self.predictor.name}, the bundle's")
        kept = {name: (array.dtype, array.shape[1:]) for name, array in self._memory.arrays().items()}
        if {name: (array.dtype, array.shape[1:]) for name, array in found.items()} != kept:
            raise UserError(f"{path}: not the saved state of a stream (its arrays are not this model's)")
        self._memory, self._names = Memory(**found), names
        self._slot = {name: slot for slot, name in enumerate(names)}
        return self

    def _windows_of(self, rounds: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Iterator[Waiting]:
        """Rounds of a few rows answered together: a call of the network for each would cost more than its work."""
        held: list[Waiting] = []
        for places, slots in rounds:
            held.append((places, self._memory.time[slots], self.windows(slots)))
            if sum(len(some) for some, _, _ in held) >= TOGETHER:
                yield _joined(held)
                held = []
        if held:
            yield _joined(held)

    def _slots(self, units: Sequence[str], records: Records) -> NDArray[np.int64]:
        """The slot of each row's unit, new ones made. Raises UserError where a time does not rise, with none made."""
        begun = {name: place for place, name in enumerate(dict.fromkeys(u for u in units if u not in self._slot))}
        known = len(self._names)
        slots = np.array([self._slot[u] if u in self._slot else known + begun[u] for u in units], np.int64)
        self._memory.hold(known + len(begun))
        self._memory.clear(np.arange(known, known + len(begun)), self._first)
        if not np.isnan(records.time).any():  # else rows are counted, and none is late
            self._refuse_late(units, slots, records)
            if records.cycle is None and self.predictor.inputs.grid is not None:
                self._refuse_gaps(units, slots, records, self.predictor.inputs.grid)
        self._slot |= {name: known + place for name, place in begun.items()}
        self._names += begun
        return slots

    def _refuse_late(self, units: Sequence[str], slots: NDArray[np.int64], records: Records) -> None:
        inputs = self.predictor.inputs
        order = np.argsort(slots, kind="stable")
        ordered, time = slots[order], records.time[order]
        before = np.where(np.append(True, ordered[1:] != ordered[:-1]), self._memory.time[ordered], np.roll(time, 1))
        late = np.flatnonzero(~inputs.follows(before, time))
        if len(late):
            first = late[np.argmin(order[late])]
            raise UserError(
                f"{records.where}, row {records.first_row + order[first]}, unit `{units[order[first]]}`: found the "
                f"time {inputs.told_time(float(time[first]))}, expected one after "
                f"{inputs.told_time(float(before[first]))}, the unit's last",
                hint="rows that came twice or late have to be left out",
            )

    def _refuse_gaps(self, units: Sequence[str], slots: NDArray[np.int64], records: Records, width: float) -> None:
        """As `grid.to_grid` does in training: each empty cell is a step, and a wrong date would be millions of them."""
        memory, inputs, time = self._memory, self.predictor.inputs, records.time
        _, first_of, place = np.unique(slots, return_index=True, return_inverse=True)
        origin = np.where(memory.rows[slots] == 0, time[first_of][place], memory.origin[slots])
        cells = np.floor((time - origin) / width) + 1
        empty = np.flatnonzero(almost_empty(cells, memory.rows[slots] + ranks(slots) + 1))
        if len(empty):
            first = empty[0]
            raise UserError(
                f"{records.where}, row {records.first_row + first}, unit `{units[first]}`: found the time "
                f"{inputs.told_time(float(time[first]))}, cell {cells[first]:,.0f} of {width:g} {inputs.clock} each "
                "since the unit's first, almost all empty",
                hint="a time that is wrong; a stream can `restart` a unit after a long standstill",
            )

    def _advance(self, slots: NDArray[np.int64], records: Records, places: NDArray[np.int64]) -> None:
        """One row of each of these units, every unit once."""
        memory, inputs, values = self._memory, self.predictor.inputs, records.values[places]
        time = records.time[places]
        memory.time[slots] = np.where(np.isnan(time), memory.rows[slots], time)
        if not inputs.in_cells:
            self._step(slots, values)
        else:
            begins = memory.rows[slots] == 0
            if records.cycle is not None:
                cell = records.cycle[places]
                passed = (cell != memory.cell[slots]).astype(np.int64)  # cycles that are not there are no gap
            else:
                assert inputs.grid is not None
                memory.origin[slots[begins]] = time[begins]
                cell = np.floor((time - memory.origin[slots]) / inputs.grid).astype(np.int64)
                passed = cell - memory.cell[slots]
            self._close(slots, np.where(begins, 0, passed))
            memory.cell[slots] = cell
            memory.total[slots] += np.where(np.isnan(values), 0.0, values)
            memory.count[slots] += ~np.isnan(values)
        memory.rows[slots] += 1

    def _close(self, slots: NDArray[np.int64], passed: NDArray[np.int64]) -> None:
        """Cells that ended become rows: the open one, and after it an empty one for each that brought nothing."""
        memory = self._memory
        ended = slots[passed > 0]
        if not len(ended):
            return
        self._step(ended, self._open_cell(ended))
        memory.total[ended], memory.count[ended] = 0, 0
        for gap in range(1, int(passed.max())):
            empty = slots[passed > gap]
            self._step(empty, np.full((len(empty), memory.total.shape[1]), np.nan, np.float32))

    def _open_cell(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        """The mean of each sensor's readings in it, NaN where there was none."""
        count = self._memory.count[slots]
        mean = self._memory.total[slots] / np.maximum(count, 1)
        return np.where(count > 0, mean, np.nan).astype(np.float32)

    def _step(self, slots: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        features, self._memory.state[slots] = self.predictor.step(values, self._memory.state[slots])
        self._memory.push(slots, features)

    def _known(self, unit: str) -> int:
        if unit not in self._slot:
            raise UserError(f"unit `{unit}`: no row of it was taken in")
        return self._slot[unit]


def _joined(held: Sequence[Waiting]) -> Waiting:
    if len(held) == 1:
        return held[0]
    places, time, windows = zip(*held, strict=True)
    return np.concatenate(places), np.concatenate(time), np.concatenate(windows)
