"""The predictor: opens a bundle and turns histories into answers, by whole tables or row by row.

    predictor = MachinePredictor.open("runs/manufacturing/failure/...")
    predictor.predict(table)             # an answer a unit, at its last row
    predictor.stream().update(...)       # as rows arrive: `stream.py`

Imports numpy, pyarrow and ONNX Runtime; never torch, pandas or scikit-learn. Scaling, smoothing and imputation are
layers of the `step` graph, so that no step of training has a second version here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lepton_solutions import bundle
from lepton_solutions.engines import Engine
from lepton_solutions.errors import UserError
from manufacturing.failure.decisions import Decision
from manufacturing.failure.records import Inputs
from manufacturing.failure.stream import Answer, Stream

PIPELINE = "manufacturing/failure"
STEP = "step.onnx"
SERVICE = "service_by"  # the column of an answer that is a time
READ = 64  # windows of one call of the network: its layers between then stay in the cache


@dataclass(frozen=True)
class MachinePredictor:
    """A verified bundle, ready to answer. name: the start of its manifest's hash, which tells it from any other.

    threads: that read windows at once, each some of its own: a recurrent network leaves little to share within a call.
    """

    name: str
    inputs: Inputs
    decision: Decision
    steps: Engine
    network: Engine
    threads: int = 1

    @classmethod
    def open(cls, path: str | Path, *, threads: int = 0) -> MachinePredictor:
        """Open a bundle, or the run folder that holds one. threads: 0 takes all processors.

        Raises UserError when a file is missing or was changed.
        """
        folder = bundle.find(Path(path))
        pipeline = bundle.verify(folder)
        if pipeline != PIPELINE:
            raise UserError(f"{folder}: a bundle of `{pipeline}`, expected one of `{PIPELINE}`")
        if STEP not in json.loads((folder / bundle.MANIFEST).read_text(encoding="utf-8"))["files"]:
            raise UserError(f"{folder / bundle.MANIFEST}: does not list `{STEP}`, so nothing can be predicted")
        return cls(
            name=hashlib.sha256((folder / bundle.MANIFEST).read_bytes()).hexdigest()[:12],
            inputs=Inputs.from_json(json.loads((folder / "inputs.json").read_text(encoding="utf-8"))),
            decision=Decision.from_json(json.loads((folder / "decision.json").read_text(encoding="utf-8"))),
            steps=Engine(folder / STEP, threads=1),  # a few sums a row: a second thread costs more than it brings
            network=Engine(folder / "model.onnx", threads=1),
            threads=threads or len(os.sched_getaffinity(0)),
        )

    def stream(self) -> Stream:
        """A stream that has heard of no unit."""
        return Stream(self)

    def predict(self, rows: Sequence[Mapping[str, object]] | pa.Table | pa.RecordBatch) -> list[Answer]:
        """An answer a unit, at its last row, in the order in which units first appear.

        rows: histories, by the column names of training; those of a unit in the order of time, units in any order.
        Raises UserError for a column that is missing and for a time that does not rise within a unit.
        """
        from manufacturing.failure.scoring import Scoring

        scoring = Scoring(self)
        scoring.take(rows)
        return scoring.answers()

    def step(
        self, row: NDArray[np.float32], state: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A raw row [n, S] and the state [n, D] to features [n, F] and the next state."""
        found = self.steps.answers(row=row, state=state)
        return found["features"], found["next_state"]

    def outputs(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The network's answer [n, k] to windows [n, W, F]."""
        if not len(windows):
            return np.empty((0, 1))
        chunks = [windows[start : start + READ] for start in range(0, len(windows), READ)]
        if len(chunks) == 1 or self.threads == 1:
            parts = [self.network.answer(window=chunk) for chunk in chunks]
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                parts = list(pool.map(lambda chunk: self.network.answer(window=chunk), chunks))
        return np.concatenate(parts).astype(np.float64)

    def answers(self, windows: NDArray[np.float32], time: NDArray[np.float64]) -> list[Answer]:
        """What is known of each window's unit at its last row, whose time is given; None where nothing can be said."""
        columns = self.decision.applied(self.outputs(windows), time)
        listed = [self._listed(name, column) for name, column in columns.items()]
        return [dict(zip(columns, values, strict=True)) for values in zip(*listed, strict=True)]

    def columns(self) -> dict[str, pa.DataType]:
        """What an answer says, by name."""
        blank = np.zeros((1, self.inputs.window, self.inputs.features), np.float32)
        found = self.decision.applied(self.outputs(blank), np.zeros(1))
        kinds = {name: pa.float64() if column.dtype.kind == "f" else pa.string() for name, column in found.items()}
        return kinds | ({SERVICE: self.clock} if SERVICE in kinds else {})

    @property
    def clock(self) -> pa.DataType:
        """Of a time, as it is told."""
        return pa.float64() if self.inputs.layout.clock.kind == "number" else pa.string()

    def _listed(self, name: str, column: NDArray[np.generic]) -> list[object]:
        values: list[object] = column.tolist()
        if column.dtype.kind != "f":
            return values
        told = self.inputs.told_time if name == SERVICE else float
        return [None if value != value else told(value) for value in column.tolist()]
