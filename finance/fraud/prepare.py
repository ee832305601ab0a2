"""The first stage: which transactions there are, which periods they fall into, and whether anything knows the future.

Source, split, audit. Nothing is learned here but which levels of further columns the train period holds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finance.fraud.audit import Features, audit, audit_truncation
from finance.fraud.features import Definition
from finance.fraud.features import names as names_of
from finance.fraud.history import histories
from finance.fraud.inputs import definition_of
from finance.fraud.layout import Layout
from finance.fraud.parts import Period, split_in_time
from finance.fraud.settings import Fraud
from finance.fraud.sources import Collected, collect
from finance.fraud.transactions import FRAUD, NO_OUTCOME, UNIT, Transactions, Whole
from lepton_solutions.data.columns import FIRST_LEVEL, MISSING, UNSEEN, Column, Columns, Rows
from lepton_solutions.data.findings import failures
from lepton_solutions.data.kinds import MAX_LEVELS
from lepton_solutions.data.splits import PARTS, TRAIN
from lepton_solutions.data.times import read_moments
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json, write_text
from lepton_solutions.reporting.run import Record

ARRAYS, FACTS, AUDIT = "transactions.npz", "data.json", "audit.json"
FEATURES, DEFINITION = "features.npy", "features.json"


class PartFacts(Record):
    """One period. begin, end: microseconds; told: both as the table writes them. amount: of its frauds, units."""

    begin: int
    end: int
    told: str
    rows: int
    frauds: int
    amount: float

    @property
    def period(self) -> Period:
        return Period(self.begin, self.end)


class Card(Record):
    """`data.json`: what is known of the transactions beside their arrays.

    layout: how new rows are read, see `layout.Layout`; its columns have the levels of the train period. entities: how
    many there are of each kind. amount: of all frauds, units. earlier: parts of the prequential periods before.
    """

    source: str
    layout: dict[str, object]
    rows: int
    frauds: int
    amount: float
    declined: int
    without_outcome: int
    entities: dict[str, int]
    parts: dict[str, PartFacts]
    earlier: tuple[dict[str, PartFacts], ...] = ()
    licence: str | None
    cite: str | None
    meanings: dict[str, str]
    notes: list[str]

    def read_layout(self) -> Layout:
        """How new rows are read."""
        return Layout.from_json(self.layout)


@dataclass(frozen=True)
class Prepared:
    """What the stage leaves. parts: int8 [periods, n], an index into `PARTS`, -1 for rows that are history alone, of
    each prequential period, the latest first. period: which of them is meant; `card.parts` are those of this one.
    """

    transactions: Transactions
    parts: NDArray[np.int8]
    card: Card
    period: int = 0

    @property
    def part(self) -> NDArray[np.int8]:
        """[n], of this period."""
        return self.parts[self.period]

    def rows(self, part: int) -> Whole:
        """Positions of one part, in the order of time."""
        return np.flatnonzero(self.part == part)

    def earlier(self) -> list[Prepared]:
        """The same of the periods before, the latest first."""
        return [
            replace(self, card=self.card.model_copy(update={"parts": parts}), period=number)
            for number, parts in enumerate(self.card.earlier, 1)
        ]


def prepare(
    settings: Fraud,
    run: Path,
    out: Path,
    *,
    collected: Collected,
    features: Features | None = None,
    names: Sequence[str] = (),
) -> NDArray[np.int8]:
    """Transactions, parts and audit, and the part of each row in each period [periods, n]; a failing audit ends the
    run, and `audit.json` stays to say why.

    features, names: what the models will read of a history, and the names of that, to be tested for knowledge of the
    future.
    """
    rows, asked, clock = collected.transactions, settings.split, collected.layout.clock
    cut = partial(split_in_time, rows, asked, delay=settings.features.delay, clock=clock)
    each = [cut(earlier=number) for number in range(asked.periods)]
    parts, periods = np.stack([part for part, _ in each]), [period for _, period in each]
    part = parts[0]
    findings = audit(rows, part, target=collected.layout.target or "fraud")
    if features is not None:
        findings = audit_truncation(rows, features, delay=settings.features.delay, names=names) + findings
    rows, notes = with_levels_of(rows, part == TRAIN)
    layout = replace(collected.layout, columns=rows.columns)
    write(replace(collected, transactions=rows, layout=layout, notes=(*collected.notes, *notes)), parts, periods, out)
    write_json(out / AUDIT, [finding.to_json() for finding in findings])
    error = failures(findings)
    if error is not None:
        (out / AUDIT).replace(run / AUDIT)
        raise UserError(f"{collected.name}: {error.message}", hint=error.hint)
    return parts


def prepare_rows(settings: Fraud, run: Path, out: Path, *, collected: Collected | None = None) -> None:
    """The first stage: `prepare`, and the histories of all rows that are in a part, float32 [n, features]."""
    found = _until(settings.split.until, collect(settings.data) if collected is None else collected)
    definition = definition_of(settings, tuple(found.transactions.entities))
    features = partial(histories, definition=definition)
    parts = prepare(settings, run, out, collected=found, features=features, names=names_of(definition))
    write_json(out / DEFINITION, definition.to_json())
    np.save(out / FEATURES, features(found.transactions)[kept(parts)].astype(np.float32))


def kept(parts: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Of which rows features are kept, [n]: those in a part of any period. parts: [periods, n]."""
    used: NDArray[np.bool_] = np.any(parts >= 0, axis=0)
    return used


