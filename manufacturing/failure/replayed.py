"""Test machines lived through once more: what the model said along the way, what each rule would have cost, how early
an alarm came. Lives whose end is not known count as long as they were seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from manufacturing.failure.alarms import raised, watched_to_failure
from manufacturing.failure.decisions import Decision
from manufacturing.failure.draws import Machines, told
from manufacturing.failure.evaluation import FAILING, INTERVAL, MODEL, ORACLE
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.policy import Replay, age, cheapest_line, oracle, replay
from manufacturing.failure.settings import Failure, Servicing

Floats = NDArray[np.float64]
POINTS = 200  # of a curve that is drawn
TRACKS = ("best", "median", "worst")


def policies(
    settings: Failure,
    train: Fleet,
    test: Fleet,
    answer: Floats,
    decision: Decision,
    horizon: float | None,
    draw: np.random.Generator,
) -> dict[str, object]:
    """Rules beside each other on test machines that were watched to their end; nothing where fewer than two failed.

    The interval of `fixed interval` is the cheapest on train machines. The model is compared with whichever rule
    without one turns out cheaper on these machines, to its disadvantage.
    """
    seen, censored = watched_to_failure(test), ~np.isfinite(test.failed_at)
    lives = np.flatnonzero(seen | censored)
    if seen.sum() < 2:
        return {}
    ended, prices = test.take(lives), settings.decision
    rows = np.concatenate([np.arange(test.starts[i], test.starts[i + 1]) for i in lives])
    due = decision.due(answer[rows]).astype(np.float64)
    every = cheapest_line(train, age(train), prices, horizon=horizon)
    rules = {
        MODEL: replay(ended, due, 1.0, prices, horizon=horizon),
        INTERVAL: replay(ended, age(ended), every, prices, horizon=horizon),
        FAILING: replay(ended, age(ended), np.inf, prices),
        ORACLE: oracle(ended, prices),
    }
    machines = Machines(ended.unit, draw)
    found = [_policy(name, one, prices, machines) for name, one in rules.items()]
    best = min((rules[INTERVAL], rules[FAILING]), key=lambda one: one.rate(prices))
    saved = _rates(best, prices, machines) - _rates(rules[MODEL], prices, machines)
    return {"policies": found, "saved": told(saved)}


def alarms(test: Fleet, answer: Floats, decision: Decision, horizon: float | None) -> dict[str, object]:
    """Lead times of first alarms before failures, and alarms of machines that are far from one."""
    found = raised(test, decision.alarmed(answer), horizon)
    return {
        "alarms": {
            "lead": found.lead.round(3).tolist(),
            "missed": found.missed,
            "failures": int(watched_to_failure(test).sum()),
            "false_per_month": found.false_per_month if np.isfinite(found.false_per_month) else None,
        }
    }


def tracks(test: Fleet, predicted: Floats, decision: Decision, cap: float | None) -> list[dict[str, object]]:
    """The machines that were predicted best, middling and worst, two of each where there are as many."""
    known = np.flatnonzero(np.isfinite(test.failed_at) & (np.diff(test.starts) > 1))
    clipped = np.minimum(test.remaining(), np.inf if cap is None else cap)
    error = np.array([np.sqrt(np.mean((predicted - clipped)[test.starts[i] : test.starts[i + 1]] ** 2)) for i in known])
    order = known[np.argsort(error, kind="stable")]
    n = len(order)
    chosen = (
        {"best": order[:2], "median": order[n // 2 - 1 : n // 2 + 1], "worst": order[-2:]} if n >= 6 else {"": order}
    )
    return [_track(test, int(life), why, predicted, decision) for why, lives in chosen.items() for life in lives]


def _track(test: Fleet, life: int, why: str, predicted: Floats, decision: Decision) -> dict[str, object]:
    begin, end = int(test.starts[life]), int(test.starts[life + 1])
    rows = np.unique(np.linspace(begin, end - 1, min(POINTS, end - begin)).round().astype(np.int64))
    low = None if decision.bound is None else decision.bound.low(predicted[rows])
    return {
        "unit": str(test.unit[life]),
        "why": why,
        "age": (test.time[rows] - test.time[begin]).round(4).tolist(),
        "actual": test.remaining()[rows].round(4).tolist(),
        "predicted": predicted[rows].round(4).tolist(),
        "low": [None] * len(rows) if low is None else low.round(4).tolist(),
    }


def _policy(name: str, found: Replay, prices: Servicing, machines: Machines) -> dict[str, object]:
    wasted = found.wasted[np.isfinite(found.wasted)]
    return {
        "policy": name,
        "rate": told(_rates(found, prices, machines)),
        "failures": int(found.failed.sum()),
        "services": int(found.serviced.sum()),
        "wasted": float(wasted.mean()) if len(wasted) else None,
    }


def _rates(found: Replay, prices: Servicing, machines: Machines) -> Floats:
    """[1 + draws], cost per unit of time."""
    return machines.sums(found.cost(prices)) / machines.sums(found.ran)
