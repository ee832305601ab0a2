"""Does the bundle answer as the trained model did, and does it count histories online as they were counted offline?

Both are shown before a release: the exported model on test rows and on what exports get wrong, and the last test
transactions as raw rows through a stream that has heard of what came before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finance.fraud.features import names
from finance.fraud.members import Model
from finance.fraud.predictor import FraudPredictor
from finance.fraud.prepare import Prepared
from finance.fraud.records import level_texts, raw_rows
from finance.fraud.stream import Answers
from finance.fraud.transactions import SECOND, Transactions, Whole
from lepton_solutions.data.columns import Columns, Rows
from lepton_solutions.data.splits import TEST
from lepton_solutions.deploy.parity import TOLERANCE, Case, Proof, check_parity, proof_of, refuse_a_difference
from lepton_solutions.errors import UserError

REPLAYED = 2000  # test transactions that are streamed, the last ones
BEFORE = 200_000  # rows of their histories, above which fewer are streamed: a state takes in some 40,000 a second
ONE_BY_ONE = 200  # of them, that are streamed each in a call of its own


def prove(predictor: FraudPredictor, model: Model, prepared: Prepared, test: Rows) -> Proof:
    """The largest difference of the probability and the flipped decisions, over all cases and in each.

    test: rows of the test part as the trained model reads them. Raises UserError for a flipped decision, a difference
    above the tolerance, and a history that is counted otherwise.
    """
    columns = predictor.explainer.columns
    table = table_of_rows(test, columns)
    plain = check_parity(table, columns, predictor.decision, model.logit, predictor.engine)
    proof = proof_of([*plain["cases"], *online(predictor, model, prepared, test)])
    refuse_a_difference(proof, tolerance=TOLERANCE)
    return proof


def online(predictor: FraudPredictor, model: Model, prepared: Prepared, test: Rows) -> list[Case]:
    """The last test transactions, streamed. No case where all of them lie ahead of this machine's clock, whose times a
    stream refuses.
    """
    now = int(datetime.now(UTC).timestamp() * SECOND)
    held = prepared.rows(TEST)
    held = held[prepared.transactions.time[held] <= now]
    if not len(held):
        return []
    last, others = _with_history(prepared.transactions, held, predictor.definition.reach)
    # Rows that are not judged, as those without an outcome, stand between those that are.
    turns = np.union1d(last, others[others > last[0]])
    before = prepared.transactions.take(others[others < last[0]])
    answers = streamed(predictor, before, prepared.transactions.take(turns))
    judged = np.isin(turns, last)
    part = np.searchsorted(prepared.rows(TEST), last)
    trained = predictor.decision.probability(model.logit(test.take(part)))
    _refuse_other_features(answers, judged, test.take(part), predictor)
    after = np.concatenate([some.probability for some in answers])[judged]
    line = predictor.decision.threshold
    flipped = ((trained >= line) != (after >= line)) & (np.abs(trained - line) > TOLERANCE)
    return [
        {
            "case": "online, from raw rows",
            "rows": len(last),
            "largest_difference": float(np.abs(trained - after).max()),
            "flipped": int(flipped.sum()),
        }
    ]


def streamed(predictor: FraudPredictor, before: Transactions, rows: Transactions) -> list[Answers]:
    """Rows in the order of time: the first ones each in a call, the others together. before: what was heard of then."""
    cuts = [*range(min(ONE_BY_ONE, len(rows))), len(rows)]
    with predictor.stream() as stream:
        stream.history(raw_rows(before, predictor.layout))
        return [
            stream.take(raw_rows(rows.take(slice(start, stop)), predictor.layout)) for start, stop in pairwise(cuts)
        ]


def table_of_rows(rows: Rows, columns: Columns) -> pa.Table:
    """Rows of a model as a table that `columns.encode` reads as them."""
    numbers = [pa.array(values) for values in rows.numeric.T]
    levels = [level_texts(c, column.levels) for c, column in zip(rows.codes.T, columns.categories, strict=True)]
    arrays = dict(zip([c.name for c in (*columns.numeric, *columns.categories)], [*numbers, *levels], strict=True))
    return pa.table({name: arrays[name] for name in columns.names})


def _with_history(rows: Transactions, held: Whole, reach: int) -> tuple[Whole, Whole]:
    """The last of the held rows, and all rows of their entities that they can see, as positions."""
    count = REPLAYED
    while True:
        last = held[-count:]
        before = _seen_by(rows, last, reach)
        if len(before) <= BEFORE or count == 1:
            return last, before
        count //= 2


def _seen_by(rows: Transactions, last: Whole, reach: int) -> Whole:
    shares = np.zeros(len(rows), bool)
    for codes in rows.entities.values():
        shares |= np.isin(codes, codes[last])
    shares &= rows.seen >= rows.time[last[0]] - reach
    shares[last] = False
    return np.flatnonzero(shares[: last[-1] + 1])


def _refuse_other_features(
    answers: Sequence[Answers], judged: NDArray[np.bool_], offline: Rows, predictor: FraudPredictor
) -> None:
    """Bit for bit, as the model reads them. judged: which of the answers `offline` is to be compared with."""
    counted = np.concatenate([some.rows.numeric for some in answers])[judged]
    same = _same(counted, offline.numeric)
    if same.all():
        return
    row, place = (int(where[0]) for where in np.nonzero(~same))
    name = (*names(predictor.definition), *(c.name for c in predictor.layout.columns.numeric))[place]
    id = np.concatenate([some.id for some in answers])[judged][row]
    raise UserError(
        f"histories are counted online otherwise than in training: transaction `{id}` has {counted[row, place]:.9g} as "
        f"`{name}`, in training {offline.numeric[row, place]:.9g}; {int((~same).any(1).sum()):,} rows differ; nothing "
        "was released"
    )


def _same(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (a == b) | (np.isnan(a) & np.isnan(b))
    return same
