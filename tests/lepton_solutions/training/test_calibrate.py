"""Platt's calibration against a second implementation, and what it promises whatever the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from lepton_solutions.data.decision import sigmoid
from lepton_solutions.training.calibrate import platt


def sample(seed: int = 0, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-odds that are twice too sure and 1 too high; whole weights from 0 to 3."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=n)
    target = (generator.random(n) < sigmoid(truth)).astype(np.int8)
    return 2 * truth + 1, target, generator.integers(0, 4, n).astype(np.float64)


def test_it_is_an_unpenalised_logistic_regression_on_platts_targets():
    logit, target, weight = sample()
    positives, negatives = weight @ target, weight @ (1 - target)
    goal = np.where(target == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    # A target between 0 and 1 is a row of each class that shares the weight.
    rows = np.concatenate([logit, logit])[:, None]
    shares = np.concatenate([weight * goal, weight * (1 - goal)])
    other = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    other.fit(rows, np.repeat([1, 0], len(logit)), sample_weight=shares)
    # Both stop at a gradient of about 1e-5 of a loss whose curvature is of order .1.
    assert platt(logit, target, weight) == pytest.approx((other.coef_[0, 0], other.intercept_[0]), abs=1e-3)


def test_a_weight_counts_as_so_many_rows():
    logit, target, weight = sample()
    times = weight.astype(int)
    repeated = platt(np.repeat(logit, times), np.repeat(target, times), np.ones(times.sum()))
    assert platt(logit, target, weight) == pytest.approx(repeated, abs=1e-6)


def test_it_undoes_what_was_done_to_the_log_odds():
    logit, target, _ = sample(n=200_000)
    slope, intercept = platt(logit, target, np.ones(len(target)))
    # truth = (logit - 1) / 2; the standard error of either at 200,000 rows is about .006
    assert (slope, intercept) == pytest.approx((0.5, -0.5), abs=0.02)


def test_calibrated_probabilities_sum_to_the_smoothed_targets():
    logit, target, weight = sample()
    slope, intercept = platt(logit, target, weight)
    positives, negatives = weight @ target, weight @ (1 - target)
    expected = positives * (positives + 1) / (positives + 2) + negatives / (negatives + 2)
    assert weight @ sigmoid(slope * logit + intercept) == pytest.approx(expected, rel=1e-4)


def test_rows_that_a_cut_separates_give_a_finite_slope():
    logit = np.linspace(-3, 3, 40)
    slope, intercept = platt(logit, (logit > 0).astype(np.int8), np.ones(40))
    assert 0 < slope < 100
    assert abs(intercept) < 1e-3  # symmetric rows


def test_rows_in_the_wrong_order_are_not_turned_but_flattened():
    logit, target, weight = sample()
    slope, intercept = platt(-logit, target, weight)
    share = weight @ target / weight.sum()
    assert slope > 0
    np.testing.assert_allclose(sigmoid(slope * -logit + intercept), share, atol=0.02)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-30, 30), st.integers(0, 1), st.floats(0.01, 100)), min_size=2, max_size=30).filter(
        lambda rows: {target for _, target, _ in rows} == {0, 1}
    )
)
def test_whatever_the_rows_the_answer_is_finite_and_keeps_their_order(rows):
    logit, target, weight = (np.array(values) for values in zip(*rows, strict=True))
    slope, intercept = platt(logit, target, weight)
    assert np.isfinite([slope, intercept]).all()
    assert slope >= 0
