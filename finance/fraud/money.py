"""What looking saves: by this model, by the best simple one, by a rule without a model, and with hindsight.

Saved on a day are the frauds of that day on the cards that were found, less what looking at all of them cost. Frauds
that a closed card is spared later are not counted, so savings are rather more than told.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from finance.fraud.budget import Day, Floats
from finance.fraud.evaluation import AMOUNT, BASELINE, HINDSIGHT, MODEL, NOBODY
from finance.fraud.replay import Ground, Replay, replay
from finance.fraud.settings import Investigation
from finance.fraud.transactions import UNIT

POINTS = 24  # of the curve over budgets
FURTHER = 5  # times the budget in use, up to which the curve goes


def money(ground: Ground, ours: Sequence[Day], baseline: Sequence[Day], asked: Investigation) -> dict[str, Any]:
    """Units of money a day, with intervals, at the budget in use; and against budgets, which need no other model.

    ours, baseline: days by the score of each.
    """
    played = {
        MODEL: ours,
        BASELINE: baseline,
        AMOUNT: ground.days(ground.rows.amount / UNIT),
        HINDSIGHT: [_hindsight(day, asked) for day in ours],
        NOBODY: [],
    }

    def saved(name: str, budget: int, times: Floats) -> Floats:
        if name == NOBODY:
            return np.zeros(len(times))
        return _saved(replay(played[name], budget, times), asked)

    def over(other: str) -> dict[str, float]:
        k = asked.budget
        return ground.interval_of(lambda times: saved(MODEL, k, times) - saved(other, k, times)).to_json()

    told = {name: ground.interval_of(partial(saved, name, asked.budget)) for name in played}
    found = {name: ground.played(days, asked.budget) for name, days in played.items()}
    rule = max((NOBODY, AMOUNT), key=lambda name: told[name].value)
    budgets = _budgets(asked.budget, max(len(day.card) for day in ours))
    band = [ground.interval_of(partial(saved, MODEL, k)) for k in budgets]
    once = np.ones((1, int(ground.card.max()) + 1))
    return {
        "saved": told[MODEL].to_json(),
        "policies": [
            {
                "policy": name,
                "saved": told[name].to_json(),
                "looked": int(found[name].looked.sum()),
                "hits": int(found[name].hits.sum()),
            }
            for name in played
        ],
        "rule": rule,
        "saved_over_rule": over(rule),
        "saved_over_baseline": over(BASELINE),
        "lost": float(np.mean([day.lost.sum() for day in ours])),
        "curve": {
            "budgets": budgets,
            "low": [found.low for found in band],
            "high": [found.high for found in band],
            "saved": {
                name: [float(saved(name, k, once)[0]) for k in budgets] for name in (MODEL, BASELINE, AMOUNT, HINDSIGHT)
            },
        },
    }


def _saved(found: Replay, asked: Investigation) -> Floats:
    """[k], mean of the days."""
    return found.saved(recovered=asked.recovered, cost_of_case=asked.cost_of_case).mean(axis=1)


def _hindsight(day: Day, asked: Investigation) -> Day:
    """The frauds that are worth a look, the dearest first."""
    worth = np.flatnonzero(day.fraud & (asked.recovered * day.lost > asked.cost_of_case))
    best = worth[np.argsort(-day.lost[worth], kind="stable")]
    return Day(day.begin, day.card[best], day.lost[best], day.fraud[best], day.lost[best], day.row[best])


def _budgets(budget: int, most: int) -> list[int]:
    """From 1 to a few times the budget, denser where it is small; no more than there are cards on the fullest day."""
    top = max(2, min(FURTHER * budget, most))
    return sorted({*np.geomspace(1, top, POINTS).round().astype(int).tolist(), min(budget, top)})
