"""A lower bound on remaining life that so many machines outlast, whatever the model.

Machines are exchangeable, the rows of one are not. So the rows of a calibration machine share one vote, the machine
that is asked about has one too, and the bound is the weighted quantile of how far predictions were too high
(hierarchical conformal prediction: Lee, Barber and Willett 2023, section 3.1). It holds with the asked coverage for a
row drawn at random from a new machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FLOOR = 0.1  # of the largest prediction: misses are measured in predictions, near the end of life in this


@dataclass(frozen=True)
class Bound:
    """Remaining life is at least `predicted - miss * (predicted + floor)`, never below 0."""

    miss: float
    floor: float

    def low(self, predicted: Floats) -> Floats:
        """[n], in the unit of the prediction."""
        return np.clip(predicted - self.miss * (predicted + self.floor), 0, None)


def fit_bound(predicted: Floats, actual: Floats, machine: NDArray[np.int64], coverage: float) -> Bound | None:
    """predicted, actual: [n], actual up to the cap; machine: [n], codes. None where there are too few machines for this
    coverage: at least coverage / (1 - coverage).

    >>> fit_bound(np.array([5.0, 5.0]), np.array([4.0, 6.0]), np.array([0, 1]), 0.9) is None
    True
    """
    if not len(predicted):
        return None
    floor = FLOOR * float(predicted.max()) or 1.0  # all predictions can be 0
    score = (predicted - actual) / (predicted + floor)
    code, count = np.unique(machine, return_inverse=True, return_counts=True)[1:]
    vote = 1 / count[code] / (len(count) + 1)  # the machine that is asked about has the last one, at infinity
    order = np.argsort(score, kind="stable")
    reached = np.cumsum(vote[order])
    place = int(np.searchsorted(reached, coverage - 1e-12))
    return None if place == len(score) else Bound(float(score[order][place]), floor)
