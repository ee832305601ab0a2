"""Batch scoring of histories: a file in, a row a unit out, as of its last row.

    lepton predict BUNDLE history.csv -o answers.csv

Rows go through the same step as a stream's, the k-th rows of all units at once, so that both answer alike. Of a unit
the state is kept and never its history: memory grows with the units and not with the rows. The rows of a unit
have to stand in the order of time; units may follow each other or be mixed.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from lepton_solutions.data.tables import stream_table
from lepton_solutions.deploy.scoring import Writer, writer_of
from lepton_solutions.errors import UserError
from manufacturing.failure.predictor import MachinePredictor
from manufacturing.failure.records import Records, Rows
from manufacturing.failure.stream import Answer, Stream

ONE = "1"  # the unit of a table that names none, as in training
WRITTEN = 65_536  # rows of one batch of the output
FLAGS = "; "  # between the flags of a row in a table


class Scoring:
    """Histories read so far, by unit. The flags of a unit are those of its last row."""

    def __init__(self, predictor: MachinePredictor) -> None:
        self.predictor = predictor
        self.stream = Stream(predictor)
        self.rows = 0
        self._flags: dict[str, list[str]] = {}

    def take(self, rows: Rows, *, where: str = "the rows") -> None:
        """The next rows of any units. Raises UserError that names a missing column or a time that does not rise."""
        records = self.predictor.inputs.records(rows, where=where, first_row=self.rows + 1)
        units = self._units(records, where)
        for _ in self.stream.take(units, records):
            pass
        self._note(units, records)
        self.rows += len(records)

    def answers(self) -> list[Answer]:
        """Of each unit, at its last row, in the order in which units first appeared."""
        times, found = self.stream.answers()
        told = self.predictor.inputs.told_time
        return [
            {"unit": unit, "time": told(time), **answer, "flags": self._flags.get(unit, [])}
            for unit, time, answer in zip(self.stream.units, times.tolist(), found, strict=True)
        ]

    def restart(self) -> list[Answer]:
        """The answers so far; then nothing is known of any unit, but how many rows were read."""
        found = self.answers()
        self.stream, self._flags = Stream(self.predictor), {}
        return found

    def _units(self, records: Records, where: str) -> list[str]:
        """Of a table without a column of it: each row a unit of its own, named by its number, or one unit, `1`."""
        if records.units is not None:
            return records.units
        inputs = self.predictor.inputs
        if inputs.layout.unit is not None:
            raise UserError(f"{where}: column `{inputs.layout.unit}` is absent, which says whose row each is")
        if inputs.alone:
            return [str(self.rows + number) for number in range(1, len(records) + 1)]
        return [ONE] * len(records)

    def _note(self, units: list[str], records: Records) -> None:
        last = {unit: place for place, unit in enumerate(units)}
        unusual = self.predictor.inputs.unusual(records.values[list(last.values())])
        for unit, flags in zip(last, unusual, strict=True):
            self._flags.pop(unit, None)
            if flags:
                self._flags[unit] = flags


def score(folder: Path, path: Path, output: str, *, dicom: bool) -> str:
    """Score a file of histories (`-`: stdin) with the bundle in a folder; what was done, in a sentence.

    output: a table (.csv, .parquet, .jsonl, `-` for CSV on stdout). Raises UserError for a row that cannot be read, a
    time that does not rise, or an output that cannot be written; it then does not exist.
    """
    if dicom:
        raise UserError(f"--dicom: {folder} is a bundle of `manufacturing/failure`, which reads rows of a table")
    predictor = MachinePredictor.open(folder)
    scoring, units, flagged = Scoring(predictor), 0, 0
    where = "stdin" if str(path) == "-" else str(path)
    inputs = predictor.inputs
    schema = _schema(predictor)
    with writer_of(output, schema) as writer:
        for batch in stream_table(str(path), missing=inputs.layout.missing):
            scoring.take(batch, where=where)
            if inputs.alone:
                done = scoring.restart()
                units, flagged = units + len(done), flagged + _written(writer, done, schema)
        if not inputs.alone:
            done = scoring.answers()
            units, flagged = len(done), _written(writer, done, schema)
    unlike = f"; {flagged:,} unlike training, see `flags`" if flagged else ""
    return f"{units:,} {'units' if units != 1 else 'unit'} scored from {scoring.rows:,} rows{unlike}"


def _schema(predictor: MachinePredictor) -> pa.Schema:
    """unit, time, what the decision says, flags."""
    known = [*predictor.columns().items(), ("flags", pa.string())]
    return pa.schema([("unit", pa.string()), ("time", predictor.clock), *known])


def _written(writer: Writer, answers: list[Answer], schema: pa.Schema) -> int:
    """How many of them are flagged."""
    rows = [{**answer, "flags": FLAGS.join(_flags(answer))} for answer in answers]
    for start in range(0, len(rows), WRITTEN):
        writer.write_batch(pa.RecordBatch.from_pylist(rows[start : start + WRITTEN], schema=schema))
    return sum(bool(row["flags"]) for row in rows)


def _flags(answer: Answer) -> list[str]:
    found = answer["flags"]
    assert isinstance(found, list)
    return found
