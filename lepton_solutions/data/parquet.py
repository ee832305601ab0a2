"""Rows of Parquet files as float32 inputs, read a range at a time, so that a table may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from lepton_solutions.data.readers import Piece
from lepton_solutions.errors import UserError, did_you_mean

DECODED_AT_ONCE = 65_536  # rows of a row group that is too large to take as a whole
READING_FACTOR = 1.5  # memory while a row group is read, by its decoded size; measured with 50 columns
_KINDS = {"halffloat": "float16", "float": "float32", "double": "float64"}  # NumPy names whole numbers alike
PARTS_OF_A_GROUP = 4  # at most: to read a part, all before it in the group is decoded too


class ParquetRows:
    """One file, or a folder of files in alphabetical order, with the same columns.

    target: whole numbers become int64, others float32. inputs: columns in the order wanted; None takes all but target
    and weight. Missing inputs are NaN. Raises UserError for a file that is no Parquet, a column that is absent or no
    number, and a missing target.
    """

    def __init__(
        self, path: Path, target: str, *, inputs: tuple[str, ...] | None = None, weight: str | None = None
    ) -> None:
        import pyarrow.parquet as pq

        self.files = tuple(sorted(path.rglob("*.parquet"))) if path.is_dir() else (path,)
        if not self.files:
            raise UserError(f"{path}: found no .parquet file in this folder")
        self._footers, wholes = [], []
        for file in self.files:
            try:
                footer = pq.read_metadata(file)
            except (OSError, pa.ArrowInvalid) as error:
                raise UserError(f"{file}: cannot be read as Parquet: {error}") from error
            schema = footer.schema.to_arrow_schema()
            if inputs is None:
                inputs = tuple(name for name in schema.names if name not in (target, weight))
            for name in (target, *([] if weight is None else [weight]), *inputs):
                _check_column(file, schema, name)
            kind = schema.field(target).type
            wholes.append(pa.types.is_integer(kind) or pa.types.is_boolean(kind))
            self._footers.append(footer)
        self.inputs, self.target, self.weight = inputs or (), target, weight
        self._whole = all(wholes)
        # Row groups of all files, one after the other: file, number in the file, first row.
        self._groups = [(f, g) for f, footer in enumerate(self._footers) for g in range(footer.num_row_groups)]
        sizes = [self._footers[f].row_group(g).num_rows for f, g in self._groups]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self.rows = int(self._starts[-1])
        if self.rows == 0:
            raise UserError(f"{path}: found no rows")
        self.row_bytes = 4 * len(self.inputs) + (8 if self._whole else 4) + (0 if weight is None else 4)
        groups = (self._footers[f].row_group(g).total_byte_size for f, g in self._groups)
        self.reading_bytes = int(READING_FACTOR * max(groups))

    def cuts(self, most: int) -> np.ndarray:
        cuts = [np.zeros(1, dtype=np.int64)]
        for start, stop in zip(self._starts[:-1], self._starts[1:], strict=True):
            parts = min(PARTS_OF_A_GROUP, -(-int(stop - start) // most))
            cuts.append(start + (stop - start) * np.arange(1, parts + 1) // max(parts, 1))
        return np.unique(np.concatenate(cuts))  # a group may be empty

    def read(self, start: int, stop: int) -> Piece:
        # Filled in place, a column at a time; a table of the whole range would hold it twice.
        inputs = np.empty((stop - start, len(self.inputs)), dtype=np.float32)
        target = np.empty(stop - start, dtype=np.int64 if self._whole else np.float32)
        weight = None if self.weight is None else np.empty(stop - start, dtype=np.float32)
        self._fill(start, stop, inputs, target, weight)
        return Piece((inputs,), target, weight)

    def labels(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        target = np.empty(stop - start, dtype=np.int64 if self._whole else np.float32)
        weight = None if self.weight is None else np.empty(stop - start, dtype=np.float32)
        self._fill(start, stop, None, target, weight)
        return target, weight

    def _fill(
        self, start: int, stop: int, inputs: np.ndarray | None, target: np.ndarray, weight: np.ndarray | None
    ) -> None:
        names = [self.target, *([] if self.weight is None else [self.weight])]
        names += [] if inputs is None else self.inputs
        for first, rows in self._batches(start, stop, list(dict.fromkeys(names))):
            place = slice(first - start, first - start + rows.num_rows)
            column = rows.column(rows.schema.get_field_index(self.target))
            if column.null_count:
                row = first + column.is_null().index(True).as_py()
                raise UserError(f"{self._file_of(row)}, column `{self.target}`: the target is missing")
            target[place] = _numbers(column)
            if weight is not None:
                weight[place] = _numbers(rows.column(rows.schema.get_field_index(self.weight)))
            if inputs is not None:
                for number, name in enumerate(self.inputs):
                    inputs[place, number] = _numbers(rows.column(rows.schema.get_field_index(name)))

    def _batches(self, start: int, stop: int, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Rows start..stop in turn, each with the number of its first row."""
        import pyarrow.parquet as pq

        first, last = np.searchsorted(self._starts, (start, stop - 1), side="right") - 1
        for number in range(int(first), int(last) + 1):
            file, group = self._groups[number]
            at = int(self._starts[number])
            # The footer is at hand; a buffer keeps the compressed group from being held as a whole.
            with pq.ParquetFile(self.files[file], metadata=self._footers[file], buffer_size=1 << 20) as opened:
                for rows in opened.iter_batches(DECODED_AT_ONCE, [group], columns, use_threads=False):
                    low, high = max(start - at, 0), min(stop - at, rows.num_rows)
                    if low < high:
                        yield at + low, rows.slice(low, high - low)
                    at += rows.num_rows
                    if at >= stop:
                        break

    def _file_of(self, row: int) -> str:
        file, _ = self._groups[int(np.searchsorted(self._starts, row, side="right")) - 1]
        before = sum(footer.num_rows for footer in self._footers[:file])
        return f"{self.files[file]}, row {row - before}"


def _check_column(file: Path, schema: pa.Schema, name: str) -> None:
    if name not in schema.names:
        raise UserError(f"{file}: found no column `{name}`; {did_you_mean(name, schema.names)}")
    kind = schema.field(name).type
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    ):
        raise UserError(
            f"{file}, column `{name}`: found values of type {kind}, expected numbers",
            hint="write categories as numbers before streaming, or name the input columns without this one",
        )


def _numbers(column: pa.Array) -> np.ndarray:
    """The numbers of a column, missing ones as NaN. Straight from its buffers: pyarrow's own way imports pandas."""
    if pa.types.is_boolean(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.float32(), safe=False)
    present, values = column.buffers()
    numbers = np.frombuffer(
        values, _KINDS.get(str(column.type), str(column.type)), len(column), column.offset * column.type.bit_width // 8
    )
    if column.null_count:
        bits = np.unpackbits(np.frombuffer(present, np.uint8), bitorder="little")
        numbers = np.where(bits[column.offset : column.offset + len(column)] == 1, numbers, np.float32("nan"))
    return numbers
