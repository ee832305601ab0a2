"""`FraudDetector`: the fraud model for notebooks and programs of the user's own.

detector = FraudDetector(budget=50).fit(past, time="ts", entity=["card", "terminal"], amount="amount", target="fraud")
detector.score(today)                       # a row a transaction: probability, decision
detector.explain(today[:5])                 # with reasons, and the past frauds that are most like it
detector.stream("state.db").score({"ts": ..., "card": ..., "terminal": ..., "amount": 12.5})
detector.save("bundle"); FraudDetector.load("bundle")

A shell around the stages of `lepton run finance/fraud`: the same reader, periods, training and exported model.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from finance.fraud.explain import Near
from finance.fraud.predictor import PIPELINE, FraudPredictor
from finance.fraud.records import content_ids, joined
from finance.fraud.scoring import blocks
from finance.fraud.settings import Fraud
from finance.fraud.state import WhenLate
from finance.fraud.stream import FraudStream, explained
from finance.fraud.transactions import Transactions, Whole
from lepton_solutions import bundle
from lepton_solutions.config import read_settings
from lepton_solutions.data.tables import read_table, table_from_frame
from lepton_solutions.errors import UserError
from lepton_solutions.progress import Progress

WHERE = "the transactions"

Given: TypeAlias = pd.DataFrame | pa.Table | str | Path


class FraudDetector:
    """budget: cards (or whatever the first entity is) that can be investigated a day. epochs: as `fit.epochs` of the
    pipeline, None for its default. random_state: seed. overrides: any further keys of `conf/finance/fraud.yaml`, such
    as `("features.delay=3", "model.sequence=10")`.
    """

    def __init__(
        self,
        *,
        budget: int = 100,
        epochs: int | None = None,
        random_state: int = 0,
        overrides: Sequence[str] = (),
    ) -> None:
        self.budget = budget
        self.epochs = epochs
        self.random_state = random_state
        self.overrides = overrides
        self._predictor: FraudPredictor | None = None
        self._past: Transactions | None = None
        self._folder: Path | None = None
        self._kept: TemporaryDirectory[str] | None = None

    def fit(
        self,
        transactions: Given,
        *,
        time: str,
        entity: str | Sequence[str],
        amount: str,
        target: str,
        id: str | None = None,
        known_at: str | None = None,
        action: str | None = None,
        declined: Sequence[str] = (),
    ) -> FraudDetector:
        """Learn from transactions: a frame, an arrow table or a file. The names are of columns, and mean what
        `data.NAME` does; further columns are read too.

        Raises UserError for what the pipeline refuses, such as a missing time, a period without a fraud, or a column
        that gives the outcome away.
        """
        from finance.fraud.prepare import prepare_rows
        from finance.fraud.release import bundle_of
        from finance.fraud.sources import collected_from
        from finance.fraud.train import train

        asked = self._settings(
            {
                "id": id,
                "time": time,
                "entity": (entity,) if isinstance(entity, str) else tuple(entity),
                "amount": amount,
                "target": target,
                "known_at": known_at,
                "action": action,
                "declined": tuple(declined),
            }
        )
        table, where = _table(transactions, missing=asked.data.missing)
        kept = TemporaryDirectory(prefix="lepton-")
        run, folder = Path(kept.name) / "run", Path(kept.name) / "bundle"
        run.mkdir()
        prepare_rows(asked, run, run, collected=collected_from(table, asked.data, where=where))
        train(asked, run, run, Progress(quiet=True))
        prepared = bundle_of(run, folder)
        self._open(folder)
        self._kept, self._past = kept, self._reachable(prepared.transactions)
        return self

    def score(self, transactions: Given) -> pd.DataFrame:
        """Each transaction's id, probability of a fraud and decision, in the order given.

        Each is answered from those seen before it, among these and among those of `fit`; of a loaded detector, among
        these alone. Nothing is kept: `stream` does. Raises UserError for a row that cannot be read.
        """
        predictor = self._fitted()
        rows, of_given, place = self._with_past(transactions)
        probability = np.concatenate([block.probability for block in blocks(predictor, rows, of_given[0])])
        chosen = probability[of_given - of_given[0]]
        found = pd.DataFrame(
            {"id": rows.id[of_given], "probability": chosen, "decision": predictor.decision.words(chosen)}
        )
        return found.iloc[np.argsort(place)].reset_index(drop=True)

    def explain(self, transactions: Given) -> pd.DataFrame:
        """As `score`, with what raised each probability: `reasons`, a list of texts, `log_odds`, the part of each, and
        `nearest`, the past frauds most like it with id, time, amount and distance.
        """
        predictor = self._fitted()
        rows, of_given, place = self._with_past(transactions)
        told: list[dict[str, object]] = []
        for block in blocks(predictor, rows, of_given[0]):
            inside = of_given[(of_given >= block.start) & (of_given < block.start + len(block.rows))]
            for found in explained(predictor, rows.id[inside], block.rows.take(inside - block.start)):
                reasons, nearest = found["reasons"], list[Near](found["nearest"])
                told.append(
                    {
                        "id": found["id"],
                        "probability": found["probability"],
                        "decision": found["decision"],
                        "reasons": [reason["text"] for reason in reasons],
                        "log_odds": [reason["log_odds"] for reason in reasons],
                        "nearest": nearest,
                    }
                )
        return pd.DataFrame(told).iloc[np.argsort(place)].reset_index(drop=True)

    def stream(self, store: str | Path | None = None, *, when_late: WhenLate = "merge") -> FraudStream:
        """Answers as transactions come, see `FraudPredictor.stream`. A store that is empty begins with what `fit` saw;
        of a loaded detector with nothing, and `FraudStream.history` fills it.
        """
        stream = self._fitted().stream(store, when_late=when_late)
        if self._past is not None and stream.state.newest is None:
            stream.state.add(self._past)
        return stream

    def save(self, folder: str | Path) -> None:
        """Write a bundle, which `lepton predict` reads too; the transactions of `fit` do not go along, but for the
        frauds that explanations name. Raises UserError where something is there.
        """
        self._fitted()
        assert self._folder is not None
        shutil.copytree(self._folder, bundle.place_for(folder), dirs_exist_ok=True)

    @classmethod
    def load(cls, folder: str | Path) -> FraudDetector:
        """A detector that answers with a bundle. Raises UserError when a file was changed."""
        loaded = cls()
        loaded._open(bundle.find(Path(folder)))
        return loaded

    def _open(self, folder: Path) -> None:
        self._predictor, self._folder, self._past = FraudPredictor.open(folder, threads=0), folder, None

    def _reachable(self, past: Transactions) -> Transactions:
        """Those that a transaction after them can see, by the ids of new ones."""
        predictor = self._fitted()
        newest = past.time[-1]
        kept = past.take(past.seen >= newest - predictor.definition.reach)
        return kept if predictor.layout.id is not None else replace(kept, id=content_ids(kept))

    def _with_past(self, given: Given) -> tuple[Transactions, Whole, Whole]:
        """What is known with the given rows, in the order of time; where the given ones stand in it; and where each of
        those stood in what was given.
        """
        predictor = self._fitted()
        table, where = _table(given, missing=predictor.layout.missing)
        rows, place = predictor.read(table, where=where)
        if self._past is None:
            return rows, np.arange(len(rows)), place
        both = joined(self._past, rows)
        return both, np.flatnonzero(np.isin(both.id, rows.id)), place

    def _fitted(self) -> FraudPredictor:
        if self._predictor is None:
            raise UserError("this FraudDetector has learned nothing yet", hint="call fit, or FraudDetector.load")
        return self._predictor

    def _settings(self, columns: dict[str, object]) -> Fraud:
        asked = ["data=own_transactions", f"seed={self.random_state}", f"decision.budget={self.budget}"]
        asked += [] if self.epochs is None else [f"fit.epochs={self.epochs}"]
        return read_settings(PIPELINE, [*asked, *self.overrides], Fraud, data=columns)


def _table(given: Given, *, missing: Sequence[str]) -> tuple[pa.Table, str]:
    """And what messages call it."""
    if isinstance(given, pd.DataFrame):
        return table_from_frame(given, where=WHERE, missing=missing), WHERE
    if isinstance(given, pa.Table):
        return given, WHERE
    return read_table(str(given), missing=missing), str(given)
