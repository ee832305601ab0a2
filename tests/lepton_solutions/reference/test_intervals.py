"""Bootstrapped intervals of a mean."""

import numpy as np
import pytest
from scipy import stats

from lepton_solutions.reference import intervals


def test_the_interval_of_many_normal_values_is_that_of_the_theory():
    values = np.random.default_rng(0).normal(size=5000)
    found = intervals.mean(values, seed=0)
    half = stats.norm.ppf(0.975) * values.std() / np.sqrt(len(values))
    assert found.value == values.mean()
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_equal_seeds_give_equal_intervals():
    values = np.arange(30.0)
    assert intervals.mean(values, seed=3) == intervals.mean(values, seed=3) != intervals.mean(values, seed=4)
