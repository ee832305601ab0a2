"""How far off is a prediction of remaining life? d = predicted - actual, in units of the clock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def rmse(predicted: Floats, actual: Floats) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(((predicted - actual) ** 2).mean()))


def mae(predicted: Floats, actual: Floats) -> float:
    """Mean absolute error."""
    return float(np.abs(predicted - actual).mean())


def penalty(predicted: Floats, actual: Floats) -> Floats:
    """[n], of the PHM 2008 challenge (Saxena et al. 2008): late costs more than early."""
    d = predicted - actual
    return np.where(d < 0, np.expm1(-d / 13), np.expm1(d / 10))


def phm_score(predicted: Floats, actual: Floats) -> float:
    """The sum of the penalties, hence larger for more machines.

    >>> round(phm_score(np.array([10.0, 0.0]), np.array([0.0, 13.0])), 4)  # (e - 1) twice
    3.4366
    """
    return float(penalty(predicted, actual).sum())
