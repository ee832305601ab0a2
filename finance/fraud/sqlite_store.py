"""The state of an online detector in one SQLite file: the default store."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

from filelock import BaseFileLock, FileLock, Timeout

from finance.fraud.features import Definition
from finance.fraud.stores import APART, SCHEMA, Counters, Event, refuse_other
from lepton_solutions.errors import UserError

MEMORY = ":memory:"  # SQLite's word for a base without a file
COMMIT_AFTER = 0.04  # seconds from the first row of a commit on; with the commit itself below 50 ms
COPY_AFTER = 1.0  # seconds between copies of the log into the file
LONG_LOG = 16384  # pages of 4 KiB


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
    """One file, of one process at a time; `:memory:` is a store without a file. Rows are written as they come and
    committed together, 50 ms later at most. A process that is killed loses those of its last 50 ms and nothing else,
    a machine without power those since the log was last copied into the file, a second or so.
    """

    def __init__(self, place: str | Path, definition: Definition) -> None:
        self._place, self._lock, self._copying = str(place), threading.RLock(), threading.Lock()
        self._timer: threading.Timer | None = None
        self._failed: sqlite3.Error | None = None
        self._copied, self._log_is_long = 0.0, False
        keys = [f"key_{number}" for number in range(len(definition.entities))]
        self._event = ", ".join(["id", "time", "seen", "amount", "outcome", *keys])
        self._insert = f"INSERT INTO events ({self._event}) VALUES ({', '.join('?' * (5 + len(keys)))})"
        self._alone = self._claim()
        self._base, self._copier = self._connect(), self._connect()
        try:
            self._prepare(definition)
        except BaseException as error:
            self._let_go()
            if isinstance(error, sqlite3.Error):
                raise UserError(f"{place}: cannot be opened as a state ({error})") from error
            raise

    def _claim(self) -> BaseFileLock | None:
        """What one process counted in memory would not notice the rows of another."""
        if self._place == MEMORY:
            return None
        lock = FileLock(f"{self._place}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(f"{self._place}: found in use by another process, expected one at a time") from error
        except OSError as error:
            raise UserError(f"{self._place}: cannot be opened as a state ({error})") from error
        return lock

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._place, isolation_level=None, check_same_thread=False)

    def _prepare(self, definition: Definition) -> None:
        if not self._base.execute("SELECT 1 FROM sqlite_master").fetchone():
            self._together(_first_schema(definition))
        meta = dict(self._base.execute("SELECT name, value FROM meta"))
        refuse_other(self._place, meta["fingerprint"], meta["schema"], definition)
        for schema in range(meta["schema"], SCHEMA):
            self._together(_MIGRATIONS[schema])
        for base in (self._base, self._copier):
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = NORMAL")
            base.execute("PRAGMA wal_autocheckpoint = 0")  # `_copy` does it, beside the calls

    def _together(self, statements: Sequence[str]) -> None:
        self._base.execute("BEGIN IMMEDIATE")
        for statement in statements:
            self._base.execute(statement)
        self._base.execute("COMMIT")

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
            self._timer = threading.Timer(COMMIT_AFTER, self._tick)
            self._timer.daemon = True
            self._timer.start()

    def _tick(self) -> None:
        try:
            with self._lock:
                self._commit()
                if self._log_is_long:  # under constant writing it would never be copied to its end, and only grow
                    self._copy()
            if monotonic() - self._copied >= COPY_AFTER:
                self._copy()
        except sqlite3.Error as error:  # in a thread of its own: the next call raises it
            self._failed = error

    def _commit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._base.execute("COMMIT")

    def _copy(self) -> None:
        """Copy what is committed from the log into the file, while rows are written to the log."""
        if self._place != MEMORY and self._copying.acquire(blocking=False):
            try:
                _, pages, _ = self._copier.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                self._copied, self._log_is_long = monotonic(), pages > LONG_LOG
            finally:
                self._copying.release()

    def close(self) -> None:
        """See `Store`. Raises sqlite3.Error where the last rows could not be written."""
        with self._lock, self._copying:
            try:
                self._commit()
            finally:
                self._let_go()
        if self._failed is not None:
            raise self._failed

    def _let_go(self) -> None:
        self._copier.close()
        self._base.close()
        if self._alone is not None:
            self._alone.release()
