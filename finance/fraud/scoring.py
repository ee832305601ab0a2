"""Batch scoring of a file of raw transactions: a row in, a row out, in the order of the file.

    lepton predict BUNDLE tx.csv -o answers.csv          id, probability, decision, reasons (of alerts)

Each transaction is answered from those of the file that were seen before it, so a file begins with as much of the past
as the longest window reaches; before its first row nothing is known. As in training, rows that stand out of order are
sorted by time, and equal ids are refused. Outcomes in the file, where it has the column of the target, are read as they
would have become known: the delay after a transaction.

What a model reads is counted and scored in blocks, so that beside the columns of the file themselves, some 100 bytes a
row, only what one longest window holds is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from finance.fraud.features import Definition, Floats
from finance.fraud.history import histories
from finance.fraud.predictor import FraudPredictor
from finance.fraud.reading import ids
from finance.fraud.transactions import Transactions, Whole
from lepton_solutions.data.columns import Rows
from lepton_solutions.data.tables import read_table
from lepton_solutions.deploy.scoring import ROWS, writer_of
from lepton_solutions.errors import UserError

BLOCK = 65_536  # transactions of one block at least, and rows of one batch of the output
ALERTS = 2048  # that are explained in one call of the model
BETWEEN = "; "  # reasons in a table


@dataclass(frozen=True)
class Block:
    """Transactions at positions from `start` on. rows: [n], what the model reads. probability: [n]."""

    start: int
    rows: Rows
    probability: Floats


def score(folder: Path, path: Path, output: str, *, dicom: bool) -> str:
    """Score a file (`-`: stdin) with the bundle in a folder; what was done, in a sentence.

    output: a table (.csv, .parquet, .jsonl, `-` for CSV on stdout). Raises UserError for a row that cannot be read or
    an output that cannot be written; it then does not exist.
    """
    if dicom:
        raise UserError(f"--dicom: {folder} is a bundle of `finance/fraud`, which reads rows of a table")
    predictor = FraudPredictor.open(folder, threads=0)
    where = "stdin" if str(path) == "-" else str(path)
    table = read_table(str(path), missing=predictor.layout.missing)
    named = predictor.layout.id if predictor.layout.id in table.column_names else None
    if named is not None:  # online, the same id twice is one transaction; in a file it is a mistake
        ids(table.column(named), table=table, name=named, where=where)
    transactions, place = predictor.read(table, where=where)
    del table
    probability = np.empty(len(transactions))
    reasons: dict[int, str] = {}
    for block in blocks(predictor, transactions):
        at = place[block.start : block.start + len(block.rows)]
        probability[at] = block.probability
        reasons |= _reasons(predictor, block, at)
    names = np.empty_like(transactions.id)
    names[place] = transactions.id
    key = pa.field(named or ROWS, pa.string() if named else pa.int64())
    kinds = [("probability", pa.float64()), ("decision", pa.string()), ("reasons", pa.string())]
    schema = pa.schema([key, *kinds])
    with writer_of(output, schema) as writer:
        for start in range(0, len(names), BLOCK):
            some = range(start, min(start + BLOCK, len(names)))
            listed = [
                pa.array(names[some.start : some.stop]) if named else pa.array(range(some.start + 1, some.stop + 1)),
                pa.array(probability[some.start : some.stop]),
                pa.array(predictor.decision.words(probability[some.start : some.stop]), pa.string()),
                pa.array([reasons.get(row, "") for row in some], pa.string()),
            ]
            writer.write_batch(pa.record_batch(listed, schema=schema))
    behind = int((np.diff(place) < 0).sum())
    told = "; rows were not in the order of time, and were sorted by it" if behind else ""
    return f"{len(names):,} transactions scored, {len(reasons):,} to {predictor.decision.at_or_above}{told}"


def blocks(predictor: FraudPredictor, transactions: Transactions, first: int = 0) -> Iterator[Block]:
    """All transactions from position `first` on, in the order of time, scored."""
    for start, features in _counted(transactions, predictor.definition, first):
        stop = start + len(features)
        rows = predictor.rows(features, transactions.take(slice(start, stop)))
        yield Block(start, rows, predictor.probability(rows))


def _counted(transactions: Transactions, definition: Definition, first: int) -> Iterator[tuple[int, Floats]]:
    """Where a block begins, and the histories of its rows. A block is as long as what it sees, so that counting in
    blocks takes at most twice the time of counting at once.
    """
    start = first
    while start < len(transactions):
        seen = np.flatnonzero(transactions.seen[:start] >= transactions.time[start] - definition.reach)
        stop = min(len(transactions), start + max(BLOCK, len(seen)))
        both = np.concatenate([seen, np.arange(start, stop)])
        yield start, histories(transactions.take(both), definition)[len(seen) :]
        start = stop


def _reasons(predictor: FraudPredictor, block: Block, at: Whole) -> dict[int, str]:
    """Texts of the alerts by where they stand in the file."""
    alerts = np.flatnonzero(block.probability >= predictor.decision.threshold)
    found: dict[int, str] = {}
    for start in range(0, len(alerts), ALERTS):
        some = alerts[start : start + ALERTS]
        told = predictor.explainer.reasons(block.rows.take(some), predictor.logit)
        for row, reasons in zip(at[some].tolist(), told, strict=True):
            found[row] = BETWEEN.join(reason["text"] for reason in reasons)
    return found
