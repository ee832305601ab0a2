"""Which columns a model reads, and whether each is a number or a category.

`infer_kinds` looks at all rows and decides the kinds; `fit_levels` then learns the levels of the categories from the
training rows alone, so that nothing of the test rows enters the model:

    kinds = fit_levels(infer_kinds(table, overrides={"zip": "category"}, skip=["default"]), table.take(train))
    rows = kinds.columns.encode(table)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lepton_solutions.data.columns import (
    Column,
    Columns,
    Kind,
    as_number,
    as_text,
    is_number_text,
    is_numeric,
    is_text,
    plain_values,
    refuse_text,
    reject_duplicate_names,
)
from lepton_solutions.errors import UserError, did_you_mean

Override = Literal["numeric", "category", "ignore"]

NUMERIC_SHARE = 0.9  # from this share of numbers on, the rest of a text column are taken for slips, not for categories
MAX_LEVELS = 255
MANY_LEVELS = 100  # with more levels than this, most of them seen once, a category says who rather than what
SHORTEST_NUMBERING = 50  # rows; shorter runs such as 1, 2, 3 turn up by chance
_DATE = r"^(\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?|\d{1,2}[./]\d{1,2}[./]\d{4})$"

# Decimal sign -> numbers written with it; the other sign may divide thousands. RE2, hence no lookahead.
NOTATION = {
    ".": r"^[+-]?(([1-9]\d{0,2}(,\d{3})+|\d+)(\.\d*)?|\.\d+)([eE][+-]?\d+)?$",
    ",": r"^[+-]?(([1-9]\d{0,2}(\.\d{3})+|\d+)(,\d*)?|,\d+)([eE][+-]?\d+)?$",
}


@dataclass(frozen=True)
class Kinds:
    """The inputs, the columns left out with the reason, and remarks for the report."""

    columns: Columns
    ignored: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def infer_kinds(
    table: pa.Table,
    *,
    overrides: Mapping[str, Override] | None = None,
    skip: Collection[str] = (),
    where: str = "the rows",
) -> Kinds:
    """The kind of every column that is not in `skip`; categories have no levels yet, see `fit_levels`.

    overrides: kinds the user states, which win, but a wholly missing column is never read. where: the table's name in
    messages. Raises UserError for an unknown override, a column of numbers with some text in it, and infinities.
    """
    reject_duplicate_names(table.column_names, where)
    overrides = overrides or {}
    candidates = [name for name in table.column_names if name not in set(skip)]
    _reject_unknown(overrides, table.column_names, skip, where)
    columns: list[Column] = []
    ignored: dict[str, str] = {}
    for name in candidates:
        values, stated = table.column(name), overrides.get(name)
        if stated == "ignore":
            ignored[name] = "ignored by the config"
        elif values.null_count == len(values):
            ignored[name] = "wholly missing"
        elif stated is not None:
            columns.append(Column(name, stated))
        else:
            kind, reason = _infer(values, name, where)
            if kind is None:
                ignored[name] = reason
            else:
                columns.append(Column(name, kind))
    if not columns:
        reasons = "; ".join(f"`{name}`: {reason}" for name, reason in ignored.items())
        raise UserError(f"{where}: found no column to learn from, expected at least one", hint=reasons or None)
    return Kinds(Columns(tuple(columns)), ignored)


def fit_levels(kinds: Kinds, train: pa.Table) -> Kinds:
    """The same kinds with the levels that occur in the training rows, sorted by name, the `MAX_LEVELS` most frequent.

    A column that is wholly missing in the training rows is left out, with the reason.
    """
    columns: list[Column] = []
    ignored, notes = dict(kinds.ignored), list(kinds.notes)
    for column in kinds.columns.columns:
        values = train.column(column.name)
        if values.null_count == len(values):
            ignored[column.name] = "wholly missing in the training rows"
        elif column.kind == "numeric":
            columns.append(column)
        else:
            counts = _counts(values)
            levels = sorted(counts, key=lambda level: (-counts[level], level))
            if len(levels) > MAX_LEVELS:
                rare = sum(counts[level] for level in levels[MAX_LEVELS:])
                notes.append(
                    f"column `{column.name}` has {len(levels):,} levels; the {MAX_LEVELS} most frequent are kept, "
                    f"the others ({rare:,} of {len(values):,} training rows) count as unseen"
                )
            columns.append(replace(column, levels=tuple(sorted(levels[:MAX_LEVELS]))))
    return Kinds(Columns(tuple(columns)), ignored, tuple(notes))


def _reject_unknown(overrides: Mapping[str, Override], names: list[str], skip: Collection[str], where: str) -> None:
    for name, kind in overrides.items():
        if name not in names:
            raise UserError(f"data.kinds: {where} has no column `{name}`; {did_you_mean(name, names)}")
        if name in skip:
            raise UserError(f"data.kinds.{name}: the column is no input, because the config gives it another part")
        if kind not in get_args(Override):
            expected = ", ".join(get_args(Override))
            raise UserError(f"data.kinds.{name}: found `{kind}`, expected one of {expected}")


def _infer(column: pa.ChunkedArray, name: str, where: str) -> tuple[Kind | None, str]:
    """The kind of a column that is not wholly missing, or None and why it is left out."""
    dictionary, plain = pa.types.is_dictionary(column.type), plain_values(column)
    if pa.types.is_nested(plain.type) or pa.types.is_binary(plain.type):
        return None, f"values of type {plain.type}"
    if pa.types.is_temporal(plain.type) or (is_text(plain.type) and _all_match(plain, _DATE)):
        return None, "a date"
    levels = plain.unique()  # missing counts as one: it may tell something
    if len(levels) == 1:
        return None, f"constant: every row holds `{as_text(levels)[0]}`"
    if not dictionary and (
        is_numeric(plain.type) or (is_text(plain.type) and _is_written_as_numbers(plain, name, where))
    ):
        if _is_numbering(as_number(plain, name=name, where=where)):
            return None, f"a row number; keep it with data.kinds.{name}=numeric"
        return "numeric", ""
    if not dictionary and len(levels) > MANY_LEVELS and 2 * len(levels) > len(plain):
        return None, f"an identifier or free text; keep it with data.kinds.{name}=category"
    return "category", ""


def _is_written_as_numbers(text: pa.Array, name: str, where: str) -> bool:
    """Raises UserError at the first text where most values, but not all, are numbers."""
    readable = is_number_text(text)
    present = len(text) - text.null_count
    numbers = int(readable.sum()) - text.null_count
    if NUMERIC_SHARE * present <= numbers < present:
        refuse_text(text, readable, name=name, where=where)
    return bool(numbers == present)


def _is_numbering(numbers: npt.NDArray[np.float64]) -> bool:
    """Whether the values are a run of whole numbers without gap, in any order. NaN makes it none."""
    if len(numbers) < SHORTEST_NUMBERING or not np.isfinite(numbers).all():
        return False
    ordered = np.sort(numbers)
    return bool(ordered[0] == np.floor(ordered[0]) and (np.diff(ordered) == 1).all())


def _counts(column: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs, as text, missing ones left out."""
    counted = pc.value_counts(as_text(column).drop_null())
    values, counts = counted.flatten()
    return dict(zip(values.to_pylist(), counts.to_pylist(), strict=True))


