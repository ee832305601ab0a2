"""Reading a table from a file, a URL or stdin, whole or as a stream, with the same values either way.

CSV, JSON lines (either may be gzipped) and Parquet come out as one: text trimmed, missing values null, numbers written
with thousands separators or a decimal comma as plain digits. CSV and JSON values stay text here; `kinds` says which
columns are numbers. What cannot be read for certain raises UserError with the place, what was found and expected.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from lepton_solutions.data.columns import clean, reject_duplicate_names
from lepton_solutions.data.kinds import plain_digits
from lepton_solutions.errors import UserError, did_you_mean
from lepton_solutions.offline import refuse

if TYPE_CHECKING:
    import pandas as pd
    from _typeshed import WriteableBuffer

STDIN = "-"
FORMATS = dict.fromkeys((".csv", ".tsv", ".txt"), "CSV") | dict.fromkeys((".parquet", ".pq"), "Parquet")
FORMATS |= dict.fromkeys((".jsonl", ".ndjson", ".json"), "JSON lines")
_DELIMITERS = ",;\t|"
_BLOCK = 1 << 20  # bytes; the first block also tells how a CSV is written
_LINES = 16_384  # the first so many lines tell the columns of JSON lines


def read_table(path: str, *, encoding: str | None = None, missing: Sequence[str] = ()) -> pa.Table:
    """The whole file; arguments and errors as for `stream_table`."""
    return pa.Table.from_batches(list(stream_table(path, encoding=encoding, missing=missing)))


def stream_table(
    path: str, *, batch_rows: int = 65_536, encoding: str | None = None, missing: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """The file in batches of at most `batch_rows` rows, at least one row in all, in constant memory.

    path: a file, an fsspec URL (s3://, memory://) or `-` for stdin, which holds CSV or JSON lines.
    encoding: of a text file; None takes UTF-8, or UTF-16 with its mark, and refuses anything else.
    missing: words that mean a missing value besides `MISSING_WORDS`, or the numbers they spell in Parquet.
    Raises UserError while the stream is read, where a row cannot be read for certain.
    """
    where, suffix = ("stdin", STDIN) if path == STDIN else (path, PurePath(path.lower().removesuffix(".gz")).suffix)
    with ExitStack() as stack:
        source = sys.stdin.buffer if path == STDIN else stack.enter_context(_open(path))
        if path.lower().endswith(".gz"):
            source = stack.enter_context(gzip.GzipFile(fileobj=source))
        rows = 0
        for batch in _batches(source, where, suffix, batch_rows, encoding, missing):
            rows += len(batch)
            yield from (batch.slice(start, batch_rows) for start in range(0, len(batch), batch_rows))
        if not rows:
            raise UserError(f"{where}: found no rows, expected at least one")


def table_from_frame(frame: pd.DataFrame, *, where: str = "the frame", missing: Sequence[str] = ()) -> pa.Table:
    """A pandas frame with the values of a file: NaN is null, mixed types are text, categoricals stay, without index."""
    names = [str(name) for name in frame.columns]
    reject_duplicate_names(names, where)
    columns = [_from_series(frame.iloc[:, i]) for i in range(len(names))]
    return pa.Table.from_batches(list(clean([pa.RecordBatch.from_arrays(columns, names=names)], missing)))


def _from_series(series: pd.Series) -> pa.Array:
    try:
        column = pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        column = pa.array([None if gone else str(value) for value, gone in zip(series, series.isna(), strict=True)])
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _batches(
    source: BinaryIO, where: str, suffix: str, batch_rows: int, encoding: str | None, missing: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    if suffix not in (*FORMATS, STDIN):
        found = f"the suffix `{suffix}`" if suffix else "no suffix"
        raise UserError(f"{where}: found {found}, expected {', '.join(FORMATS)}")
    written = FORMATS.get(suffix)
    if written == "Parquet":
        return clean(_parquet(source, where, batch_rows), missing)
    text = io.BufferedReader(_Utf8(source, where, encoding), _BLOCK)
    if written == "JSON lines" or (written is None and text.peek().lstrip()[:1] == b"{"):
        return clean(_json_lines(text, where), missing)
    names, delimiter = _header(text, where)
    return plain_digits(clean(_csv(text, where, names, delimiter), missing), delimiter)


def _open(path: str) -> BinaryIO:
    import fsspec  # costs a tenth of a second, which stdin does not need

    try:
        files, inner = fsspec.core.url_to_fs(path)
    except (ValueError, ImportError) as error:
        raise UserError(f"{path}: cannot be opened: {error}") from error
    if not {*([files.protocol] if isinstance(files.protocol, str) else files.protocol)} & {"file", "local", "memory"}:
        refuse(path)
    try:
        return cast(BinaryIO, files.open(inner, "rb"))
    except (FileNotFoundError, IsADirectoryError) as error:
        is_folder = files.isdir(inner)
        folder = inner if is_folder else inner.rpartition("/")[0]
        beside = files.ls(folder, detail=False) if files.isdir(folder) else []
        names = sorted(PurePath(file).name for file in beside if PurePath(file).suffix in {*FORMATS, ".gz"})
        if is_folder:
            hint = f"it holds {', '.join(names[:12])}" if names else None
            raise UserError(f"{path}: found a folder, expected a file", hint=hint) from error
        near = f"; {did_you_mean(PurePath(inner).name, names)}" if names else ""
        raise UserError(f"{path}: there is no such file{near}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be opened: {error}") from error


class _Utf8(io.RawIOBase):
    """The bytes of a text file as UTF-8 without mark; raises UserError with the line of a byte that is no text."""

    def __init__(self, source: BinaryIO, where: str, encoding: str | None) -> None:
        self._source, self._where, self._encoding = source, where, encoding
        self._decoder: codecs.IncrementalDecoder | None = None
        self._ready, self._line, self._ended = b"", 1, False
        self.quotes = 0  # read so far; an odd number at the end means that one was never closed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        while len(self._ready) < len(view) and not self._ended:  # a pipe gives little at a time
            self._ready += self._next(len(view) - len(self._ready))
        taken, self._ready = self._ready[: len(view)], self._ready[len(view) :]
        view[: len(taken)] = taken
        return len(taken)

    def _next(self, size: int) -> bytes:
        try:
            chunk = self._source.read(size)
        except (EOFError, zlib.error, OSError) as error:  # the first two: a gzip file that is cut off or damaged
            raise UserError(f"{self._where}: cannot be read to its end: {error}") from error
        self._ended = not chunk
        self._decoder = self._decoder or self._decoder_for(chunk)
        try:
            ready = self._decoder.decode(chunk, final=self._ended).encode()
        except UnicodeDecodeError as error:
            raise self._no_text(error.object, error.start, f"expected {error.encoding} text") from error
        if b"\0" in ready:
            raise self._no_text(ready, ready.index(b"\0"), "expected text")
        self._line += ready.count(b"\n")
        self.quotes += ready.count(b'"')
        return ready

    def _no_text(self, data: bytes, at: int, expected: str) -> UserError:
        line = self._line + data.count(b"\n", 0, at)
        hint = "data.encoding=latin-1 reads Western European text, data.encoding=cp1252 that of Windows"
        if b"\0" in data:
            hint = "if it is text in UTF-16 without its mark, data.encoding=utf-16-le reads it"
        return UserError(f"{self._where}, line {line}: found the byte 0x{data[at]:02X}, {expected}", hint=hint)

    def _decoder_for(self, start: bytes) -> codecs.IncrementalDecoder:
        marked = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        name = self._encoding or ("utf-16" if marked else "utf-8")
        try:
            name = codecs.lookup(name).name
        except LookupError as error:
            raise UserError(f"data.encoding: found `{name}`, expected an encoding such as utf-8 or latin-1") from error
        return codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)()


def _header(text: io.BufferedReader[_Utf8], where: str) -> tuple[list[str], str]:
    """Reads the first line that is not empty. Gives the column names and the delimiter."""
    lines = list(islice(io.StringIO(text.peek(_BLOCK)[:_BLOCK].decode(errors="ignore"), newline=""), 100))
    try:
        delimiter = max(_DELIMITERS, key=lambda delimiter: _regularity(lines[:-1] or lines, delimiter))
        reader = csv.reader(lines, delimiter=delimiter)
        names = next(([name.strip() for name in fields] for fields in reader if any(fields)), None)
    except csv.Error as error:
        raise UserError(f"{where}: not readable as CSV: {error}", hint="is a quote never closed?") from error
    if names is None:
        raise UserError(f"{where}: the file is empty, expected a header and rows")
    text.read(sum(len(line.encode()) for line in lines[: reader.line_num]))
    names[0] = names[0] or "unnamed_1"  # a frame written with its index
    if "" in names:
        raise UserError(f"{where}: column {names.index('') + 1} of {len(names)} has no name in the header")
    reject_duplicate_names(names, where)
    return names, delimiter


def _regularity(lines: Sequence[str], delimiter: str) -> tuple[bool, float, int]:
    """How well a delimiter explains the lines: it divides them, it divides all alike, into many fields."""
    widths = [len(fields) for fields in csv.reader(lines, delimiter=delimiter) if fields] or [0]
    return widths[0] > 1, widths.count(widths[0]) / len(widths), widths[0]


def _csv(text: io.BufferedReader[_Utf8], where: str, names: list[str], delimiter: str) -> Iterator[pa.RecordBatch]:
    uneven: list[pa.csv.InvalidRow] = []
    rows, first_break = 0, 0

    def note(row: pa.csv.InvalidRow) -> str:
        uneven.append(row)
        return "error"

    if not text.peek(1):
        return
    try:
        for batch in pa.csv.open_csv(
            pa.PythonFile(text, mode="r"),
            # Rows have numbers only without threads, which bring nothing at this block size.
            read_options=pa.csv.ReadOptions(column_names=names, block_size=_BLOCK, use_threads=False),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                ignore_empty_lines=len(names) > 1,  # in a single column, an empty line is a missing value
                invalid_row_handler=note,
            ),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        ):
            if text.raw.quotes and not first_break:
                breaks = [pc.index(pc.match_substring(column, "\n"), True).as_py() for column in batch.columns]
                first_break = min((rows + row + 1 for row in breaks if row >= 0), default=0)
            rows += len(batch)
            yield batch
    except pa.ArrowInvalid as error:
        if not uneven:
            raise UserError(f"{where}, row {rows + 1} or after: not readable as CSV: {error}") from error
        row, found = uneven[0], uneven[0].actual_columns
        raise UserError(
            f"{where}, row {row.number}: found {found} field{'s' * (found > 1)}, expected {row.expected_columns}",
            hint=f"fields are divided by {delimiter!r}; the row is `{row.text[:80]}`",
        ) from error
    # An open quote takes in the rows up to the next quote: without this they would be lost without a word.
    if text.raw.quotes % 2 and first_break:
        raise UserError(f"{where}, row {first_break} or after: found a quote that is never closed, expected its pair")


def _json_lines(text: BinaryIO, where: str) -> Iterator[pa.RecordBatch]:
    decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_record)
    lines = ((number, line) for number, line in enumerate(text, 1) if not line.isspace())
    names: list[str] = []
    while chunk := list(islice(lines, _LINES)):
        numbers = [number for number, _ in chunk]
        records = [_parsed(line, decoder, f"{where}, line {number}") for number, line in chunk]
        names = names or list(dict.fromkeys(chain.from_iterable(records)))
        known = frozenset(names)
        for number, record in zip(numbers, records, strict=True):
            if late := record.keys() - known:
                raise UserError(f"{where}, line {number}: found the key `{min(late)}` only after {_LINES:,} lines")
        arrays = [_json_column([record.get(name) for record in records], numbers, name, where) for name in names]
        yield pa.RecordBatch.from_arrays(arrays, names=names)


def _parsed(line: bytes, decoder: json.JSONDecoder, place: str) -> dict[str, object]:
    try:
        record = decoder.decode(line.decode())
    except (ValueError, RecursionError):
        record = None
    if isinstance(record, dict):
        return record
    hint = "jq -c '.[]' makes lines of a list" if line.lstrip()[:1] == b"[" else None
    found = line[:60].decode(errors="replace").strip()
    raise UserError(f"{place}: found `{found}`, expected a JSON object with each key once", hint=hint)


def _record(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) < len(pairs):  # json itself would keep the last
        raise ValueError("a key is there twice")
    return record


def _json_column(values: list[object], lines: list[int], name: str, where: str) -> pa.Array:
    """Values as text, numbers with the digits they have in the file."""
    for line, value in zip(lines, values, strict=True):
        if isinstance(value, list | dict):
            raise UserError(f"{where}, line {line}, column `{name}`: found a nested value, expected text or a number")
    try:
        return pa.array([str(value).lower() if isinstance(value, bool) else value for value in values], pa.string())
    except UnicodeEncodeError as error:
        raise UserError(f"{where}, line {lines[0]} or after, column `{name}`: found half a character") from error


def _parquet(source: BinaryIO, where: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
    try:
        file = pa.parquet.ParquetFile(source)
        reject_duplicate_names(file.schema_arrow.names, where)
        yield from file.iter_batches(batch_rows)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{where}: the Parquet file is cut off or damaged: {' '.join(str(error).split())}") from error
