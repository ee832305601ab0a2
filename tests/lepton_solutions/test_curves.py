import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, roc_auc_score, roc_curve

from lepton_solutions.curves import POINTS, cost_curve, reliability_bins, roc_points, score_histogram
from lepton_solutions.metrics import expected_cost


def rows(n: int = 400):
    generator = np.random.default_rng(0)
    probability = generator.beta(1, 2, size=n)
    return (generator.random(n) < probability).astype(np.int8), probability, generator.exponential(size=n)


def test_a_short_roc_curve_is_scikit_learns():
    target, probability, weight = rows(80)
    found = roc_points(target, probability, weight)
    fpr, tpr, _ = roc_curve(target, probability, sample_weight=weight, drop_intermediate=False)
    assert found["fpr"] == pytest.approx(fpr, abs=1e-6)  # rounded to six decimals
    assert found["tpr"] == pytest.approx(tpr, abs=1e-6)


def test_a_long_roc_curve_keeps_its_ends_and_its_area():
    target, probability, _ = rows(20_000)
    found = roc_points(target, probability)
    assert len(found["fpr"]) <= POINTS
    assert (found["fpr"][0], found["tpr"][0], found["fpr"][-1], found["tpr"][-1]) == (0, 0, 1, 1)
    assert auc(found["fpr"], found["tpr"]) == pytest.approx(roc_auc_score(target, probability), abs=1e-3)


def test_reliability_bins_are_scikit_learns_quantile_bins_with_wilsons_interval():
    target, probability, _ = rows(400)
    found = reliability_bins(target, probability)
    observed, predicted = calibration_curve(target, probability, n_bins=10, strategy="quantile")
    assert [bin_["observed"] for bin_ in found] == pytest.approx(observed)
    assert [bin_["predicted"] for bin_ in found] == pytest.approx(predicted)
    first = binomtest(int(target[np.argsort(probability)[:40]].sum()), 40).proportion_ci(method="wilson")
    assert (found[0]["low"], found[0]["high"]) == pytest.approx((first.low, first.high))
    assert sum(bin_["rows"] for bin_ in found) == 400


def test_equal_probabilities_share_one_reliability_bin():
    found = reliability_bins([0, 1, 0, 1, 1], [0.2, 0.2, 0.2, 0.2, 0.9])
    assert [bin_["rows"] for bin_ in found] == [4, 1]


def test_each_class_of_a_histogram_sums_to_one():
    found = score_histogram(*rows())
    assert len(found["edges"]) == len(found["positive"]) + 1 == len(found["negative"]) + 1
    assert sum(found["positive"]) == pytest.approx(1, abs=1e-4)
    assert sum(found["negative"]) == pytest.approx(1, abs=1e-4)


def test_a_histogram_of_rare_positives_ends_near_the_largest_probability():
    assert score_histogram([0, 1, 0], [0.01, 0.08, 0.02])["edges"][-1] == 0.1


def test_the_cost_curve_is_the_expected_cost_at_every_threshold():
    target, probability, weight = rows()
    costs = {"cost_of_missed_positive": 5.0, "cost_of_false_alarm": 1.0}
    found = cost_curve(target, {"ours": probability}, weight, **costs)
    assert len(found["thresholds"]) <= POINTS
    for threshold, cost in zip(found["thresholds"], found["costs"]["ours"], strict=True):
        # A pooled percentile is rounded: a row at it may be on either side, hence the tolerance of one row's share.
        value = expected_cost(
            target, probability >= threshold, weight, **costs, generator=np.random.default_rng(0), replicates=1
        ).value
        assert cost == pytest.approx(value, abs=5 * weight.max() / weight.sum())


def test_the_cost_curve_runs_from_flagging_all_to_flagging_none():
    target, probability, _ = rows()
    found = cost_curve(target, {"ours": probability}, cost_of_missed_positive=5, cost_of_false_alarm=1)
    assert found["flag_none"] == pytest.approx(5 * target.mean())
    assert found["flag_all"] == pytest.approx(1 - target.mean())
    assert found["costs"]["ours"][0] == pytest.approx(found["flag_all"], abs=1e-6)
    assert found["costs"]["ours"][-1] == pytest.approx(found["flag_none"], abs=1e-6)


def test_two_models_of_different_length_are_not_drawn_together():
    with pytest.raises(ValueError, match="other: found 1 rows, expected 2"):
        cost_curve([0, 1], {"ours": [0.1, 0.2], "other": [0.1]}, cost_of_missed_positive=1, cost_of_false_alarm=1)
