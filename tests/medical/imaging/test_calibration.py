import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from lepton_solutions.errors import UserError
from medical.imaging.calibration import calibrated, temperature


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


def test_the_temperature_that_made_the_logits_too_sure_is_found():
    g = np.random.default_rng(0)
    z = g.normal(size=(20_000, 4))
    y = (softmax(z).cumsum(axis=1) > g.random((20_000, 1))).argmax(axis=1)
    assert temperature(3 * z, y) == pytest.approx(3, rel=0.05)  # three standard errors of the estimate


def test_the_temperature_is_the_most_likely_one():
    g = np.random.default_rng(1)
    y = g.integers(0, 3, size=3000)
    z = g.normal(2 * np.eye(3)[y], 2)

    def loss(x: np.ndarray) -> float:
        return -np.log(softmax(z / np.exp(x[0]))[np.arange(3000), y]).mean()

    best = np.exp(minimize(loss, [0.0], method="Nelder-Mead").x[0])
    assert temperature(z, y) == pytest.approx(best, rel=0.01)  # but for the little that targets are drawn together


def test_a_network_that_is_always_right_stays_finite():
    y = np.repeat(np.arange(3), 20)
    found = temperature(np.eye(3)[y] * 50, y)
    # Of 20 cases a class all were right: the next one is right with probability 21 / 23, as Laplace's rule has it.
    assert softmax(np.eye(3) * 50 / found).diagonal() == pytest.approx(np.full(3, 21 / 23), abs=1e-3)
    (slope,), (intercept,) = calibrated("binary", np.array([-9.0, -8, 8, 9]), np.array([0, 0, 1, 1]), ("no", "yes"))
    assert np.isfinite([slope, intercept]).all() and slope > 0


def test_each_finding_and_each_level_has_a_line_of_its_own():
    g = np.random.default_rng(2)
    z = g.normal(size=(4000, 2)) * 2
    y = (g.random((4000, 2)) < 1 / (1 + np.exp(-(z * [1.0, 0.4] + [0.5, -1])))).astype(float)
    y[::3, 1] = np.nan
    slope, intercept = calibrated("multilabel", z, y, ("a", "b"))
    for code in range(2):
        known = ~np.isnan(y[:, code])
        theirs = LogisticRegression(C=np.inf).fit(z[known, code : code + 1], y[known, code])
        # Platt draws the targets a little to the middle; of thousands that is nothing.
        assert (slope[code], intercept[code]) == pytest.approx((theirs.coef_.item(), theirs.intercept_[0]), abs=0.02)
    level = g.integers(0, 3, size=500)
    above = (level[:, None] > np.arange(2)) * 2 - 1 + g.normal(size=(500, 2))
    slope, _ = calibrated("ordinal", above, level, ("a", "b", "c"))
    assert len(slope) == 2 and min(slope) > 1


def test_a_finding_without_both_sides_keeps_the_networks_own_odds():
    z, y = np.random.default_rng(0).normal(size=(20, 2)), np.zeros((20, 2))
    y[:10, 0] = 1
    slope, intercept = calibrated("multilabel", z, y, ("a", "b"))
    assert (slope[1], intercept[1]) == (1.0, 0.0) and (slope[0], intercept[0]) != (1.0, 0.0)


@pytest.mark.parametrize("turn", [1, -1], ids=["too steep", "upside down"])
def test_a_network_that_hardly_says_anything_is_not_stretched_to_certainty(turn):
    g = np.random.default_rng(0)
    y = np.arange(40) % 4 == 0
    z = 0.3 + turn * 0.02 * g.normal(y, 1)
    (slope,), (intercept,) = calibrated("binary", z, y.astype(int), ("no", "yes"))
    p = 1 / (1 + np.exp(-slope * z - intercept))
    assert slope == (20 if turn == 1 else 1 / 20)
    assert p.mean() == pytest.approx((10 * 11 / 12 + 30 / 32) / 40)  # the share of positives, drawn in as Platt does


def test_one_class_only_is_an_error_that_names_it():
    with pytest.raises(UserError, match="found 3 labelled cases, only `benign`"):
        calibrated("binary", np.zeros(3), np.zeros(3), ("benign", "malignant"))
