"""Where the line between no and yes runs, which labels cannot be ruled out, and what certainty is worth.

    at_sensitivity(probability, target, 0.95)      # of the calibration part: the largest line that finds 95 %
    conformal_limit(1 - of_the_truth, 0.9)         # a label whose score is at most this is in the set

Throughout: `probability` [n] is that of a yes, `target` [n] 0 or 1, all of them known. Plain numpy.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.errors import UserError

Floats = NDArray[np.float64]
# A line off one half must call this many standard errors more rows right. Simulated over normal, skewed and
# heavy-tailed scores, 40 to 1,000 rows: where Platt's curve fits, the line of most right calls loses .1 to .5 points of
# accuracy on new rows to one half, and about half of that with this rule; where it does not fit, one half loses 2 to 5.
_ERRORS = 1.0


def at_sensitivity(probability: np.ndarray, target: np.ndarray, sensitivity: float) -> float:
    """The largest threshold that calls at least this share of the positives; rows at or above it are called.

    It lies halfway between the last positive it must call and the next score below, so that a rounding in another
    engine changes no call. Raises UserError without positives.
    """
    positives = np.sort(probability[target == 1])[::-1]
    if not len(positives):
        raise UserError(
            "found no positive case in the calibration part, expected some: `decision.min_sensitivity` counts them",
            hint="more images, or a larger third share in `data.parts`",
        )
    needed = int(np.ceil(sensitivity * len(positives) - 1e-9))
    return _below(float(positives[needed - 1]), probability)


def at_best_accuracy(probability: np.ndarray, target: np.ndarray) -> float:
    """One half, or the threshold with the most right calls where it is better by more than chance explains.

    Of calibrated probabilities one half is the best line; few rows find another by luck. So the other has to win by one
    standard error of the difference, the square root of the number of rows on which the two disagree. Of equally good
    lines the one nearest to one half is taken.
    """
    order = np.argsort(probability, kind="stable")
    score, y = probability[order], target[order].astype(np.float64)
    right = np.concatenate([[0.0], np.cumsum(1 - y)]) + y.sum() - np.concatenate([[0.0], np.cumsum(y)])
    low, high = np.concatenate([[0.0], score]), np.concatenate([score, [1.0]])
    possible = np.concatenate([[True], np.diff(score) > 0, [True]])  # no line runs between equal scores
    best = np.flatnonzero(possible & (right == right[possible].max()))
    lines = np.where((low[best] < 0.5) & (high[best] >= 0.5), 0.5, (low[best] + high[best]) / 2)
    line = float(lines[np.argmin(np.abs(lines - 0.5))])
    differ = int(((probability >= line) != (probability >= 0.5)).sum())
    gain = right.max() - float(((probability >= 0.5) == (target == 1)).sum())
    return line if gain > _ERRORS * np.sqrt(differ) else 0.5


def conformal_limit(score: np.ndarray, coverage: float) -> float | None:
    """The score up to which labels belong to the set: the ceil((n + 1) coverage)-th smallest of `score` [n].

    score: 1 - probability of the true label, of calibration units. A set of the labels up to the limit holds the truth
    of a new unit with at least this probability, whatever the model, as long as units are exchangeable. None where so
    few units allow no limit: then every label belongs to the set. Source: least ambiguous sets, Sadinle et al. 2019.
    """
    rank = int(np.ceil((len(score) + 1) * coverage - 1e-9))
    return None if rank > len(score) else float(np.sort(score)[max(rank, 1) - 1])


@dataclass(frozen=True)
class CoverageRisk:
    """Of the most certain `coverage` of units (ascending, ends at 1), the share `risk` that is called wrongly."""

    coverage: Floats
    risk: Floats
    area: float


def coverage_risk(certainty: np.ndarray, wrong: np.ndarray, *, points: int = 200) -> CoverageRisk:
    """Selective prediction: units leave in rising order of certainty; equally certain ones in their mean order.

    wrong: [n], 0 or 1. `area` is the mean risk over all n coverages (AURC, Geifman and El-Yaniv 2017): 0 when perfect,
    the share of wrong calls for a certainty that says nothing. At most `points` of the curve are kept.
    """
    n = len(wrong)
    order = np.argsort(-certainty, kind="stable")
    sure = certainty[order]
    ends = np.flatnonzero(np.concatenate([np.diff(sure) != 0, [True]]))
    counts = np.diff(ends, prepend=-1)
    share = np.add.reduceat(wrong[order].astype(np.float64), np.concatenate([[0], ends[:-1] + 1])) / counts
    risk = np.cumsum(np.repeat(share, counts)) / np.arange(1, n + 1)
    kept = np.unique(np.linspace(0, n - 1, min(points, n)).round().astype(np.int64))
    return CoverageRisk((kept + 1) / n, risk[kept], float(risk.mean()))


def _below(value: float, scores: np.ndarray) -> float:
    under = scores[scores < value]
    return (value + float(under.max())) / 2 if len(under) else value / 2
