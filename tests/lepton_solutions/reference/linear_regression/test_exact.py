"""The closed forms themselves, by a second way to each."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.linear_model import LinearRegression

from lepton_solutions.reference.linear_regression import exact

CHANCE = np.random.default_rng(0)
X, Y = CHANCE.normal(size=(50, 4)), CHANCE.normal(size=50)


def test_the_gradient_is_that_of_finite_differences():
    at = np.array([1.0, -2.0, 0.5, 3.0])
    expected = approx_fprime(at, lambda weights: np.mean((Y - X @ weights) ** 2), 1e-7)
    assert exact.gradient(X, Y, at) == pytest.approx(expected, abs=1e-5)  # half the step times the curvature


def test_at_the_least_squares_the_gradient_vanishes():
    assert exact.gradient(X, Y, exact.least_squares(X, Y)) == pytest.approx(np.zeros(4), abs=1e-12)


def test_least_squares_are_those_of_scikit_learn():
    other = LinearRegression().fit(X, Y)
    found = exact.least_squares(exact.with_ones(X), Y)
    assert found == pytest.approx([*other.coef_, other.intercept_], abs=1e-10)