def _all_match(text: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(text, pattern)).as_py())


def plain_digits(batches: Iterable[pa.RecordBatch], delimiter: str) -> Iterator[pa.RecordBatch]:
    """Numbers written as 1,234.50 or 1.234,50 become 1234.50, in text columns whose first batch is consistent.

    A value that breaks with its column's notation stays as it is, to be refused where a number is expected.
    """
    signs: list[str | None] = []
    for i, batch in enumerate(batches):
        signs = signs if i else _decimal_signs(batch, delimiter)
        columns = [_rewritten(column, sign) for column, sign in zip(batch.columns, signs, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _decimal_signs(batch: pa.RecordBatch, delimiter: str) -> list[str | None]:
    """Per column the decimal sign, None if it cannot be told; the other columns tell how `1,234` is meant."""
    fitting = [_fitting_signs(text) for text in batch.columns]
    votes = fitting.count(".") - fitting.count(",")
    signs: list[str | None] = []
    for text, fits in zip(batch.columns, fitting, strict=True):
        if len(fits) < 2:
            signs.append(fits or None)
        elif votes:
            signs.append("." if votes > 0 else ",")
        elif delimiter != ";":
            signs.append(".")
        else:  # semicolons divide fields where the comma is the decimal sign; dots alone prove no thousands
            signs.append("," if pc.any(pc.match_substring(text, ",")).as_py() else None)
    return signs


def _fitting_signs(text: pa.Array) -> str:
    """The decimal signs under which every value that holds a dot or a comma is a number: "", ".", "," or ".,"."""
    signed = text.filter(pc.match_substring_regex(text, "[.,]"))
    misfits = {sign: pc.invert(pc.match_substring_regex(signed, NOTATION[sign])) for sign in NOTATION}
    return "".join(sign for sign, misfit in misfits.items() if not pc.any(misfit).as_py())


def _rewritten(text: pa.Array, sign: str | None) -> pa.Array:
    if sign is None or not pc.any(pc.match_substring_regex(text, "," if sign == "." else "[.,]")).as_py():
        return text
    digits = pc.replace_substring(text, "," if sign == "." else ".", "")
    digits = digits if sign == "." else pc.replace_substring(digits, ",", ".")
    return pc.if_else(pc.match_substring_regex(text, NOTATION[sign]), digits, text)
