import numpy as np
import pytest
from crepes import ConformalClassifier
from sklearn.metrics import roc_curve

from lepton_solutions.errors import UserError
from medical.imaging.threshold import at_best_accuracy, at_sensitivity, conformal_limit, coverage_risk


def rows(n: int = 200, *, seed: int = 0, steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities and what happened."""
    g = np.random.default_rng(seed)
    p = g.beta(0.7, 0.9, size=n)
    y = (g.random(n) < p).astype(np.int64)
    return (np.round(p * steps) / steps if steps else p), y


@pytest.mark.parametrize("steps", [None, 20], ids=["distinct", "ties"])
@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.95, 0.999])
def test_no_larger_threshold_reaches_the_sensitivity(wanted, steps):
    p, y = rows(steps=steps)
    line = at_sensitivity(p, y, wanted)
    _, tpr, thresholds = roc_curve(y, p, drop_intermediate=False)
    assert (p[y == 1] >= line).mean() >= wanted
    last = p[p >= line].min()  # the line lies on this score or just below
    assert (tpr[thresholds > last] < wanted).all()


def test_the_threshold_lies_between_two_scores_so_that_rounding_changes_no_call():
    p, y = rows()
    line = at_sensitivity(p, y, 0.9)
    assert np.abs(p - line).min() > 1e-7
    assert ((p.astype(np.float32) >= line) == (p >= line)).all()


def test_sensitivity_without_a_positive_case_is_an_error():
    with pytest.raises(UserError, match="no positive case in the calibration part"):
        at_sensitivity(np.array([0.2, 0.4]), np.array([0, 0]), 0.9)


def test_the_line_is_better_on_new_cases_than_the_one_of_most_right_calls():
    new, _ = rows(20_000, seed=99)

    def right(line: float) -> float:  # on new cases, in expectation
        return np.where(new >= line, new, 1 - new).mean()

    ours, most = [], []
    for seed in range(60):
        p, y = rows(80, seed=seed)
        ours.append(right(at_best_accuracy(p, y)))
        most.append(right(max(np.append(np.sort(p), 1.1), key=lambda line: ((p >= line) == y).sum())))
    assert right(0.5) >= np.mean(ours) > np.mean(most) + 0.003


def test_a_line_that_is_clearly_better_is_taken():
    p, y = rows(1000)
    squeezed = 0.3 * p  # the probabilities are wrong, and everything is called negative at one half
    assert at_best_accuracy(squeezed, y) == pytest.approx(0.15, abs=0.03)


def test_separated_classes_are_cut_between_them_as_near_to_one_half_as_can_be():
    y = np.repeat([0, 1], 50)
    assert at_best_accuracy(np.where(y == 1, 0.9, 0.2), y) == 0.5
    assert at_best_accuracy(np.where(y == 1, 0.3, 0.1), y) == pytest.approx(0.2)


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_conformal_sets_are_those_of_crepes(coverage, by_class):
    g = np.random.default_rng(0)
    y = g.integers(0, 3, size=300)
    p = g.dirichlet(np.ones(3), size=300) * 0.5 + 0.5 * np.eye(3)[y] * g.random((300, 1))
    p /= p.sum(axis=1, keepdims=True)
    score, held, new = 1 - p[np.arange(300), y], slice(0, 150), p[150:]
    theirs = ConformalClassifier()
    theirs.fit(score[held], bins=y[held] if by_class else None)
    expected = np.column_stack(
        [
            theirs.predict_set(
                1 - new, bins=np.full(150, code) if by_class else None, confidence=coverage, smoothing=False
            )[:, code]
            for code in range(3)
        ]
    )
    limits = [conformal_limit(score[held][y[held] == code] if by_class else score[held], coverage) for code in range(3)]
    assert ((1 - new <= np.array(limits)) == (expected == 1)).all()


def test_the_sets_cover_as_often_as_they_say_on_new_cases():
    # Over 2,000 draws of 60 + 1 cases; the theory says 55 of 61 at least, and 56 of 61 at most.
    g, n = np.random.default_rng(0), 60
    score = g.exponential(size=(2000, n + 1))
    held = [new <= conformal_limit(old, 0.9) for *old, new in (list(row) for row in score)]
    assert 0.9 - 0.02 < np.mean(held) < 56 / 61 + 0.02  # three standard errors are .02


def test_too_few_cases_allow_no_limit():
    assert conformal_limit(np.array([0.1, 0.2, 0.3]), 0.9) is None
    assert conformal_limit(np.linspace(0.1, 0.9, 9), 0.9) == pytest.approx(0.9)


def test_risk_falls_as_the_uncertain_leave():
    certainty = np.array([0.9, 0.8, 0.7, 0.6])
    found = coverage_risk(certainty, np.array([0, 0, 1, 1]))
    assert found.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert found.risk == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert found.area == pytest.approx((1 / 3 + 1 / 2) / 4)


def test_a_certainty_that_says_nothing_has_the_risk_of_all_at_every_coverage():
    wrong = np.array([1, 0, 0, 0, 1, 0, 0, 0])
    found = coverage_risk(np.ones(8), wrong)
    assert found.risk == pytest.approx(np.full(8, 0.25)) and found.area == pytest.approx(0.25)


def test_equally_certain_cases_leave_in_their_mean_order():
    g = np.random.default_rng(0)
    certainty, wrong = np.round(g.random(60) * 5), g.integers(0, 2, size=60)
    orders = []
    for _ in range(2000):  # the mean over random orders of the tied is what the curve says
        order = np.lexsort([g.random(60), -certainty])
        orders.append(np.cumsum(wrong[order]) / np.arange(1, 61))
    assert coverage_risk(certainty, wrong).risk == pytest.approx(np.mean(orders, axis=0), abs=0.03)


def test_a_long_curve_keeps_its_ends_and_its_area():
    g = np.random.default_rng(0)
    certainty, wrong = g.random(5000), g.integers(0, 2, size=5000)
    found = coverage_risk(certainty, wrong)
    assert len(found.risk) == 200 and found.coverage[-1] == 1 and found.risk[-1] == pytest.approx(wrong.mean())
    assert found.area == pytest.approx(coverage_risk(certainty, wrong, points=5000).risk.mean())
