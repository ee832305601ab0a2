"""The state of an online detector in Redis, under one name: the extra `redis`.

    redis://host:6379/0/name           keys `name:meta`, `name:event:ID`, `name:key:PLACE:ENTITY`, `name:seen`

A transaction is one string; sorted sets by `seen` hold the ids of each entity and of all. Every call is one MULTI, so
it is kept whole or not at all; how safely, is what the server's own persistence says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from finance.fraud.features import Definition
from finance.fraud.stores import APART, SCHEMA, Counters, Event, refuse_other
from lepton_solutions.errors import UserError


class RedisStore:
    """One name on a server, of one process at a time."""

    def __init__(self, address: str, definition: Definition) -> None:
        try:
            import redis
        except ModuleNotFoundError as error:
            raise UserError(
                f"{address}: the package redis is not installed", hint="pip install 'lepton-solutions[redis]'"
            ) from error
        url = urlsplit(address)
        number, _, name = url.path.strip("/").partition("/")
        if not number.isdigit() or not name:
            raise UserError(f"{address}: expected redis://host:port/number/name, the name of this state")
        self._name = name
        self._base: Any = redis.Redis.from_url(
            urlunsplit(url._replace(path=f"/{number}"))
        )  # its types mean the asynchronous client too
        try:
            self._prepare(address, definition)
        except redis.RedisError as error:
            raise UserError(f"{address}: cannot be opened as a state ({error})") from error

    def _prepare(self, address: str, definition: Definition) -> None:
        fresh = {"schema": SCHEMA, "fingerprint": definition.fingerprint, "newest": "", "late": 0}
        if not self._base.exists(self._key("meta")):
            self._base.hset(self._key("meta"), mapping=fresh)
        meta = {name.decode(): value.decode() for name, value in self._base.hgetall(self._key("meta")).items()}
        refuse_other(address, meta["fingerprint"], int(meta["schema"]), definition)
        if int(meta["schema"]) < SCHEMA:  # schema 1 counted no late rows; its events are read as they are
            self._base.hset(self._key("meta"), mapping={"schema": SCHEMA, "late": 0})

    def _key(self, *parts: str) -> str:
        return ":".join((self._name, *parts))

    def counters(self) -> Counters:
        """See `Store`."""
        newest, late = self._base.hmget(self._key("meta"), "newest", "late")
        return Counters(int(newest) if newest else None, int(late))

    def answers(self, ids: Sequence[str]) -> Mapping[str, bytes | None]:
        """See `Store`."""
        texts = self._base.mget([self._key("event", id) for id in ids]) if ids else []
        return {id: _answer(text) for id, text in zip(ids, texts, strict=True) if text is not None}

    def event(self, id: str) -> Event | None:
        """See `Store`."""
        text = self._base.get(self._key("event", id))
        return None if text is None else _event(text)

    def history(self, place: int, key: str, since: int) -> list[Event]:
        """See `Store`."""
        ids = self._base.zrangebyscore(self._key("key", str(place), key), since, "+inf")
        texts = self._base.mget([self._key("event", id.decode()) for id in ids]) if ids else []
        return [_event(text) for text in texts]

    def put(self, events: Sequence[Event], answers: Sequence[bytes | None], counters: Counters, oldest: int) -> None:
        """See `Store`. Raises redis.RedisError where the server does not answer."""
        gone = self._base.zrangebyscore(self._key("seen"), "-inf", f"({oldest}", start=0, num=2 * len(events))
        texts = self._base.mget([self._key("event", id.decode()) for id in gone]) if gone else []
        with self._base.pipeline() as together:
            for event, answer in zip(events, answers, strict=True):
                together.set(self._key("event", event.id), _text(event, answer or b""))
                together.zadd(self._key("seen"), {event.id: event.seen})
                for place, key in enumerate(event.keys if event.outcome != APART else ()):
                    together.zadd(self._key("key", str(place), key), {event.id: event.seen})
            for event in map(_event, texts):
                together.delete(self._key("event", event.id))
                together.zrem(self._key("seen"), event.id)
                for place, key in enumerate(event.keys):
                    together.zrem(self._key("key", str(place), key), event.id)
            newest = "" if counters.newest is None else counters.newest
            together.hset(self._key("meta"), mapping={"newest": newest, "late": counters.late})
            together.execute()

    def learn(self, id: str, outcome: int) -> None:
        """See `Store`."""
        text = self._base.get(self._key("event", id))
        event = _event(text)._replace(outcome=outcome)
        self._base.set(self._key("event", id), _text(event, text.partition(b"\n")[2]))

    def close(self) -> None:
        """See `Store`."""
        self._base.close()


def _text(event: Event, answer: bytes) -> bytes:
    return json.dumps(event).encode() + b"\n" + answer


def _event(text: bytes) -> Event:
    *columns, keys = json.loads(text.partition(b"\n")[0])
    return Event._make((*columns, tuple(keys)))


def _answer(text: bytes) -> bytes | None:
    return text.partition(b"\n")[2] or None
