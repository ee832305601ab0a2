"""Where a machine's lives begin and end: by the dates of its failures, or by what happened to it.

A failure ends a life, and so does a planned replacement, after which nobody knows how long the part would have lasted:
the life is censored, it did not fail. A repair begins another life; between a failure and it a machine stands still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.data.times import Clock
from lepton_solutions.errors import UserError, did_you_mean
from manufacturing.failure.settings import Meaning

MEANINGS: tuple[Meaning, ...] = ("failure", "replacement", "repair")


@dataclass(frozen=True)
class Lives:
    """begins: bool [rows], a life's first row, of the rows that are `kept`, bool [rows]. failed_at: float64 [lives],
    NaN where a life did not end in a failure. mode: int64 [lives], an index into `modes`, -1 where it did not.
    """

    begins: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    failed_at: NDArray[np.float64]
    mode: NDArray[np.int64] | None = None
    modes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def without_end(unit: NDArray[np.int64]) -> Lives:
    """A life a machine, none of which is known to have failed. unit: [rows], equal codes together."""
    begins = _changes(unit)
    return Lives(begins, np.ones(len(unit), bool), np.full(int(begins.sum()), np.nan))


def by_dates(
    unit: NDArray[np.int64],
    time: NDArray[np.float64],
    failure: NDArray[np.float64],
    *,
    names: NDArray[np.str_],
    place: str,
    clock: Clock,
) -> Lives:
    """Lives that end at the failures a machine's rows name, in any of its rows.

    unit: int64 [rows], equal codes together. time: rising within a machine. failure: [rows], NaN where none is named.
    names: [units]. place: the column, for messages. Raises UserError for a failure before a machine's first reading.
    """
    named = ~np.isnan(failure)
    pairs = np.unique(np.column_stack([unit[named].astype(np.float64), failure[named]]), axis=0)
    of_date, date = pairs[:, 0].astype(np.int64), pairs[:, 1]
    first = time[_changes(unit)]
    early = date < first[of_date]
    if early.any():
        one = int(np.argmax(early))
        more = f"; {int(early.sum()):,} failures are like it" if early.sum() > 1 else ""
        raise UserError(
            f"{place}, machine `{names[of_date[one]]}`: found a failure at {clock.told(date[one])}, expected one after "
            f"its first reading at {clock.told(first[of_date[one]])}{more}",
            hint="a failure that ended an earlier life needs readings of that life; leave the date empty without them",
        )
    # Rows and failures in one order; the rows after a failure are those of the next life.
    everything = np.lexsort(
        (
            np.append(np.zeros(len(unit)), np.ones(len(date))),
            np.append(time, date),
            np.append(unit, of_date),
        )
    )
    failures_before = np.empty(len(everything), np.int64)
    failures_before[everything] = np.cumsum(everything >= len(unit))
    life = failures_before[: len(unit)]
    begins = _changes(unit) | _changes(life)
    ends = np.append(date, np.nan)
    last = np.minimum(life[begins], len(date))
    belongs = np.append(of_date, -1)[last] == unit[begins]
    later = _changes(life) & ~_changes(unit)
    note = f"lives that begin with the first reading after a failure: {int(later.sum()):,}"
    return Lives(
        begins,
        np.ones(len(unit), bool),
        np.where(belongs, ends[last], np.nan),
        notes=(note,) if later.any() else (),
    )


def by_events(
    unit: NDArray[np.int64],
    time: NDArray[np.float64],
    event: NDArray[np.object_],
    meanings: Mapping[str, Meaning],
    *,
    row: NDArray[np.int64],
    place: str,
) -> Lives:
    """Lives that end at the rows of a failure or a replacement, and begin at those of a repair.

    event: text or None, [rows]. meanings: of its values, those of `MEANINGS` need none. row: [rows], the number of each
    in the file. Raises UserError for a value whose meaning is not known. Rows between a failure and the repair of it
    are left out.
    """
    known: dict[str, Meaning] = {**{name: name for name in MEANINGS}, **meanings}
    happened = np.array([one is not None for one in event], bool)
    values, codes = np.unique(event[happened].astype(np.str_), return_inverse=True)
    _check_known(values, codes, row[happened], known, place)
    code = np.full(len(unit), -1, np.int64)
    code[happened] = codes
    means = np.full(len(unit), -1, np.int64)
    if len(values):
        means[happened] = np.array([MEANINGS.index(known[value]) for value in values.tolist()])[codes]
    new_unit = _changes(unit)
    failure, replacement, repair = (means == number for number in range(len(MEANINGS)))
    still = _stands_still(new_unit, means)
    after = np.append(False, (failure | replacement)[:-1])
    marks = new_unit | after | repair
    # The first row that is kept at or after a mark begins the life.
    kept = ~still
    group = np.cumsum(marks)[kept]
    begins = np.zeros(len(unit), bool)
    begins[np.flatnonzero(kept)[_changes(group)]] = True
    last = np.append(np.flatnonzero(begins)[1:], len(unit)) - 1
    ended = np.flatnonzero(failure & kept)
    place_of = np.searchsorted(np.flatnonzero(begins), ended, side="right") - 1
    failed_at = np.full(len(last), np.nan)
    failed_at[place_of] = time[ended]
    modes = tuple(value for value in values.tolist() if known[value] == "failure")
    mode = np.full(len(last), -1, np.int64)
    if modes:
        index = np.array([modes.index(value) if value in modes else -1 for value in values.tolist()])
        mode[place_of] = index[code[ended]]
    counted = ", ".join(
        f"{int(which.sum()):,} {name}s" for name, which in zip(MEANINGS, (failure, replacement, repair), strict=True)
    )
    notes = [f"events: {counted}"]
    if still.any():
        notes.append(f"rows between a failure and the repair of it, left out: {int(still.sum()):,}")
    return Lives(
        begins, kept, failed_at, mode if len(modes) > 1 else None, modes if len(modes) > 1 else (), tuple(notes)
    )


def _stands_still(new_unit: NDArray[np.bool_], means: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool [rows]: after a failure, before the repair that is the next thing to happen to the machine."""
    rows = np.arange(len(means))
    start = np.maximum.accumulate(np.where(new_unit, rows, 0))
    before = np.maximum.accumulate(np.append(-1, np.where(means >= 0, rows, -1)[:-1]))
    failed = (before >= start) & (means[np.maximum(before, 0)] == MEANINGS.index("failure"))
    end = np.append(np.flatnonzero(new_unit)[1:], len(means))[np.cumsum(new_unit) - 1]
    beyond = len(means)
    after = np.minimum.accumulate(np.where(means >= 0, rows, beyond)[::-1])[::-1]
    mended = (after < end) & (means[np.minimum(after, beyond - 1)] == MEANINGS.index("repair"))
    still: NDArray[np.bool_] = failed & mended & (means < 0)
    return still


def _check_known(
    values: NDArray[np.str_], codes: NDArray[np.int64], row: NDArray[np.int64], known: Mapping[str, Meaning], place: str
) -> None:
    strange = [number for number, value in enumerate(values.tolist()) if value not in known]
    if strange:
        value, first = str(values[strange[0]]), int(row[codes == strange[0]].min())
        where, _, column = place.partition(", ")
        raise UserError(
            f"{where}, row {first}, {column}: found `{value}`, expected {', '.join(MEANINGS)} or a value that "
            f"`data.events` explains; {did_you_mean(value, known)}",
            hint=f"data.events.{value}=failure, or replacement, or repair; leave the cell empty where nothing happened",
        )


def _changes(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool [n]: where another code begins."""
    return np.append(True, codes[1:] != codes[:-1]) if len(codes) else np.zeros(0, bool)
