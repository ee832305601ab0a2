"""Where the state of an online detector lives: transactions by id and by entity, in SQLite or Redis.

    store = open_store("state.db", definition)                 # or "redis://host:6379/0/name-of-the-state"

A store keeps whole transactions and the features they were answered with; `State` keeps in memory only what it counts
with, and asks here for the history of an entity that it does not hold. So a restart is instant, and a transaction is
in the state with all of its entities or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from finance.fraud.features import Definition
from lepton_solutions.errors import UserError

SCHEMA = 2  # 1 kept no answers, and did not count late rows
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
        from finance.fraud.redis_store import RedisStore

        return RedisStore(str(place), definition)
    from finance.fraud.sqlite_store import SqliteStore

    return SqliteStore(place, definition)


def refuse_other(place: str, fingerprint: str, schema: int, definition: Definition) -> None:
    """Raise UserError for the state of another feature definition, or of a later version of this package."""
    if fingerprint != definition.fingerprint:
        raise UserError(
            f"{place}: the state of feature definition {fingerprint[:12]}, expected {definition.fingerprint[:12]}",
            hint="entities, windows, delay, pairs or `last` differ; give a new place, and fill it from the history",
        )
    if not 1 <= schema <= SCHEMA:
        raise UserError(f"{place}: found schema {schema}, expected at most {SCHEMA}; a later version wrote it")
