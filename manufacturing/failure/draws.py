"""How sure is a figure of test machines? Machines are drawn, each with all its rows, and figures that are compared
share their draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.resampling import interval, resample

Floats = NDArray[np.float64]
REPLICATES = 1000


class Machines:
    """Sums of rows by machine, and 1,000 draws of machines: every figure and every difference is of the same draws."""

    def __init__(self, unit: NDArray, draw: np.random.Generator) -> None:
        self.code, self.rows = np.unique(unit, return_inverse=True, return_counts=True)[1:]
        several = len(self.rows)
        times = np.concatenate(list(resample(np.ones(several), draw, REPLICATES)))
        self.times = np.concatenate([np.ones((1, several)), times])  # first the machines as they are
        self.drawn_rows = self.times @ self.rows

    def sums(self, values: Floats) -> Floats:
        """[1 + draws], of values [rows]."""
        return self.times @ np.bincount(self.code, values, len(self.rows))

    def means(self, values: Floats) -> Floats:
        """[1 + draws], over rows."""
        return self.sums(values) / self.drawn_rows

    def by_machine(self, values: Floats) -> Floats:
        """[1 + draws], over machines of the mean over rows."""
        mean = np.bincount(self.code, values, len(self.rows)) / self.rows
        return self.times @ mean / self.times.sum(1)


def told(drawn: Floats) -> dict[str, float]:
    """A figure as it is, and its interval."""
    return interval(float(drawn[0]), drawn[1:]).to_json()
