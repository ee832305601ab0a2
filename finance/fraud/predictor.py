"""The predictor: opens a bundle and answers raw transactions, each from what was seen before it.

    predictor = FraudPredictor.open("runs/finance/fraud/...")
    with predictor.stream(store="state.db") as stream:            # as they come: `stream.py`
        stream.score({"ts": "2026-11-24 06:30", "card": "c1", "terminal": "t9", "amount": 12.5})

Imports numpy, pyarrow and ONNX Runtime; never torch, pandas or scikit-learn. Histories are counted by the definition
that the bundle holds, which is that of training.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finance.fraud.explain import Explainer, Usual
from finance.fraud.features import Definition, Floats
from finance.fraud.inputs import columns_of, rows_of
from finance.fraud.layout import Layout
from finance.fraud.plain import PlainReader
from finance.fraud.records import Raw, read_raw
from finance.fraud.state import State, WhenLate
from finance.fraud.stores import open_store
from finance.fraud.stream import FraudStream
from finance.fraud.transactions import Transactions, Whole
from lepton_solutions import bundle
from lepton_solutions.data.columns import Rows
from lepton_solutions.data.decision import Decision
from lepton_solutions.engines import Engine
from lepton_solutions.errors import UserError

PIPELINE = "finance/fraud"
USUAL = "usual.npz"  # what reasons are told against


@dataclass(frozen=True)
class FraudPredictor:
    """A verified bundle, ready to answer. layout: how raw rows are read. definition: which histories are counted."""

    layout: Layout
    definition: Definition
    decision: Decision
    explainer: Explainer
    engine: Engine

    @classmethod
    def open(cls, path: str | Path, *, threads: int = 1) -> FraudPredictor:
        """Open a bundle, or the run folder that holds one. threads: processors for one call of the model, 0 takes all;
        for single transactions one is fastest.

        Raises UserError when a file is missing or was changed, and for a bundle of another pipeline.
        """
        folder = bundle.find(Path(path))
        pipeline = bundle.verify(folder)
        if pipeline != PIPELINE:
            raise UserError(f"{folder}: a bundle of `{pipeline}`, expected one of `{PIPELINE}`")
        if USUAL not in json.loads((folder / bundle.MANIFEST).read_text(encoding="utf-8"))["files"]:
            raise UserError(f"{folder / bundle.MANIFEST}: does not list `{USUAL}`, so no alert can be explained")
        inputs = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
        layout, definition = Layout.from_json(inputs["layout"]), Definition.from_json(inputs["definition"])
        return cls(
            layout=layout,
            definition=definition,
            decision=Decision.from_json(json.loads((folder / "decision.json").read_text(encoding="utf-8"))),
            explainer=Explainer(
                definition, columns_of(definition, layout.columns), Usual.load(folder / USUAL), layout.clock
            ),
            engine=Engine(folder / "model.onnx", threads=threads),
        )

    def stream(self, store: str | Path | None = None, *, when_late: WhenLate = "merge") -> FraudStream:
        """Answers as transactions come. store: a file, made where there is none, or `redis://host:port/number/name`;
        None keeps what was seen in memory alone. when_late: as of `State`.

        Raises UserError for the store of another definition, or one in use.
        """
        kept = None if store is None else open_store(store, self.definition)
        return FraudStream(self, State(self.definition, kept, when_late=when_late))

    def read(self, given: Raw, *, where: str = "the transactions") -> tuple[Transactions, Whole]:
        """As of `read_raw`."""
        records = None if isinstance(given, pa.Table | pa.RecordBatch) or not given else self._plain.read(given)
        return read_raw(given, self.layout, where=where) if records is None else records

    @cached_property
    def _plain(self) -> PlainReader:
        return PlainReader(self.layout)

    def rows(self, features: Floats, transactions: Transactions) -> Rows:
        """What the model reads of these transactions. features: [n, features] of their histories."""
        return rows_of(features, transactions.extras)

    def logit(self, rows: Rows) -> NDArray[np.float64]:
        """Log-odds of a fraud before calibration, [n]."""
        return self.engine.logit(rows.numeric, rows.codes)

    def probability(self, rows: Rows) -> NDArray[np.float64]:
        """Calibrated, of a fraud, [n]."""
        return self.decision.probability(self.logit(rows))
