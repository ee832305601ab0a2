"""What a model reads from a table, and how one row becomes numbers: the same code in training and in serving.

A column is a number or a category. `Columns.encode` turns an Arrow table into `Rows`: float32 numbers with NaN where a
value is missing, and int64 codes, 0 for a level that was never seen, 1 for missing, 2 and above for levels in order.
Only numpy and pyarrow are imported here, because the predictor imports this module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lepton_solutions.errors import UserError, did_you_mean

Kind = Literal["numeric", "category"]

MISSING_WORDS = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "?", "#N/A")
UNSEEN, MISSING, FIRST_LEVEL = 0, 1, 2

NUMBER = r"^\s*[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:inf|infinity|nan))\s*$"
_MIDNIGHT = r"([ T]00:00:00)?(\.0+)?Z?$"
_EXACT_INTEGERS = 2.0**53  # from here on not every whole number is a double


class ColumnJson(TypedDict):
    name: str
    kind: Kind
    levels: list[str]


class ColumnsJson(TypedDict):
    columns: list[ColumnJson]


@dataclass(frozen=True)
class Column:
    """One input of a model; `levels` are the known values of a category, in the order of their codes."""

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Encoded rows. numeric: float32 [n, p], NaN = missing. codes: int64 [n, q], 0 unseen, 1 missing, 2.. levels."""

    numeric: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numeric)

    def take(self, which: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> Rows:
        """The rows at these positions, or where this mask of length n is true."""
        return Rows(self.numeric[which], self.codes[which])


@dataclass(frozen=True)
class Columns:
    """The inputs of a model in order; numbers and categories each keep their order in `Rows`."""

    columns: tuple[Column, ...]

    @property
    def numeric(self) -> list[Column]:
        return [column for column in self.columns if column.kind == "numeric"]

    @property
    def categories(self) -> list[Column]:
        return [column for column in self.columns if column.kind == "category"]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def extra(self, names: Iterable[str]) -> list[str]:
        """Which of these names `encode` would not read."""
        return [name for name in names if name not in set(self.names)]

    def encode(self, table: pa.Table | pa.RecordBatch, *, where: str = "the rows", first_row: int = 1) -> Rows:
        """The rows of `table` as numbers and codes; columns that are not ours are passed over.

        where: what messages call the table, such as its file name. first_row: number of the table's first row, for
        batches of a stream; the first row after a header is 1.
        Raises UserError for an absent or doubled column, and for a number that is text or infinite.

        >>> columns = Columns((Column("age", "numeric"), Column("job", "category", ("clerk", "cook"))))
        >>> rows = columns.encode(pa.table({"job": ["cook", None, "pilot"], "age": ["29", "31.5", None]}))
        >>> rows.numeric.ravel().tolist(), rows.codes.ravel().tolist()
        ([29.0, 31.5, nan], [3, 1, 0])
        """
        present = table.schema.names
        reject_duplicate_names(present, where)
        self._reject_absent(present, where)
        numeric = np.empty((len(table), len(self.numeric)), np.float32)
        codes = np.empty((len(table), len(self.categories)), np.int64)
        for i, column in enumerate(self.numeric):
            values = table.column(column.name)
            numeric[:, i] = as_number(values, name=column.name, where=where, first_row=first_row)
        for i, column in enumerate(self.categories):
            codes[:, i] = _codes(table.column(column.name), column.levels)
        return Rows(numeric, codes)

    def _reject_absent(self, present: Sequence[str], where: str) -> None:
        absent = [name for name in self.names if name not in set(present)]
        if not absent:
            return
        spare = self.extra(present) or present
        if len(absent) == 1:
            raise UserError(f"{where}: column `{absent[0]}` is absent; {did_you_mean(absent[0], spare)}")
        near = [(name, did_you_mean(name, spare)) for name in absent]
        named = ", ".join(f"`{name}` ({hint})" if hint.startswith("did") else f"`{name}`" for name, hint in near)
        raise UserError(f"{where}: {len(absent)} columns are absent: {named}")

    def to_json(self) -> ColumnsJson:
        """As plain values for `inputs.json` of a bundle."""
        return {"columns": [{"name": c.name, "kind": c.kind, "levels": list(c.levels)} for c in self.columns]}

    @classmethod
    def from_json(cls, saved: ColumnsJson) -> Columns:
        """The inverse of `to_json`."""
        return cls(tuple(Column(c["name"], c["kind"], tuple(c["levels"])) for c in saved["columns"]))


def as_number(
    column: pa.Array | pa.ChunkedArray, *, name: str, where: str = "the rows", first_row: int = 1
) -> npt.NDArray[np.float64]:
    """One column as float64 [n], NaN where missing; text is parsed, blanks around it are allowed, true is 1.

    Raises UserError for text that is no number, for dates and nested values, and for what float32 cannot hold: the
    models compute in float32, where 1e300 is an infinity.
    """
    plain = plain_values(column)
    if is_text(plain.type):
        readable = is_number_text(plain)
        if not readable.all():
            refuse_text(plain, readable, name=name, where=where, first_row=first_row)
        plain = pc.cast(pc.ascii_trim_whitespace(plain), pa.float64())
    elif pa.types.is_boolean(plain.type):
        plain = plain.cast(pa.uint8())
    elif not is_numeric(plain.type) and len(plain) > plain.null_count:
        raise UserError(
            f"{where}, column `{name}`: found values of type {plain.type}, expected numbers",
            hint=f"data.kinds.{name}=ignore leaves the column out",
        )
    double = plain.cast(pa.float64(), safe=False)  # the nearest one of a whole number beyond 2^53
    values: npt.NDArray[np.float64] = np.asarray(double.fill_null(np.nan), dtype=np.float64)
    _refuse_infinities(values, name=name, where=where, first_row=first_row)
    return values


def as_text(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One column as text [n], null where missing, so that a value reads the same from every file format.

    Whole numbers lose their fraction, booleans are lower case, dates are ISO: the text `1.0`, the float 1.0 and the
    integer 1 are one level, as are `True` and true.
    """
    indices, values = _distinct(column)
    return values.take(indices)


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_number_text(text: pa.Array) -> npt.NDArray[np.bool_]:
    """Which texts are written as a number, bool [n]; a missing value counts as one."""
    return np.asarray(pc.match_substring_regex(text, NUMBER).fill_null(True))


def refuse_text(
    text: pa.Array, readable: npt.NDArray[np.bool_], *, name: str, where: str, first_row: int = 1
) -> NoReturn:
    """Raises the UserError that names the first row whose text is no number. readable: bool [n], not all true."""
    row = int(np.argmin(readable))
    found, alike = text[row].as_py(), int((~readable).sum())
    like_it = "no other row is like it" if alike == 1 else f"{alike:,} rows are like it"
    raise UserError(
        f"{where}, row {first_row + row}, column `{name}`: found `{found}`, expected a number",
        hint=f"{like_it}; in training, data.missing=[{found}] reads it as missing, "
        f"data.kinds.{name}=category keeps the column as categories",
    )


def reject_duplicate_names(names: Sequence[str], where: str) -> None:
    """Raises UserError when two columns have one name, because neither could be meant by it."""
    doubled = [name for name, times in Counter(names).items() if times > 1]
    if doubled:
        shown = ", ".join(f"`{name}`" for name in doubled)
        raise UserError(f"{where}: found more than one column named {shown}, expected each name once")


def plain_values(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One contiguous array; a dictionary (categorical) column gives its values."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return plain.cast(pa.string()) if pa.types.is_string_view(plain.type) else plain


def _refuse_infinities(values: npt.NDArray[np.float64], *, name: str, where: str, first_row: int) -> None:
    with np.errstate(over="ignore"):
        infinite = np.isinf(values.astype(np.float32))
    if infinite.any():
        row, count = int(np.argmax(infinite)), int(infinite.sum())
        raise UserError(
            f"{where}, row {first_row + row}, column `{name}`: found {values[row]:g}, expected a number "
            f"between -{np.finfo(np.float32).max:.2g} and {np.finfo(np.float32).max:.2g}",
            hint=f"{count:,} such value{'s' if count > 1 else ''}; leave it empty where the number is not known",
        )


def _codes(column: pa.Array | pa.ChunkedArray, levels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Codes of one category, int64 [n]. Looked up once per distinct value, not per row."""
    indices, values = _distinct(column)
    known = pc.index_in(values, value_set=pa.array(levels, pa.string())).cast(pa.int64())
    code = pc.if_else(values.is_null(), MISSING, pc.add(known, FIRST_LEVEL).fill_null(UNSEEN))
    return np.asarray(code.take(indices).fill_null(MISSING), dtype=np.int64)


def _distinct(column: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """Which distinct value each row holds [n], null where missing, and the values as text; two may be equal."""
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column
        column = column.combine_chunks()
    encoded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
    return encoded.indices, _value_text(encoded.dictionary)


def _value_text(values: pa.Array) -> pa.Array:
    kind = values.type
    if is_text(kind):
        text = pc.utf8_trim_whitespace(values.cast(pa.string()))
        text = pc.replace_substring_regex(text, r"^(-?\d+)\.0+$", r"\1")
        return pc.if_else(pc.match_substring_regex(text, "^(?i:true|false)$"), pc.utf8_lower(text), text)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _number_text(values)
    if pa.types.is_temporal(kind):  # a date read as a timestamp is the same date
        return pc.replace_substring_regex(values.cast(pa.string()), _MIDNIGHT, "")
    return values.cast(pa.string())


def _number_text(values: pa.Array) -> pa.Array:
    """Shortest text that reads back as the same number; whole numbers as integers, NaN as missing."""
    double = values.cast(pa.float64())
    whole = pc.and_(pc.equal(pc.trunc(double), double), pc.less(pc.abs(double), _EXACT_INTEGERS))
    integer = pc.if_else(whole, double, None).cast(pa.int64()).cast(pa.string())
    shortest = (double if pa.types.is_decimal(values.type) else values).cast(pa.string())
    return pc.if_else(pc.is_nan(double), None, pc.coalesce(integer, shortest))


def clean(batches: Iterable[pa.RecordBatch], missing: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The batches with text trimmed, and null for NaN, for the words that mean missing and for numbers they spell."""
    words = pa.array([*MISSING_WORDS, *missing], pa.string())
    numbers = pc.cast(words.filter(pc.match_substring_regex(words, r"^-?\d+(\.\d+)?$")), pa.float64())
    for batch in batches:
        columns = [_clean_column(column, words, numbers) for column in batch.columns]
        yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _clean_column(column: pa.Array, words: pa.Array, numbers: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind) and is_text(kind.value_type):
        return _clean_column(column.dictionary_decode(), words, numbers).dictionary_encode()
    if is_text(kind):
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
        return pc.if_else(pc.is_in(text, value_set=words), pa.scalar(None, pa.string()), text)
    if is_numeric(kind):
        double = column.cast(pa.float64(), safe=False)  # ids of 64 bits are not all doubles
        gone = pc.or_kleene(pc.is_nan(double), pc.is_in(double, value_set=numbers))
        return pc.if_else(gone, pa.scalar(None, kind), column)
    return column
