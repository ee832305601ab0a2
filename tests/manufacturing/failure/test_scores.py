"""Errors of remaining life."""

import numpy as np
import pytest

from manufacturing.failure.scores import mae, phm_score, rmse


def test_a_late_prediction_costs_more_than_an_early_one():
    zero = np.zeros(1)
    assert phm_score(zero + 10, zero) == pytest.approx(np.e - 1)
    assert phm_score(zero - 13, zero) == pytest.approx(np.e - 1)
    assert phm_score(zero, zero) == 0


def test_errors_are_those_of_scikit_learn():
    from sklearn.metrics import mean_absolute_error, root_mean_squared_error

    predicted, actual = np.random.default_rng(0).uniform(0, 125, (2, 50))
    assert rmse(predicted, actual) == pytest.approx(root_mean_squared_error(actual, predicted))
    assert mae(predicted, actual) == pytest.approx(mean_absolute_error(actual, predicted))
