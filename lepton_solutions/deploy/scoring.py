"""Batch scoring: a file of any length in, `id, probability, decision` out in the same order, in constant memory."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from lepton_solutions.data.columns import as_text
from lepton_solutions.data.tables import stream_table
from lepton_solutions.deploy.predictor import Predictor
from lepton_solutions.errors import UserError

SUFFIXES = (".csv", ".parquet", ".jsonl")
ROWS = "row"  # names a row by its number, where the bundle knows no id column


class Writer(Protocol):
    def write_batch(self, batch: pa.RecordBatch) -> None: ...


def score_file(bundle: Path, rows: str, output: str, *, encoding: str | None = None) -> str:
    """Score a file (or `-`, stdin) into a file (or `-`, CSV on stdout); what was done, in a sentence.

    Raises UserError for a bad bundle, a bad row or an output that cannot be written; the output then does not exist.
    """
    predictor = Predictor.open(bundle)
    stream = stream_table(rows, encoding=encoding, missing=predictor.missing)
    done, extra, where = 0, [], "stdin" if rows == "-" else rows
    with writer_of(output, _schema(predictor)) as writer:
        for batch in stream:
            encoded = predictor.columns.encode(batch, where=where, first_row=done + 1)
            probability = predictor.probability(encoded)
            if done == 0:
                extra = [name for name in predictor.columns.extra(batch.schema.names) if name != predictor.id]
            names = _names(batch, predictor.id, done)
            words = pa.array(predictor.decision.words(probability), pa.string())
            scored = [names, pa.array(probability), words]
            writer.write_batch(pa.record_batch(scored, schema=_schema(predictor)))
            done += len(batch)
    ignored = f"; columns not used: {', '.join(extra[:8])}{' ...' if len(extra) > 8 else ''}" if extra else ""
    return f"{done:,} rows scored{ignored}"


def _schema(predictor: Predictor) -> pa.Schema:
    name = (predictor.id, pa.string()) if predictor.id is not None else (ROWS, pa.int64())
    return pa.schema([name, ("probability", pa.float64()), ("decision", pa.string())])


def _names(batch: pa.RecordBatch, id_column: str | None, done: int) -> pa.Array:
    if id_column is None:
        return pa.array(range(done + 1, done + len(batch) + 1), pa.int64())
    if id_column not in batch.schema.names:  # an id is a courtesy: rows without one are scored all the same
        return pa.array([str(number) for number in range(done + 1, done + len(batch) + 1)], pa.string())
    return as_text(batch.column(id_column))


@contextmanager
def writer_of(output: str, schema: pa.Schema) -> Iterator[Writer]:
    """A writer by suffix; a file appears under its name only when everything is in it."""
    if output == "-":
        with csv.CSVWriter(sys.stdout.buffer, schema) as writer:
            yield writer
        return
    final = Path(output)
    if final.suffix not in SUFFIXES:
        raise UserError(f"-o {output}: expected a name that ends in {', '.join(SUFFIXES)}, or - for stdout")
    aside = final.with_name(f".{final.name}.partial")
    try:
        if final.suffix == ".jsonl":
            with aside.open("w", encoding="utf-8") as stream:
                yield JsonLines(stream)
        else:
            kind = csv.CSVWriter if final.suffix == ".csv" else pq.ParquetWriter
            with kind(str(aside), schema) as writer:
                yield writer
        aside.replace(final)
    except OSError as error:
        raise UserError(f"-o {output}: cannot be written: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)


@dataclass(frozen=True)
class JsonLines:
    """One JSON object a line; pyarrow reads that format and does not write it."""

    stream: TextIO

    def write_batch(self, batch: pa.RecordBatch) -> None:
        self.stream.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())
