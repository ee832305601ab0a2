"""How a table of transactions is read: which column says when, who, how much, and what else is known of a row.

Found once, when a run is prepared; kept in `data.json` and in the bundle, so that new rows are read in the same way.
Imports neither torch, pandas nor scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from finance.fraud.reading import (
    amounts,
    ids,
    labels,
    levels_of,
    moments,
    numbers,
    reject_repeated_rows,
    texts_of,
)
from finance.fraud.transactions import NO_OUTCOME, SECOND, Transactions, Whole
from lepton_solutions.data.columns import Columns
from lepton_solutions.data.times import Clock
from lepton_solutions.errors import UserError, did_you_mean

ZONES = 14 * 3600 * SECOND  # how far ahead of UTC a date without a time zone may be


@dataclass(frozen=True)
class Layout:
    """Names of columns, None where the table has none. entities: kind of entity -> column. declined: values of `action`
    that mean it. scenario: which known kind of fraud a row is, as simulated sets say. clock: how times are written.
    columns: what else is read. missing: words that mean a missing value besides the usual ones.
    """

    time: str
    amount: str
    entities: Mapping[str, str]
    clock: Clock
    id: str | None = None
    target: str | None = None
    known_at: str | None = None
    action: str | None = None
    declined: tuple[str, ...] = ()
    scenario: str | None = None
    columns: Columns = field(default_factory=lambda: Columns(()))
    missing: tuple[str, ...] = ()

    def roles(self) -> Iterator[tuple[str, str]]:
        """Each key of `data` with the column it names."""
        for key in ("id", "time", "amount", "target", "known_at", "action"):
            if (name := getattr(self, key)) is not None:
                yield f"data.{key}", name
        yield from (("data.entity", name) for name in self.entities.values())

    def to_json(self) -> dict[str, object]:
        """As plain values for `data.json` and the bundle."""
        return asdict(self) | {
            "entities": dict(self.entities),
            "clock": self.clock.to_json(),
            "columns": self.columns.to_json(),
            "declined": list(self.declined),
            "missing": list(self.missing),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Layout:
        """The inverse of `to_json`."""
        return cls(
            **dict(saved)
            | {
                "clock": TypeAdapter(Clock).validate_python(saved["clock"]),
                "columns": Columns.from_json(saved["columns"]),
                "declined": tuple(saved["declined"]),
                "missing": tuple(saved["missing"]),
            }
        )


def check_names(roles: Iterator[tuple[str, str]], present: list[str], where: str) -> None:
    """Raises UserError where a key names a column that the table lacks, or two keys the same one."""
    taken: dict[str, str] = {}
    for key, name in roles:
        if name not in present:
            raise UserError(f"{where}: found no column `{name}`, which `{key}` names; {did_you_mean(name, present)}")
        if name in taken:
            raise UserError(
                f"{where}: column `{name}` is named by `{taken[name]}` and by `{key}`, expected one of them"
            )
        taken[name] = key


def transactions_of(
    table: pa.Table, layout: Layout, *, where: str = "the rows", now: int | None = None, repeats: bool = False
) -> tuple[Transactions, tuple[str, ...]]:
    """The table's rows in the order of time, and what is to be said about them.

    where: what messages call the table; rows count from 1. now: the present moment, microseconds, to tell what lies in
    the future; None: not told. repeats: whether equal rows without an id are as published, and so may stay.

    Raises UserError with row and column for a missing time, amount or entity, for an id that is there twice, for equal
    rows that no id tells apart, for a target that is neither 0 nor 1, and for times that are not of one kind and zone.
    """
    check_names(layout.roles(), table.column_names, where)
    time = moments(table.column(layout.time), name=layout.time, where=where, clock=layout.clock)
    seen, early = time, 0
    if layout.known_at is not None:
        given = moments(table.column(layout.known_at), name=layout.known_at, where=where, clock=layout.clock)
        seen, early = np.maximum(given, time), int((given < time).sum())
    amount = amounts(table.column(layout.amount), name=layout.amount, where=where)
    entities, levels = {}, {}
    for kind, name in layout.entities.items():
        entities[kind], levels[kind] = levels_of(table.column(name), name=name, where=where)
    label = np.full(len(time), NO_OUTCOME, np.int8)
    if layout.target is not None:
        label = labels(table.column(layout.target), name=layout.target, where=where)
    declined = _declined(table, layout)
    unknown = int((label[~declined] == NO_OUTCOME).sum()) if layout.target is not None else 0
    label[declined] = NO_OUTCOME
    rows = Transactions(
        id=numbers(1, len(time) + 1)
        if layout.id is None
        else ids(table.column(layout.id), table=table, name=layout.id, where=where),
        time=time,
        seen=seen,
        amount=amount,
        entities=entities,
        levels=levels,
        label=label,
        declined=declined,
        extras=layout.columns.encode(table, where=where),
        columns=layout.columns,
        scenario=None if layout.scenario is None else table.column(layout.scenario).to_numpy().astype(np.int8),
    )
    if layout.id is None and not repeats:
        reject_repeated_rows(rows, where=where)
    behind = int((time < np.maximum.accumulate(time)).sum())
    notes = [
        (behind, f"{behind:,} rows stood below a later one: sorted by `{layout.time}`"),
        (early, f"{early:,} rows are known before they happen, says `{layout.known_at}`: taken as known when they do"),
        (unknown, f"{unknown:,} rows without a `{layout.target}`: part of the history, nothing is learned from them"),
        (int(declined.sum()), f"{declined.sum():,} rows were declined: part of the history, without an outcome"),
        ((amount < 0).sum(), f"amounts below zero: {(amount < 0).sum():,} rows, kept as money that went back"),
        ((amount == 0).sum(), f"amounts of zero: {(amount == 0).sum():,} rows, kept"),
    ]
    told = [note for count, note in notes if count]
    if now is not None:
        told += _future(time, layout, now)
    return (rows.take(np.argsort(time, kind="stable")) if behind else rows), tuple(told)


def _declined(table: pa.Table, layout: Layout) -> NDArray[np.bool_]:
    if layout.action is None:
        return np.zeros(len(table), bool)
    code, texts = texts_of(table.column(layout.action))
    means = np.append(np.isin(texts, layout.declined), False)  # code -1, nothing said: carried out
    declined: NDArray[np.bool_] = means[code]
    return declined


def _future(time: Whole, layout: Layout, now: int) -> list[str]:
    late = time > now + (0 if layout.clock.zone else ZONES)
    if not late.any():
        return []
    row = int(np.argmax(late))
    return [
        f"{late.sum():,} rows lie in the future by this machine's clock, the first is row {row + 1}: "
        f"{layout.clock.told(int(time[row]))}"
        + ("; are they milliseconds? numbers are read as seconds" if layout.clock.kind == "number" else "")
    ]
