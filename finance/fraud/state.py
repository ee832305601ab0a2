"""The features of transactions as they come: what is kept of each card and terminal, and the same answers as at once.

    with State(definition, open_store("state.db", definition)) as state:
        state.add(history)                      # what happened before, without answers
        features = state.update(transactions)   # float64 [n, features], as `histories` would have it, bit for bit
        state.learn("4711", FRAUD)              # an investigation ended

Of each entity the times at which it was seen are kept in order, with running sums beside them; a window is two places
found by bisection. Imports numpy; never torch, pandas or scikit-learn.
"""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np

from finance.fraud.features import (
    OWN,
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
from finance.fraud.past import Past, code_of
from finance.fraud.sqlite_store import MEMORY, SqliteStore
from finance.fraud.stores import APART, DECLINED, OPEN, Counters, Event, Store
from finance.fraud.transactions import DAY, FRAUD, GOOD, NO_OUTCOME, SECOND, Transactions
from lepton_solutions.errors import UserError

GRACE = 7 * DAY  # how late a row still finds all of its windows; kept beyond the longest
AHEAD = DAY  # of this machine's clock: a time after it would make all that follow late
WhenLate = Literal["merge", "reject", "count"]


class State:
    """The histories of all entities, in a store and partly in memory. Not for several threads at once.

    when_late says what becomes of a row that is earlier than the newest: `merge` answers it as of its own time and
    puts it at its place in the histories, `count` answers it and leaves the histories alone, `reject` refuses the
    call. `late` counts them in each case. held: entities of a kind in memory, the longest unused leave first.
    """

    def __init__(
        self,
        definition: Definition,
        store: Store | None = None,
        *,
        when_late: WhenLate = "merge",
        held: int = 1_000_000,
    ) -> None:
        self.definition = definition
        self._store = SqliteStore(MEMORY, definition) if store is None else store
        self._when_late, self._most = when_late, held
        self._held: list[OrderedDict[str, Past]] = [OrderedDict() for _ in definition.entities]
        place = {kind: number for number, kind in enumerate(definition.entities)}
        self._pairs = [(place[a], place[b]) for a, b in definition.pairs]
        self._width = len(names(definition))
        self._partners = [[b for a, b in self._pairs if a == number] for number in range(len(place))]
        self._rank = [[a for a, _ in self._pairs[:i]].count(a) for i, (a, _) in enumerate(self._pairs)]  # of its kind
        self.newest, self.late = self._store.counters()

    def __enter__(self) -> State:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Keep what is not kept yet."""
        self._store.close()

    def features(self, batch: Transactions) -> Floats:
        """[n, features] of what these rows would be answered; nothing is kept, and they do not see one another."""
        rows = list(self._events(batch))
        self._check(rows)
        return self._finish(rows, [self._tally(row, self._pasts(row)) for row in rows])

    def update(self, batch: Transactions) -> Floats:
        """[n, features]; each row is answered from what was seen before it, in this call too, and then kept.

        A row whose id is kept is answered as the first time, whatever else it says. Raises UserError, before anything
        is kept, for a time that lies ahead of the clock or too far back, and for a late row by the policy.
        """
        rows = list(self._events(batch))
        kept = self._store.answers([row.id for row in rows])
        first = _first_of_each([row.id for row in rows])
        fresh = [i for id, i in first.items() if id not in kept]
        found = np.empty((len(rows), self._width))
        new = self._admit([rows[i] for i in fresh])
        with self._together():
            found[fresh] = self._finish(new, [self._enter(row) for row in new])
            self._keep(new, [found[i].tobytes() for i in fresh])
        for i, row in enumerate(rows):
            if row.id not in kept:
                found[i] = found[first[row.id]]
            else:
                answer = kept[row.id]
                found[i] = self._answer_late(row.id) if answer is None else np.frombuffer(answer)
        return found

    def add(self, batch: Transactions) -> None:
        """Keep rows without answering them; ids that are kept are passed over. Errors as of `update`."""
        rows = list(self._events(batch))
        kept = self._store.answers([row.id for row in rows])
        new = self._admit([rows[i] for id, i in _first_of_each([row.id for row in rows]).items() if id not in kept])
        with self._together():
            for row in new:
                self._insert(row, self._pasts(row))
            self._keep(new, [None] * len(new))

    def learn(self, id: str, label: int) -> bool:
        """Tell the outcome of a row, GOOD or FRAUD; told again, the last one counts. It is read by rows that come
        `delay` after this one was seen. False where it has no use: an id not kept, or a declined row.
        """
        if label not in (GOOD, FRAUD):
            raise UserError(f"label of `{id}`: found {label}, expected {GOOD} (good) or {FRAUD} (fraud)")
        event = self._store.event(id)
        if event is None or event.outcome in (DECLINED, APART):
            return False
        self._store.learn(id, label)
        for held, key in zip(self._held, event.keys, strict=True):
            if key in held:
                held[key].relabel(event.seen, event.amount, event.outcome, label)
        return True

    def history(self, kind: str, name: str) -> list[Event]:
        """What is kept of an entity, by `seen`: for the texts that explain an answer."""
        return self._store.history(self.definition.entities.index(kind), name, self._oldest())

    def bytes_per_entity(self, kind: str) -> float:
        """Of memory, its name and its place in the dictionary included; the mean over those in memory."""
        held = self._held[self.definition.entities.index(kind)]
        return (sys.getsizeof(held) + sum(sys.getsizeof(key) + past.size for key, past in held.items())) / len(held)

    def _events(self, batch: Transactions) -> Iterator[Event]:
        outcome = np.where(batch.label == NO_OUTCOME, OPEN, batch.label)
        outcome = np.where(batch.declined, DECLINED, outcome)
        keys = [batch.levels[kind][batch.entities[kind]].tolist() for kind in self.definition.entities]
        columns = [column.tolist() for column in (batch.id, batch.time, batch.seen, batch.amount, outcome)]
        rows = zip(*keys, strict=True) if keys else [()] * len(batch)
        return (Event._make((*row, key)) for *row, key in zip(*columns, rows, strict=True))

    def _check(self, rows: Sequence[Event]) -> None:
        limit = int(time.time()) * SECOND + AHEAD
        for row in rows:
            if row.time > limit:
                raise UserError(
                    f"transaction `{row.id}`: found time {_told(row.time)}, expected at most {_told(limit)}"
                )
            if self.newest is not None and row.time < self.newest - GRACE:
                raise UserError(
                    f"transaction `{row.id}`: found time {_told(row.time)}, expected {GRACE // DAY} days before the "
                    f"newest ({_told(self.newest)}) at most: what its windows would count is not kept any more"
                )

    def _admit(self, rows: Sequence[Event]) -> list[Event]:
        """New rows as they are kept; raises UserError for those that cannot be."""
        self._check(rows)
        late = [row for row in rows if self.newest is not None and row.time < self.newest]
        if late and self._when_late == "reject":
            raise UserError(
                f"transaction `{late[0].id}`: found time {_told(late[0].time)}, expected none before the newest, "
                f"{_told(self.newest or 0)}",
                hint="`merge` or `count` take late transactions in",
            )
        self.late += len(late)
        apart = {row.id for row in late} if self._when_late == "count" else set()
        return [row._replace(outcome=APART) if row.id in apart else row for row in rows]

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Memory and store change together: where one does not, memory is what the store says."""
        try:
            yield
        except BaseException:
            for held in self._held:
                held.clear()
            self.newest, self.late = self._store.counters()
            raise

    def _keep(self, rows: Sequence[Event], answers: Sequence[bytes | None]) -> None:
        counters = Counters(self.newest, self.late)
        self._store.put(rows, answers, counters, self._oldest())
        for held in self._held:
            while len(held) > self._most:
                held.popitem(last=False)
            for _ in range(2 * len(rows)):  # the longest unused, some at each call, so that no call takes long
                if not held or next(iter(held.values())).newest >= self._oldest():
                    break
                held.popitem(last=False)

    def _oldest(self) -> int:
        return (0 if self.newest is None else self.newest) - self.definition.reach - GRACE

    def _pasts(self, row: Event) -> list[Past]:
        """Of each entity of the row, from memory or else from the store."""
        found = []
        for place, (held, key) in enumerate(zip(self._held, row.keys, strict=True)):
            past = held.get(key)
            if past is None:
                past = held[key] = Past(key, len(self._partners[place]))
                for event in self._store.history(place, key, self._oldest()):
                    codes = [code_of(event.keys[partner]) for partner in self._partners[place]]
                    past.insert(event.seen, event.amount, event.outcome, codes)
            else:
                held.move_to_end(key)
            found.append(past)
        return found

    def _enter(self, row: Event) -> list[int]:
        pasts = self._pasts(row)
        tally = self._tally(row, pasts)
        self._insert(row, pasts)
        return tally

    def _insert(self, row: Event, pasts: Sequence[Past]) -> None:
        self.newest = row.time if self.newest is None else max(self.newest, row.time)
        if row.outcome == APART:
            return
        oldest = self._oldest()
        for past, partners in zip(pasts, self._partners, strict=True):
            past.trim(oldest)
            past.insert(row.seen, row.amount, row.outcome, [pasts[partner].code for partner in partners])

    def _tally(self, row: Event, pasts: Sequence[Past]) -> list[int]:
        """Whole numbers of all entities, then of all pairs, then of the last transactions."""
        found = [number for past in pasts for number in past.tally(self.definition, row.time)]
        for (a, b), pair in zip(self._pairs, self._rank, strict=True):
            found += pasts[a].tally_partners(self.definition, row.time, pair, pasts[b].code)
        if self.definition.last:
            found += pasts[0].tally_last(self.definition, row.time)
        return found

    def _finish(self, rows: Sequence[Event], tallies: Sequence[Sequence[int]]) -> Floats:
        found = np.empty((len(rows), self._width))
        if not rows:
            return found
        amount = np.array([row.amount for row in rows], np.int64)
        found[:, : len(OWN)] = own_features(np.array([row.time for row in rows], np.int64), amount)
        numbers, entities = np.array(tallies, np.int64), len(self.definition.entities)
        each = tally_width(self.definition)
        for place in range(entities):
            some = numbers[:, place * each : (place + 1) * each]
            found[:, entity_columns(self.definition, place)] = entity_features(some, amount)
        last, pairs = last_columns(self.definition), pair_columns(self.definition, 0).start
        rest = entities * each + last.start - pairs
        found[:, pairs : last.start] = numbers[:, entities * each : rest]
        found[:, last] = last_features(numbers[:, rest:])
        return found

    def _answer_late(self, id: str) -> Floats:
        """Of a row that was added without an answer: from what is known of the time before it."""
        row = self._store.event(id)
        assert row is not None  # its id was found
        self._check([row])
        found: Floats = self._finish([row], [self._tally(row, self._pasts(row))])[0]
        return found


def _first_of_each(ids: Sequence[str]) -> dict[str, int]:
    """Where each id stands for the first time."""
    first: dict[str, int] = {}
    for i, id in enumerate(ids):
        first.setdefault(id, i)
    return first


def _told(at: int) -> str:
    return f"{np.datetime64(at, 'us')} UTC"
