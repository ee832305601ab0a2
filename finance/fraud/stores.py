"""Where the state of an online detector lives: transactions by id and by entity, in SQLite or Redis.

    store = open_store("state.db", definition)                 # or "redis://host:6379/0/name-of-the-state"

A store keeps whole transactions and the features they were answered with; `State` keeps in memory only what it counts
with, and asks here for the history of an entity that it does not hold. So a restart is instant, and a transaction is
in the state with all of its entities or not at all.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from finance.fraud.features import Definition
from lepton_solutions.errors import UserError

SCHEMA = 2  # 1 kept no answers, and did not count late rows
COMMIT_AFTER = 0.04  # seconds from the first row of a commit on; with the commit itself below 50 ms
OPEN, DECLINED, APART = 2, 3, 4  # outcomes beside GOOD and FRAUD: not told yet, never one, in no entity's history


class Event(NamedTuple):
    """A transaction as it is kept. time, seen, amount as of `Transactions`; keys: the name of each entity in order."""

    id: str
    time: int
    seen: int
    amount: int
    outcome: int
    keys: tuple[str, ...]


class Counters(NamedTuple):
    """newest: the latest time of any transaction, None before the first. late: how many came after a later one."""

    newest: int | None
    late: int


class Store(Protocol):
    """What `State` needs kept. Every `put` and `learn` is kept whole or not at all, and in the order of the calls."""

    def counters(self) -> Counters:
        """As of the last `put`."""

    def answers(self, ids: Sequence[str]) -> Mapping[str, bytes | None]:
        """Those of the ids that are kept, and what they were answered with."""

    def event(self, id: str) -> Event | None:
        """The transaction of this id."""

    def history(self, place: int, key: str, since: int) -> list[Event]:
        """What was seen of the entity at this place from `since` on, by `seen`."""

    def put(self, events: Sequence[Event], answers: Sequence[bytes | None], counters: Counters, oldest: int) -> None:
        """Keep new transactions. What was seen before `oldest` may go, some of it at each call."""

    def learn(self, id: str, outcome: int) -> None:
        """Change the outcome of a kept transaction."""

    def close(self) -> None:
        """Keep what is not kept yet, and let go of the place."""


def open_store(place: str | Path, definition: Definition) -> Store:
    """The store at a path, made where there is none, or at an address `redis://host:port/number/name`.

    Raises UserError where the state there was counted by another definition, or is in use.
    """
    if str(place).startswith(("redis://", "rediss://")):
        from finance.fraud.redis_store import RedisStore  # an extra

        return RedisStore.open(str(place), definition)
    return SqliteStore(place, definition)


def refuse_other(place: str, fingerprint: str, schema: int, definition: Definition) -> None:
    """Raise UserError for the state of another feature definition, or of a later version of this package."""
    if fingerprint != definition.fingerprint:
        raise UserError(
            f"{place}: the state of feature definition {fingerprint[:12]}, expected {definition.fingerprint[:12]}",
            hint="entities, windows, delay or pairs differ; give a new place, and fill it from the history",
        )
    if not 1 <= schema <= SCHEMA:
        raise UserError(f"{place}: found schema {schema}, expected at most {SCHEMA}; a later version wrote it")


def _first_schema(definition: Definition) -> list[str]:
    keys = [f"key_{place}" for place in range(len(definition.entities))]
    columns = "".join(f", {key} TEXT NOT NULL" for key in keys)
    return [
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value)",
        f"INSERT INTO meta VALUES ('schema', 1), ('fingerprint', '{definition.fingerprint}'), ('newest', NULL)",
        "CREATE TABLE events (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, "
        f"seen INTEGER NOT NULL, amount INTEGER NOT NULL, outcome INTEGER NOT NULL{columns})",
        *(f"CREATE INDEX by_{key} ON events ({key}, seen)" for key in keys),
    ]


_MIGRATIONS = {  # from this schema to the next
    1: [
        "CREATE TABLE answers (number INTEGER PRIMARY KEY, features BLOB NOT NULL)",
        "INSERT INTO meta VALUES ('late', 0)",
        "UPDATE meta SET value = 2 WHERE name = 'schema'",
    ]
}


class SqliteStore:
    """One file, of one process at a time. Rows are written as they come and committed together, 50 ms later at most;
    a process that is killed loses those of its last 50 ms and nothing else. `:memory:` is a store without a file.
    """

    def __init__(self, place: str | Path, definition: Definition) -> None:
        self._place, self._lock = str(place), threading.RLock()
        self._timer: threading.Timer | None = None
        self._failed: sqlite3.Error | None = None
        keys = [f"key_{number}" for number in range(len(definition.entities))]
        self._event = ", ".join(["id", "time", "seen", "amount", "outcome", *keys])
        self._insert = f"INSERT INTO events ({self._event}) VALUES ({', '.join('?' * (5 + len(keys)))})"
        try:
            self._base = sqlite3.connect(self._place, timeout=0, isolation_level=None, check_same_thread=False)
            self._prepare(definition)
        except sqlite3.Error as error:
            raise UserError(f"{place}: cannot be opened as a state ({error})") from error

    def _prepare(self, definition: Definition) -> None:
        # One process alone: what it counted in memory would not notice the rows of another.
        self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = NORMAL")
        self._base.execute("BEGIN IMMEDIATE")
        if not self._base.execute("SELECT 1 FROM sqlite_master").fetchone():
            self._run(_first_schema(definition))
        meta = dict(self._base.execute("SELECT name, value FROM meta"))
        refuse_other(self._place, meta["fingerprint"], meta["schema"], definition)
        for schema in range(meta["schema"], SCHEMA):
            self._run(_MIGRATIONS[schema])
        self._base.execute("COMMIT")

    def _run(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._base.execute(statement)

    def counters(self) -> Counters:
        """See `Store`."""
        with self._lock:
            meta = dict(self._base.execute("SELECT name, value FROM meta"))
        return Counters(meta["newest"], meta["late"])

    def answers(self, ids: Sequence[str]) -> Mapping[str, bytes | None]:
        """See `Store`."""
        query = "SELECT id, features FROM events LEFT JOIN answers USING (number) WHERE id IN ({})"
        found: dict[str, bytes | None] = {}
        with self._lock:
            for start in range(0, len(ids), 500):  # SQLite takes 999 values in older builds
                some = ids[start : start + 500]
                found.update(self._base.execute(query.format(", ".join("?" * len(some))), some))
        return found

    def event(self, id: str) -> Event | None:
        """See `Store`."""
        with self._lock:
            row = self._base.execute(f"SELECT {self._event} FROM events WHERE id = ?", (id,)).fetchone()
        return None if row is None else Event._make((*row[:5], row[5:]))

    def history(self, place: int, key: str, since: int) -> list[Event]:
        """See `Store`."""
        rows = f"key_{place} = ? AND seen >= ? AND outcome <> {APART}"
        query = f"SELECT {self._event} FROM events WHERE {rows} ORDER BY seen"
        with self._lock:
            return [Event._make((*row[:5], row[5:])) for row in self._base.execute(query, (key, since))]

    def put(self, events: Sequence[Event], answers: Sequence[bytes | None], counters: Counters, oldest: int) -> None:
        """See `Store`. Raises sqlite3.Error where the file cannot be written; none of the rows is kept then."""
        with self._lock:
            self._begin()
            self._base.execute("SAVEPOINT put")
            try:
                for event, answer in zip(events, answers, strict=True):
                    number = self._base.execute(self._insert, (*event[:5], *event.keys)).lastrowid
                    if answer is not None:
                        self._base.execute("INSERT INTO answers VALUES (?, ?)", (number, answer))
                self._base.executemany(
                    "UPDATE meta SET value = ? WHERE name = ?", [(counters.newest, "newest"), (counters.late, "late")]
                )
                self._expire(oldest, 2 * len(events))
            except sqlite3.Error:
                self._base.execute("ROLLBACK TO put")
                raise
            finally:
                self._base.execute("RELEASE put")

    def _expire(self, oldest: int, most: int) -> None:
        # The first that came are the oldest but for late ones, which go when they have become the first.
        query = "SELECT number, seen FROM events ORDER BY number LIMIT ?"
        gone = [(number,) for number, seen in self._base.execute(query, (most,)) if seen < oldest]
        if gone:
            self._base.executemany("DELETE FROM answers WHERE number = ?", gone)
            self._base.executemany("DELETE FROM events WHERE number = ?", gone)

    def learn(self, id: str, outcome: int) -> None:
        """See `Store`."""
        with self._lock:
            self._begin()
            self._base.execute("UPDATE events SET outcome = ? WHERE id = ?", (outcome, id))

    def _begin(self) -> None:
        if self._failed is not None:
            raise self._failed
        if self._timer is None:
            self._base.execute("BEGIN")
            self._timer = threading.Timer(COMMIT_AFTER, self._commit)
            self._timer.daemon = True
            self._timer.start()

    def _commit(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
                try:
                    self._base.execute("COMMIT")
                except sqlite3.Error as error:  # of the timer's thread: the next call raises it
                    self._failed = error

    def close(self) -> None:
        """See `Store`. Raises sqlite3.Error where the last rows could not be written."""
        with self._lock:
            self._commit()
            self._base.close()
            if self._failed is not None:
                raise self._failed
