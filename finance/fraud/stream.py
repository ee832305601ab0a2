"""Answers as transactions come: each scored from what was seen before it, then part of what the next ones see.

    stream = FraudPredictor.open(bundle).stream(store="state.db")
    stream.history(past)                                # rows of before, by the column names of training
    stream.score({"ts": "2026-11-24 06:30", "card": "c1", "terminal": "t9", "amount": 12.5, "id": "4711"})
    stream.learn("4711", fraud=True)                    # an investigation ended

A card or terminal that was never seen is scored like any other. Imports neither torch, pandas nor scikit-learn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from finance.fraud.explain import Near, Reason
from finance.fraud.features import Floats
from finance.fraud.records import Raw
from finance.fraud.state import State
from finance.fraud.transactions import FRAUD, GOOD, Whole
from lepton_solutions.data.columns import Rows

if TYPE_CHECKING:
    from finance.fraud.predictor import FraudPredictor


class Scored(TypedDict):
    """reasons: texts, of an alert alone."""

    id: str
    probability: float
    decision: str
    reasons: NotRequired[list[str]]


class Explained(TypedDict):
    """nearest: frauds of the train period that are most like the transaction."""

    id: str
    probability: float
    decision: str
    reasons: list[Reason]
    nearest: list[Near]


@dataclass(frozen=True)
class Answers:
    """Of n transactions in the order of time. place: [n], where each stood in what was given. features: float64
    [n, features]. rows: what the model read.
    """

    id: NDArray[np.str_]
    place: Whole
    features: Floats
    rows: Rows
    probability: NDArray[np.float64]


class FraudStream:
    """What was seen, and a model that answers from it. Not for several threads at once; close it, or use `with`."""

    def __init__(self, predictor: FraudPredictor, state: State) -> None:
        self.predictor, self.state = predictor, state

    def __enter__(self) -> FraudStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Keep what is not kept yet."""
        self.state.close()

    def score(self, transaction: Mapping[str, object]) -> Scored:
        """Answer one transaction and keep it; arguments and errors as of `score_many`."""
        return self.score_many([transaction])[0]

    def score_many(self, transactions: Raw) -> list[Scored]:
        """Answer transactions and keep them; one answer each, in the order given.

        They are taken in the order of time, so that each sees those before it. An id that was scored is answered from
        the same histories as then and not counted again; where the bundle's table names no id, equal rows are one
        transaction. Raises UserError, with nothing kept, for a row that cannot be read, a time ahead of this machine's
        clock, and a late row by the policy of the stream.
        """
        answers = self.take(transactions)
        words = self.predictor.decision.words(answers.probability)
        alerts = np.flatnonzero(answers.probability >= self.predictor.decision.threshold)
        reasons = self.predictor.explainer.reasons(answers.rows.take(alerts), self.predictor.logit)
        told: list[Scored] = [
            {"id": id, "probability": probability, "decision": word}
            for id, probability, word in zip(answers.id.tolist(), answers.probability.tolist(), words, strict=True)
        ]
        for row, found in zip(alerts.tolist(), reasons, strict=True):
            told[row]["reasons"] = [reason["text"] for reason in found]
        return [told[row] for row in np.argsort(answers.place).tolist()]

    def take(self, transactions: Raw) -> Answers:
        """What `score_many` answers from, as arrays."""
        rows, place = self.predictor.read(transactions)
        features = self.state.update(rows)
        read = self.predictor.rows(features, rows)
        return Answers(rows.id, place, features, read, self.predictor.probability(read))

    def explain(self, transactions: Raw) -> list[Explained]:
        """Why these would be answered as they would, as of their own times; nothing is kept. In the order given."""
        rows, place = self.predictor.read(transactions)
        read = self.predictor.rows(self.state.features(rows), rows)
        found = explained(self.predictor, rows.id, read)
        return [found[row] for row in np.argsort(place).tolist()]

    def learn(self, id: str, fraud: bool) -> bool:
        """Tell the outcome of a transaction that was kept; it counts for those that come the delay after it. False
        where it has no use: an id not kept, or a declined transaction.
        """
        return self.state.learn(id, FRAUD if fraud else GOOD)

    def history(self, transactions: Raw) -> None:
        """Keep transactions of before without answering them, with their outcomes where the table holds them; ids that
        are kept are passed over. Errors as of `score_many`.
        """
        self.state.add(self.predictor.read(transactions)[0])


def explained(predictor: FraudPredictor, ids: NDArray[np.str_], rows: Rows) -> list[Explained]:
    """The reasons for each of n rows, whatever is decided about it."""
    probability = predictor.probability(rows)
    return [
        {"id": id, "probability": p, "decision": word, "reasons": reasons, "nearest": nearest}
        for id, p, word, reasons, nearest in zip(
            ids.tolist(),
            probability.tolist(),
            predictor.decision.words(probability),
            predictor.explainer.reasons(rows, predictor.logit),
            predictor.explainer.nearest(rows),
            strict=True,
        )
    ]
