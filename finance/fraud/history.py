"""The features of all transactions at once: what training, evaluation and the proof of `State` read.

    features = histories(transactions, definition)         # float64 [n, features], columns as in `names(definition)`

Rows are put in the order (entity, time) and what they may read in the order (entity, seen). The border of a window is
then a place in that order, found by bisection, and what lies between two borders the difference of two running sums.
This is done for some entities after the others: ten times the rows then take ten times as long, and no more memory
than their features and one order of all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from finance.fraud.features import (
    NEVER,
    Definition,
    Floats,
    entity_columns,
    entity_features,
    last_columns,
    last_features,
    names,
    own_features,
    pair_columns,
    tally_width,
)
from finance.fraud.transactions import FRAUD, NO_OUTCOME, Transactions, Whole
from lepton_solutions.data.columns import Rows

BLOCK = 65536  # rows of whole entities that are put in order together: what they need stays in the processor's caches
CHUNK = 16384  # rows at once: what they touch stays in the processor's second cache


@dataclass(frozen=True)
class Order:
    """n rows by an entity. Times are microseconds from the first on, so that a code and a time fit into one number.

    rows: [n], positions by (entity, time). to: [n], the rows of the result that are theirs. time: [n], of them.
    events: [n], positions by (entity, seen). seen: [n], of them. run: [n], number of the entity from 0 on; the same in
    both orders. first: [runs + 1], where each run begins.
    """

    rows: Whole
    to: Whole
    time: Whole
    events: Whole
    seen: Whole
    run: Whole
    first: Whole
    span: int

    def parts(self) -> Iterator[slice]:
        """Some rows at once; fewer where codes and times would not fit into 63 bits, as over centuries."""
        count, chunk = len(self.rows), max(1, min(CHUNK, 2**62 // self.span))
        return (slice(start, min(start + chunk, count)) for start in range(0, count, chunk))

    def borders(self, part: slice, back: Sequence[int]) -> list[Whole]:
        """For the rows in this part of the order: how many events stand before (entity, time - b), for each b."""
        low, high = int(self.run[part.start]), int(self.run[part.stop - 1])
        start, stop = int(self.first[low]), int(self.first[high + 1])
        seen, base = self.seen[start:stop], np.zeros(1, np.int64)
        if high > low:
            seen = seen + (self.run[start:stop] - low) * self.span
            base = (self.run[part] - low) * self.span
        time = self.time[part]
        found = {b: start + np.searchsorted(seen, np.maximum(time - b, 0) + base, side="left") for b in set(back)}
        return [found[b] for b in back]


def histories(transactions: Transactions, definition: Definition) -> Floats:
    """float64 [n, features] of n transactions, each from rows seen strictly before its own time."""
    found = np.empty((len(transactions), len(names(definition))))
    if not len(transactions):
        return found
    for start in range(0, len(transactions), CHUNK):
        part = slice(start, start + CHUNK)
        own = own_features(transactions.time[part], transactions.amount[part])
        found[part, : own.shape[1]] = own
    none = Rows(transactions.extras.numeric[:, :0], transactions.extras.codes[:, :0])
    bare = replace(transactions, id=np.broadcast_to("", len(transactions)), extras=none, scenario=None)  # quick to take
    for kind in definition.entities:
        for rows in _blocks(transactions.entities[kind]):
            _fill_block(bare.take(rows), definition, kind, rows, found)
    return found


def _blocks(codes: Whole) -> Iterator[Whole]:
    """The rows of the first entities, ascending, BLOCK of them and what the last entity has more; then of the next."""
    counts = np.bincount(codes)
    block = ((np.cumsum(counts) - counts) // BLOCK).astype(np.int32)  # of each entity
    ends = np.cumsum(np.bincount(block, counts)).astype(np.int64)
    return (rows for rows in np.split(_ascending(block[codes]), ends) if len(rows))


def _fill_block(block: Transactions, definition: Definition, kind: str, to: Whole, found: Floats) -> None:
    """The columns of an entity, of pairs that begin with it and of its last payments. to: [n], the rows of the
    result to fill.
    """
    codes = block.entities[kind]
    order = _order(block, codes, to)
    _fill_entity(block, definition, order, found[:, entity_columns(definition, definition.entities.index(kind))])
    for place, (a, b) in enumerate(definition.pairs):
        if a == kind:
            partners = block.entities[b]
            both = _order(block, codes * (int(partners.max()) + 1) + partners, to)
            columns = found[:, pair_columns(definition, place)]
            _fill_distinct(definition, order, both, columns[:, :-1])
            _fill_first_time(definition, both, columns[:, -1])
    if definition.last and kind == definition.entities[0]:
        _fill_last(block, definition, order, found[:, last_columns(definition)])


def _order(transactions: Transactions, codes: Whole, to: Whole) -> Order:
    time, seen, codes = transactions.time, transactions.seen, codes - codes.min()
    rows = _ascending(codes)  # rows came in the order of time
    by_seen = None if (np.diff(seen) >= 0).all() else np.argsort(seen, kind="stable")
    events = rows if by_seen is None else by_seen[_ascending(codes[by_seen])]
    opens = np.diff(codes[rows], prepend=-1) != 0
    first = np.append(np.flatnonzero(opens), len(codes))
    base = int(time[0])  # nothing is seen before its own time
    return Order(
        rows=rows,
        to=to[rows],
        time=time[rows] - base,
        events=events,
        seen=seen[events] - base,
        run=np.cumsum(opens) - 1,
        first=first,
        span=int(max(time[-1], seen.max())) - base + 1,
    )


def _ascending(codes: NDArray[np.signedinteger]) -> Whole:
    """The stable order of whole numbers from 0, [n], in linear time: numpy sorts 16 bits by radix, more are passes."""
    order: Whole = np.argsort(codes.astype(np.uint16), kind="stable")
    shift, most = 16, int(codes.max())
    while most >> shift:
        order = order[np.argsort((codes[order] >> shift).astype(np.uint16), kind="stable")]
        shift += 16
    return order


def _running(values: np.ndarray, dtype: type[np.integer]) -> np.ndarray:
    """[n + 1]: sums of the first 0, 1, .. n values."""
    total = np.zeros(len(values) + 1, dtype)
    np.cumsum(values, out=total[1:])
    return total


def _outcomes(transactions: Transactions) -> np.ndarray:
    """[n]; whoever declines a transaction never hears of one."""
    return np.where(transactions.declined, NO_OUTCOME, transactions.label)


def _fill_entity(transactions: Transactions, definition: Definition, order: Order, columns: Floats) -> None:
    events, windows = order.events, definition.windows
    paid = _running(transactions.amount[events], np.int64)
    outcome = _outcomes(transactions)[events]
    known = _running(outcome != NO_OUTCOME, np.int64)
    frauds = _running(outcome == FRAUD, np.int64)
    places = np.flatnonzero(outcome == FRAUD)  # of the k-th fraud, and so of the next after k frauds
    fraud_seen = np.append(order.seen[places], 0)
    good_until = np.append((known - frauds)[_end_of_instant(order, places)], 0)
    back = (0, *windows, definition.delay, *(definition.delay + window for window in windows))
    for part in order.parts():
        borders = order.borders(part, back)
        end, starts = borders[0], borders[1 : len(windows) + 1]
        known_end, known_starts = borders[len(windows) + 1], borders[len(windows) + 2 :]
        tallies = np.empty((tally_width(definition), len(end)), np.int64)
        counts, sums, outcomes, cases = np.split(tallies[:-4], 4)
        for i, (start, known_start) in enumerate(zip(starts, known_starts, strict=True)):
            counts[i] = end - start
            sums[i] = paid[end] - paid[start]
            outcomes[i] = known[known_end] - known[known_start]
            cases[i] = frauds[known_end] - frauds[known_start]
        time, some, any_fraud = order.time[part], frauds[known_end], cases[-1] > 0
        tallies[-4] = np.where(end > starts[-1], time - order.seen[end - 1], NEVER)
        tallies[-3] = np.where(any_fraud, time - fraud_seen[some - 1], NEVER)
        tallies[-2] = np.where(any_fraud, time - fraud_seen[some - cases[-1]], NEVER)
        tallies[-1] = np.where(any_fraud, known[known_end] - some - good_until[some - 1], NEVER)
        columns[order.to[part]] = entity_features(tallies.T, transactions.amount[order.rows[part]])


def _end_of_instant(order: Order, places: Whole) -> Whole:
    """Where in the order of events what the entity did at the same time as at these places is over."""
    last = np.diff(order.seen, append=0) != 0
    last[order.first[1:] - 1] = True
    ends = np.flatnonzero(last) + 1
    found: Whole = ends[np.searchsorted(ends, places, side="right")]
    return found


def _fill_distinct(definition: Definition, order: Order, both: Order, columns: Floats) -> None:
    """How many partners were seen in a window: those that began to be there before its end, less those that were gone
    before its start. A pair is there for a window's length after each time it is seen: it begins with the first of a
    series without longer gaps, and is gone after the last.
    """
    windows, never = definition.windows, 2**62
    gaps = np.diff(both.seen, prepend=-never)
    gaps[both.first[:-1]] = never
    before, after = np.empty_like(gaps), np.empty_like(gaps)
    before[both.events], after[both.events] = gaps, np.append(gaps[1:], never)
    before, after = before[order.events], after[order.events]
    begun = [_running(before > window, np.int32) for window in windows]
    gone = [_running(after > window, np.int32) for window in windows]
    for part in order.parts():
        end, *starts = order.borders(part, (0, *windows))
        distinct = [since[end] - till[start] for since, till, start in zip(begun, gone, starts, strict=True)]
        columns[order.to[part]] = np.stack(distinct, axis=1)


def _fill_first_time(definition: Definition, both: Order, column: Floats) -> None:
    for part in both.parts():
        end, start = both.borders(part, (0, definition.windows[-1]))
        column[both.to[part]] = end == start


def _fill_last(transactions: Transactions, definition: Definition, order: Order, columns: Floats) -> None:
    amount, outcome = transactions.amount[order.events], _outcomes(transactions)[order.events]
    # Of one instant by amount, then by outcome: in whatever order they came, the answers are the same.
    turn = np.lexsort((outcome, amount, order.seen, order.run))
    amount, outcome, back = amount[turn], outcome[turn], np.arange(1, definition.last + 1)
    for part in order.parts():
        end, start, known_end = order.borders(part, (0, definition.windows[-1], definition.delay))
        place = end[:, None] - back
        there, place = place >= start[:, None], np.maximum(place, 0)
        known = there & (place < known_end[:, None])
        ago = np.where(there, order.time[part, None] - order.seen[place], NEVER)
        tallies = np.stack([amount[place], ago, np.where(known, outcome[place], NO_OUTCOME)], axis=2)
        columns[order.to[part]] = last_features(tallies.reshape(len(end), -1))
