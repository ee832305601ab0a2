"""The numbers behind the figures of a two-class model: plain lists for evaluation.json, at most 200 points each.

Arguments as in `lepton_solutions.metrics`: `target` [n] 0 or 1, `probability` [n] of a 1, `weight` [n] or None.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12 on

from lepton_solutions.metrics import (
    BINS,
    Array,
    binary,
    checked,
    finite,
    mass_edges,
    same_length,
    weights_of,
    wilson,
)

POINTS = 200


class Roc(TypedDict):
    fpr: list[float]
    tpr: list[float]


class ReliabilityBin(TypedDict):
    predicted: float
    observed: float
    low: float
    high: float
    rows: int


class Histogram(TypedDict):
    edges: list[float]
    positive: list[float]
    negative: list[float]


class CostCurve(TypedDict):
    thresholds: list[float]
    costs: dict[str, list[float]]
    flag_none: float
    flag_all: float


def roc_points(target: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None) -> Roc:
    """The ROC curve from (0, 0) to (1, 1); of a longer one the points spread most evenly along it are kept."""
    y, p, w = checked(target, probability, weight)
    order = np.argsort(-p, kind="stable")
    ends = np.flatnonzero(np.diff(p[order], append=-1.0))
    tpr = np.concatenate([[0.0], np.cumsum((w * y)[order])[ends] / (w @ y)])
    fpr = np.concatenate([[0.0], np.cumsum((w * (1 - y))[order])[ends] / (w @ (1 - y))])
    if len(tpr) > POINTS:
        along = (tpr + fpr) / (tpr[-1] + fpr[-1])
        kept = np.unique(np.searchsorted(along, np.linspace(0, 1, POINTS)).clip(max=len(along) - 1))
        tpr, fpr = tpr[kept], fpr[kept]
    return {"fpr": _clean(fpr), "tpr": _clean(tpr)}


def reliability_bins(
    target: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None, *, bins: int = BINS
) -> list[ReliabilityBin]:
    """Mean probability and observed share in bins of equal weight, with Wilson's 95 % interval of the share.

    Equal probabilities share a bin, so there may be fewer; `rows` counts rows, the interval uses Kish's effective
    number of them.
    """
    y, p, w = checked(target, probability, weight)
    place = np.searchsorted(mass_edges(p, w, bins), p)
    found: list[ReliabilityBin] = []
    for bin_ in np.unique(place[w > 0]):
        inside = (place == bin_) & (w > 0)
        v = w[inside]
        seen = wilson(float(v @ y[inside] / v.sum()), float(v.sum() ** 2 / (v @ v)))
        found.append(
            {
                "predicted": float(v @ p[inside] / v.sum()),
                "observed": seen.value,
                "low": seen.low,
                "high": seen.high,
                "rows": int(inside.sum()),
            }
        )
    return found


def score_histogram(
    target: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None, *, bins: int = 25
) -> Histogram:
    """Share of each class (summing to 1 a class) in `bins` equally wide bins of the probability from 0 to its maximum.

    `edges` has one entry more than the shares. The last edge is the largest probability rounded up to a twentieth, so
    that rare positives do not end up in the first bin alone.
    """
    y, p, w = checked(target, probability, weight)
    edges = np.linspace(0, max(0.05, np.ceil(p.max() * 20) / 20), bins + 1)
    positive, _ = np.histogram(p, edges, weights=w * y)
    negative, _ = np.histogram(p, edges, weights=w * (1 - y))
    return {
        "edges": _clean(edges),
        "positive": _clean(positive / positive.sum()),
        "negative": _clean(negative / negative.sum()),
    }


def cost_curve(
    target: ArrayLike,
    probabilities: Mapping[str, ArrayLike],
    weight: ArrayLike | None = None,
    *,
    cost_of_missed_positive: float,
    cost_of_false_alarm: float,
) -> CostCurve:
    """Mean cost a row of flagging at or above each threshold, a curve per model, and of flagging no row or all.

    Thresholds: every hundredth and, where probabilities crowd, their pooled percentiles; ascending.
    """
    y = binary("target", target)
    w = weights_of(weight, len(y))
    scores = {name: same_length(name, finite(name, p), len(y)) for name, p in probabilities.items()}
    pooled = np.quantile(np.concatenate(list(scores.values())), np.arange(1, POINTS - 101) / (POINTS - 101))
    thresholds = np.unique(np.concatenate([np.linspace(0, 1, 101), pooled]))
    missed, alarm = cost_of_missed_positive * w * y / w.sum(), cost_of_false_alarm * w * (1 - y) / w.sum()
    costs: dict[str, list[float]] = {}
    for name, p in scores.items():
        order = np.argsort(p, kind="stable")
        below = np.searchsorted(p[order], thresholds)  # that many rows are not flagged
        lost = np.concatenate([[0.0], np.cumsum(missed[order])])[below]
        alarms = alarm.sum() - np.concatenate([[0.0], np.cumsum(alarm[order])])[below]
        costs[name] = _clean(lost + alarms)
    return {
        "thresholds": _clean(thresholds),
        "costs": costs,
        "flag_none": float(missed.sum()),
        "flag_all": float(alarm.sum()),
    }


def _clean(values: Array) -> list[float]:
    """Six decimals: more than a figure shows, a third of the file."""
    return [float(value) for value in np.round(values, 6)]
