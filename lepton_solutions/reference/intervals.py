"""How sure is a mean over test rows? 95 % intervals by bootstrap."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from lepton_solutions.metrics import Interval, resamples


def mean(values: NDArray[np.float64], *, seed: int) -> Interval:
    """Mean of one value a row [n], n at least 2, with the percentile interval of its resamples.

    >>> mean(np.array([2.0, 2.0, 2.0]), seed=0)
    Interval(value=2.0, low=2.0, high=2.0)
    """
    value = float(values.mean())
    if np.ptp(values) == 0:
        return Interval(value, value, value)
    drawn = bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples(len(values), 1000),
        batch=100,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(value, min(float(drawn.low), value), max(float(drawn.high), value))
