"""Some alerts of the test days with their reasons, as whoever investigates would read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from finance.fraud.budget import Day
from finance.fraud.explain import Explainer
from finance.fraud.members import Model
from finance.fraud.prepare import Prepared
from finance.fraud.replay import Ground
from finance.fraud.transactions import UNIT, Whole
from lepton_solutions.data.columns import Rows
from lepton_solutions.data.decision import Decision

FOUND, FALSE = 3, 2  # how many of each


def examples(
    prepared: Prepared,
    ground: Ground,
    days: Sequence[Day],
    alerts: Sequence[Whole],
    explainer: Explainer,
    rows: Rows,
    model: Model,
    decision: Decision,
) -> list[dict[str, Any]]:
    """The best scored fraud of some days, spread over the period, and the best scored false alarm of others.

    alerts: positions in each day that are looked at. rows: [n], of the transactions of `ground`, as the model reads
    them. decision: turns its log-odds into probabilities.
    """
    place = np.array([*_firsts(days, alerts, True, FOUND), *_firsts(days, alerts, False, FALSE)], np.int64)
    some, told, clock = rows.take(place), ground.rows.take(place), prepared.card.read_layout().clock
    chance = decision.probability(model.logit(some))
    reasons, like = explainer.reasons(some, model.logit), explainer.nearest(some)
    return [
        {
            "id": str(told.id[i]),
            "told": clock.told(int(told.time[i])),
            "entities": {kind: str(told.levels[kind][codes[i]]) for kind, codes in told.entities.items()},
            "amount": float(told.amount[i] / UNIT),
            "probability": float(chance[i]),
            "fraud": bool(told.label[i]),
            "reasons": [reason["text"] for reason in reasons[i]],
            "like": [dict(near) for near in like[i]],
        }
        for i in range(len(place))
    ]


def _firsts(days: Sequence[Day], alerts: Sequence[Whole], fraud: bool, most: int) -> list[int]:
    """Rows of the best scored alert that is a fraud, or none, of up to `most` days spread over the period."""
    firsts = []
    for day, looked in zip(days, alerts, strict=True):
        some = looked[day.fraud[looked] == fraud]
        if len(some):
            firsts.append(int(day.row[some[0]]))
    spread = {round(at) for at in np.linspace(0, len(firsts) - 1, most).tolist()} if firsts else set()
    return [firsts[i] for i in sorted(spread)]
