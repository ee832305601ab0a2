"""Raw transactions as they are given to a model that is in use, and the same put back into raw rows.

The layout of training reads them. What is known of a transaction only later (`target`, `known_at`, `action`) is read
where it stands beside it, and not asked for. Imports neither torch, pandas nor scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from finance.fraud.layout import Layout, transactions_of
from finance.fraud.reading import LONGEST_ID
from finance.fraud.transactions import FRAUD, NO_OUTCOME, SECOND, UNIT, Transactions, Whole
from lepton_solutions.data.columns import FIRST_LEVEL, MISSING, Rows, as_text, plain_values
from lepton_solutions.deploy.predictor import table_of
from lepton_solutions.errors import UserError

Raw: TypeAlias = Sequence[Mapping[str, object]] | pa.Table | pa.RecordBatch

UNSEEN_LEVEL = "\x00 no such level"


def read_raw(given: Raw, layout: Layout, *, where: str = "the transactions") -> tuple[Transactions, Whole]:
    """The transactions in the order of time, and [n] where each stands in what was given.

    An id may be there twice. Where the layout names no id, or the column is absent, the id is a sum over all that is
    read of a row but its outcome: equal rows then have the same one. Raises UserError with row and column as
    `transactions_of` does.
    """
    table = _table(given, layout)

    def present(name: str | None) -> str | None:
        return name if name in table.column_names else None

    # Read without its id, a row is named by its number, which says where it stood.
    plain = replace(
        layout,
        id=None,
        scenario=None,
        target=present(layout.target),
        known_at=present(layout.known_at),
        action=present(layout.action),
    )
    rows, _ = transactions_of(table, plain, where=where, repeats=True)
    place = rows.id.astype(np.int64) - 1
    id = present(layout.id)
    named = content_ids(rows) if id is None else _names(table.column(id), name=id, where=where)[place]
    return replace(rows, id=named), place


def content_ids(rows: Transactions) -> NDArray[np.str_]:
    """For each row 32 letters over its times, amount, entities and further columns, [n]."""
    said = [rows.time, rows.seen, rows.amount, *(rows.levels[kind][codes] for kind, codes in rows.entities.items())]
    found = []
    for i, row in enumerate(zip(*(column.tolist() for column in said), strict=True)):
        extras = rows.extras.numeric[i].tobytes() + rows.extras.codes[i].tobytes()
        text = "\x1f".join(str(value) for value in row)  # a letter that no name holds
        found.append(blake2b(text.encode() + b"\x1e" + extras, digest_size=16).hexdigest())
    return np.array(found, "U32")


def raw_rows(rows: Transactions, layout: Layout) -> pa.Table:
    """The inverse of `read_raw`: a table in the layout's columns that is read as these rows."""
    dated = layout.clock.kind == "date"
    kind = pa.timestamp("us", "UTC" if layout.clock.zone else None)

    def moments(values: Whole) -> pa.Array:
        return pa.array(values).cast(kind) if dated else pa.array(values / SECOND)

    found = {layout.time: moments(rows.time), layout.amount: pa.array(rows.amount / UNIT)}
    found |= {name: pa.array(rows.levels[kind][rows.entities[kind]]) for kind, name in layout.entities.items()}
    if layout.id is not None:
        found[layout.id] = pa.array(rows.id)
    if layout.known_at is not None:
        found[layout.known_at] = moments(rows.seen)
    if layout.target is not None:
        found[layout.target] = pa.array((rows.label == FRAUD).astype(np.int8), mask=rows.label == NO_OUTCOME)
    if layout.action is not None:
        words = np.where(rows.declined, layout.declined[0], "")
        found[layout.action] = pa.array(words, mask=~rows.declined)
    for column, numbers in zip(layout.columns.numeric, rows.extras.numeric.T, strict=True):
        found[column.name] = pa.array(numbers)
    for column, codes in zip(layout.columns.categories, rows.extras.codes.T, strict=True):
        found[column.name] = level_texts(codes, column.levels)
    return pa.table(found)


def level_texts(codes: Whole, levels: Sequence[str]) -> pa.Array:
    """What codes [n] of a category stand for."""
    texts = pa.array([UNSEEN_LEVEL, None, *levels], pa.string())
    assert texts[MISSING].as_py() is None and len(texts) == FIRST_LEVEL + len(levels)
    return texts.take(pa.array(codes))


def joined(before: Transactions, after: Transactions) -> Transactions:
    """Both in the order of time; of an id that is in both, only the row of `after`."""
    before = before.take(~np.isin(before.id, after.id))
    time = np.concatenate([before.time, after.time])
    entities, levels = {}, {}
    for kind in after.entities:
        old, new = before.levels[kind], after.levels[kind]
        levels[kind] = np.union1d(old, new)
        codes = [np.searchsorted(levels[kind], some) for some in (old, new)]
        entities[kind] = np.concatenate([codes[0][before.entities[kind]], codes[1][after.entities[kind]]])
    both = Transactions(
        id=np.concatenate([before.id, after.id]),
        time=time,
        seen=np.concatenate([before.seen, after.seen]),
        amount=np.concatenate([before.amount, after.amount]),
        entities=entities,
        levels=levels,
        label=np.concatenate([before.label, after.label]),
        declined=np.concatenate([before.declined, after.declined]),
        extras=Rows(
            np.concatenate([before.extras.numeric, after.extras.numeric]),
            np.concatenate([before.extras.codes, after.extras.codes]),
        ),
        columns=after.columns,
    )
    return both.take(np.argsort(time, kind="stable"))


def _table(given: Raw, layout: Layout) -> pa.Table:
    if isinstance(given, pa.Table | pa.RecordBatch):
        return given if isinstance(given, pa.Table) else pa.Table.from_batches([given])
    if not given:
        named = [*(name for _, name in layout.roles()), *layout.columns.names]
        return pa.table({name: pa.array([], pa.string()) for name in named})
    return table_of(given, layout.missing)


def _names(column: pa.ChunkedArray, *, name: str, where: str) -> NDArray[np.str_]:
    plain = plain_values(column)
    text = plain.cast(pa.string()) if pa.types.is_integer(plain.type) else as_text(plain)
    if text.null_count:
        row = text.is_null().index(True).as_py() + 1
        raise UserError(f"{where}, row {row}, column `{name}`: found nothing, expected an id")
    longest = pc.max(pc.utf8_length(text)).as_py()
    if longest is not None and longest > LONGEST_ID:
        row = pc.utf8_length(text).index(longest).as_py() + 1
        told = f"found {longest:,} letters, expected at most {LONGEST_ID}"
        raise UserError(f"{where}, row {row}, column `{name}`: {told}")
    return np.asarray(text.to_numpy(zero_copy_only=False), np.str_)