def _until(moment: str | None, found: Collected) -> Collected:
    """What happened before the moment."""
    if moment is None:
        return found
    clock, name = found.layout.clock, "split.until"
    (end,) = read_moments(pa.array([moment]), name=name, where=name, clock=clock)[1]
    rows = found.transactions
    before = int(np.searchsorted(rows.time, end))
    if not before:
        raise UserError(f"{name}: no transaction is before {moment}, the first is at {clock.told(int(rows.time[0]))}")
    return replace(found, transactions=rows.take(slice(0, before)))


def read_definition(folder: Path) -> Definition:
    """Which histories a run or a bundle counts."""
    return Definition.from_json(json.loads((folder / DEFINITION).read_text(encoding="utf-8")))


def with_levels_of(transactions: Transactions, train: NDArray[np.bool_]) -> tuple[Transactions, list[str]]:
    """The same with the further columns as the train rows know them, and what was left out.

    train: bool [n]. Of a category the levels among them, the `MAX_LEVELS` most frequent; others become unseen. Columns
    without a value there are gone.
    """
    rows, notes = transactions.extras, []
    numbers, codes, columns = [], [], []
    for column, values in zip(transactions.columns.numeric, rows.numeric.T, strict=True):
        if np.isnan(values[train]).all():
            notes.append(f"column `{column.name}` is not read: without a value in the train period")
            continue
        numbers.append(values)
        columns.append(column)
    for column, code in zip(transactions.columns.categories, rows.codes.T, strict=True):
        count = np.bincount(code[train], minlength=FIRST_LEVEL + len(column.levels))[FIRST_LEVEL:]
        if not count.any():
            notes.append(f"column `{column.name}` is not read: without a value in the train period")
            continue
        kept = np.sort(np.argsort(-count, kind="stable")[: min(MAX_LEVELS, np.count_nonzero(count))])
        if np.count_nonzero(count) > len(kept):
            notes.append(f"column `{column.name}`: the {MAX_LEVELS} most frequent of its levels are told apart")
        new = np.full(FIRST_LEVEL + len(column.levels), UNSEEN)
        new[MISSING] = MISSING
        new[FIRST_LEVEL + kept] = FIRST_LEVEL + np.arange(len(kept))
        codes.append(new[code])
        columns.append(Column(column.name, "category", tuple(column.levels[i] for i in kept)))
    extras = Rows(
        np.stack(numbers, axis=1) if numbers else np.empty((len(rows), 0), np.float32),
        np.stack(codes, axis=1) if codes else np.empty((len(rows), 0), np.int64),
    )
    return replace(transactions, extras=extras, columns=Columns(tuple(columns))), notes


def write(found: Collected, parts: NDArray[np.int8], periods: Sequence[dict[str, Period]], folder: Path) -> None:
    """`transactions.npz` and `data.json`. parts: [periods, n]."""
    rows = found.transactions
    arrays: dict[str, NDArray[np.generic]] = {
        "id": rows.id,
        "time": rows.time,
        "amount": rows.amount,
        "label": rows.label,
        "declined": rows.declined,
        "numeric": rows.extras.numeric,
        "codes": rows.extras.codes,
        "parts": parts,
    }
    arrays |= {} if rows.seen is rows.time else {"seen": rows.seen}
    arrays |= {} if rows.scenario is None else {"scenario": rows.scenario}
    arrays |= {f"entity/{kind}": codes for kind, codes in rows.entities.items()}
    arrays |= {f"levels/{kind}": names for kind, names in rows.levels.items()}
    np.savez(folder / ARRAYS, **arrays)  # type: ignore[arg-type]  # numpy's stub means its own keywords
    fraud = rows.label == FRAUD
    told = [
        {
            name: PartFacts(
                begin=period[name].begin,
                end=period[name].end,
                told=period[name].told(found.layout.clock),
                rows=int((part == code).sum()),
                frauds=int((fraud & (part == code)).sum()),
                amount=float(rows.amount[fraud & (part == code)].sum() / UNIT),
            )
            for code, name in enumerate(PARTS)
        }
        for part, period in zip(parts, periods, strict=True)
    ]
    card = Card(
        source=found.name,
        layout=found.layout.to_json(),
        rows=len(rows),
        frauds=int(fraud.sum()),
        amount=float(rows.amount[fraud].sum() / UNIT),
        declined=int(rows.declined.sum()),
        without_outcome=int((rows.label == NO_OUTCOME).sum()),
        entities={kind: len(names) for kind, names in rows.levels.items()},
        parts=told[0],
        earlier=tuple(told[1:]),
        licence=found.licence,
        cite=found.cite,
        meanings=dict(found.meanings),
        notes=list(found.notes),
    )
    write_text(folder / FACTS, json.dumps(card.model_dump(mode="json"), indent=1) + "\n")


def read(folder: Path) -> Prepared:
    """What `prepare` wrote into a run folder."""
    card = Card.model_validate_json((folder / FACTS).read_text(encoding="utf-8"))
    with np.load(folder / ARRAYS, allow_pickle=False) as saved:
        arrays = {name: saved[name] for name in saved.files}

    def named(prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}

    rows = Transactions(
        id=arrays["id"],
        time=arrays["time"],
        seen=arrays.get("seen", arrays["time"]),
        amount=arrays["amount"],
        entities=named("entity/"),
        levels=named("levels/"),
        label=arrays["label"],
        declined=arrays["declined"],
        extras=Rows(arrays["numeric"], arrays["codes"]),
        columns=card.read_layout().columns,
        scenario=arrays.get("scenario"),
    )
    return Prepared(rows, arrays["parts"], card)
