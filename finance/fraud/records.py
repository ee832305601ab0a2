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

KNOWN_LATER = ("id", "target", "known_at", "action")  # keys of a layout whose columns may be absent
UNSEEN_LEVEL = "\x00 no such level"


def read_raw(given: Raw, layout: Layout, *, where: str = "the transactions") -> tuple[Transactions, Whole]:
    """The transactions in the order of time, and [n] where each stands in what was given.

    An id may be there twice. Where the layout names no id, or the column is absent, the id is a sum over all that is
    read of a row but its outcome: equal rows then have the same one. Raises UserError with row and column as
    `transactions_of` does.
    """
    table = given if isinstance(given, pa.Table | pa.RecordBatch) else table_of(given, layout.missing)
    table = pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
    present = set(table.column_names)
    absent = {key: None for key in KNOWN_LATER if getattr(layout, key) not in present}
    # Read without its id, a row is named by its number, which says where it stood.
    plain = replace(layout, **{**absent, "id": None, "scenario": None})
    rows, _ = transactions_of(table, plain, where=where, repeats=True)
    place = rows.id.astype(np.int64) - 1
    if "id" in absent:
        return replace(rows, id=content_ids(rows)), place
    assert layout.id is not None
    return replace(rows, id=_names(table.column(layout.id), name=layout.id, where=where)[place]), place


def content_ids(rows: Transactions) -> NDArray[np.str_]:
    """For each row 32 letters over its times, amount, entities and further columns, [n]."""
    names = [levels[codes] for levels, codes in ((rows.levels[kind], rows.entities[kind]) for kind in rows.entities)]
    found = []
    for i in range(len(rows)):
        said = "\x1f".join([str(rows.time[i]), str(rows.seen[i]), str(rows.amount[i]), *(str(name[i]) for name in names)])
        extras = rows.extras.numeric[i].tobytes() + rows.extras.codes[i].tobytes()
        found.append(blake2b(said.encode() + b"\x1e" + extras, digest_size=16).hexdigest())
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
        found[layout.action] = pa.array([layout.declined[0] if declined else None for declined in rows.declined.tolist()])
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


def _names(column: pa.ChunkedArray, *, name: str, where: str) -> NDArray[np.str_]:
    plain = plain_values(column)
    text = plain.cast(pa.string()) if pa.types.is_integer(plain.type) else as_text(plain)
    if text.null_count:
        row = text.is_null().index(True).as_py() + 1
        raise UserError(f"{where}, row {row}, column `{name}`: found nothing, expected an id")
    longest = pc.max(pc.utf8_length(text)).as_py()
    if longest > LONGEST_ID:
        row = pc.utf8_length(text).index(longest).as_py() + 1
        raise UserError(f"{where}, row {row}, column `{name}`: found {longest:,} letters, expected at most {LONGEST_ID}")
    return np.asarray(text.to_numpy(zero_copy_only=False), np.str_)
