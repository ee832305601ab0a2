"""The alerts of the test days: by day, by kind of fraud, and what a fixed line would have raised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from finance.fraud.budget import Day, threshold_for
from finance.fraud.drift import WEEK
from finance.fraud.prepare import Prepared
from finance.fraud.replay import Ground
from finance.fraud.settings import Investigation
from finance.fraud.transactions import DAY, Whole
from lepton_solutions import metrics


def by_day(asked: Investigation, prepared: Prepared, ground: Ground, days: Sequence[Day]) -> list[dict[str, Any]]:
    """Within the budget, a row a day."""
    found = ground.played(days, asked.budget)
    saved = found.saved(recovered=asked.recovered, cost_of_case=asked.cost_of_case)[0]
    clock = prepared.card.read_layout().clock
    return [
        {
            "told": clock.told(day.begin).split(" ")[0],
            "looked": int(found.looked[0, number]),
            "hits": int(found.hits[0, number]),
            "open_frauds": int(found.open_frauds[0, number]),
            "saved": float(saved[number]),
        }
        for number, day in enumerate(days)
    ]


def by_scenario(ground: Ground, days: Sequence[Day], alerts: Sequence[Whole]) -> list[dict[str, Any]]:
    """Cards hit by each known kind of fraud, and how many of them were found on a day when they were hit."""
    scenario = ground.rows.scenario
    if scenario is None:
        return []
    found = []
    for kind in np.unique(scenario[scenario > 0]).tolist():
        hit, caught = set(), set()
        for number, day in enumerate(days):
            low, high = np.searchsorted(ground.rows.time, [day.begin, day.begin + DAY])
            some = set(ground.card[low:high][scenario[low:high] == kind].tolist())
            hit |= some
            caught |= some & set(day.card[alerts[number]].tolist())
        among = metrics.share(np.array([card in caught for card in sorted(hit)], np.float64))
        if among is not None:
            found.append({"scenario": kind, "cards": len(hit), "found": among.to_json()})
    return found


def line_by_week(
    prepared: Prepared, ground: Ground, days: Sequence[Day], threshold: float, budget: int
) -> dict[str, Any]:
    """What a fixed line raises: cards a day at or above it, over all test days and by week that has any."""
    above = [int((day.score >= threshold).sum()) for day in days]
    clock, per = prepared.card.read_layout().clock, WEEK // DAY
    return {
        "threshold": threshold,
        "alerts": float(np.mean(above)),
        "weeks": [
            {
                "told": clock.told(days[low].begin).split(" ")[0],
                "days": len(days[low : low + per]),
                "alerts": float(np.mean(above[low : low + per])),
                "line": threshold_for(days[low : low + per], budget),
            }
            for low in range(0, len(days), per)
            if any(len(day.card) for day in days[low : low + per])
        ],
    }
