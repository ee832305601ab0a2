import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score, roc_curve

from lepton_solutions.errors import UserError
from lepton_solutions.metrics import (
    NAMES,
    auc_difference,
    binary_metrics,
    cost_difference,
    expected_cost,
    metric_values,
    psi,
    resamples,
    share,
)


def rows(n: int = 300, *, seed: int = 0, steps: int | None = None):
    """Target, probability and weight of n rows; calibrated, rounded to `steps` so that some are equal."""
    generator = np.random.default_rng(seed)
    probability = generator.beta(1, 2, size=n)
    target = (generator.random(n) < probability).astype(np.int8)
    if steps:
        probability = np.round(probability * steps) / steps
    return target, probability, generator.exponential(size=n)


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("steps", [None, 10], ids=["distinct", "ties"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_the_metrics_agree_with_scikit_learn(steps, weighted):
    target, probability, weight = rows(steps=steps)
    w = weight if weighted else None
    found = metric_values(target, probability, w)
    fpr, tpr, _ = roc_curve(target, probability, sample_weight=w)
    assert found["auc"] == pytest.approx(roc_auc_score(target, probability, sample_weight=w), abs=1e-12)
    assert found["gini"] == pytest.approx(2 * found["auc"] - 1)
    assert found["ks"] == pytest.approx(np.abs(tpr - fpr).max(), abs=1e-12)
    expected = average_precision_score(target, probability, sample_weight=w)
    assert found["average_precision"] == pytest.approx(expected, abs=1e-12)
    assert found["brier"] == pytest.approx(brier_score_loss(target, probability, sample_weight=w), abs=1e-12)
    assert found["log_loss"] == pytest.approx(log_loss(target, probability, sample_weight=w), abs=1e-12)


def test_certain_and_wrong_costs_as_much_log_loss_as_in_scikit_learn():
    target, probability = [1, 0, 1], [0.0, 1.0, 0.5]
    assert metric_values(target, probability)["log_loss"] == pytest.approx(log_loss(target, probability), rel=1e-9)


def test_calibration_error_is_the_mean_gap_of_the_bins():
    # Ten bins of ten rows, each saying .1, .2, ... 1.0; in every one exactly half of the rows are positive.
    probability = np.repeat(np.arange(1, 11) / 10, 10)
    target = np.tile([0, 1], 50)
    assert metric_values(target, probability)["ece"] == pytest.approx(np.abs(np.arange(1, 11) / 10 - 0.5).mean())


@given(arrays.arrays(np.int64, 40, elements=st.integers(0, 3)), st.sampled_from([None, 5]))
def test_a_weight_of_three_is_the_row_three_times(counts, steps):
    target, probability, _ = rows(40, steps=steps)
    counts[:2], target[:2] = 1, [0, 1]  # one row of each class counts
    repeated = metric_values(np.repeat(target, counts), np.repeat(probability, counts))
    assert metric_values(target, probability, counts) == pytest.approx(repeated, abs=1e-12)


def test_the_intervals_agree_with_scipy():
    target, probability, _ = rows(250, seed=3)

    def auc(indices):
        return roc_auc_score(target[indices], probability[indices])

    def brier(indices):
        return brier_score_loss(target[indices], probability[indices])

    ours = binary_metrics(target, probability, generator=generator(), replicates=4000)
    for name, statistic in (("auc", auc), ("brier", brier)):
        theirs = bootstrap(
            (np.arange(250),), statistic, vectorized=False, n_resamples=600, method="percentile", rng=generator(2)
        ).confidence_interval
        width = theirs.high - theirs.low
        # The ends of a 95 % interval from 600 resamples scatter by about .03 of its width.
        assert ours[name].low == pytest.approx(theirs.low, abs=0.1 * width)
        assert ours[name].high == pytest.approx(theirs.high, abs=0.1 * width)


def calibrated(n: int, seed: int):
    """n negatives and n positives whose probabilities are the true ones: KS .5 (reached at p = .5), ECE 0."""
    draw = np.random.default_rng(seed)
    target = np.repeat([0, 1], n)
    return target, np.where(target, np.sqrt(draw.random(2 * n)), 1 - np.sqrt(draw.random(2 * n)))


def test_the_interval_of_ks_covers_the_true_distance():
    found = [binary_metrics(*calibrated(500, s), generator=generator(s), replicates=200)["ks"] for s in range(100)]
    # Of 95 % the reflected interval reaches 93, the plain percentile one 87; 100 samples scatter by 2.
    assert sum(ks.low <= 0.5 <= ks.high for ks in found) >= 90


def test_the_calibration_error_of_a_calibrated_model_mostly_may_be_nothing():
    found = [binary_metrics(*calibrated(250, s), generator=generator(s), replicates=200)["ece"] for s in range(40)]
    # At the edge of its range no bootstrap reaches 95 %: this one 60, the plain percentile one 0.
    assert sum(ece.low == 0 for ece in found) >= 20


def test_every_interval_holds_its_value():
    found = binary_metrics(*rows(60), generator=generator(), replicates=200)
    assert tuple(found) == NAMES
    assert all(metric.low <= metric.value <= metric.high for metric in found.values())


def test_equal_generators_give_equal_intervals():
    first = binary_metrics(*rows(), generator=generator(7), replicates=100)
    assert binary_metrics(*rows(), generator=generator(7), replicates=100) == first


def test_fewer_resamples_are_drawn_of_many_rows():
    assert [resamples(n, 1000) for n in (200, 20_000, 30_000, 1_000_000)] == [1000, 1000, 666, 200]
    assert resamples(1_000_000, 50) == 50


def test_a_model_does_not_differ_from_itself_on_any_resample():
    target, probability, weight = rows()
    found = auc_difference(target, probability, probability, weight, generator=generator())
    assert found.to_json() == {"value": 0, "low": 0, "high": 0}


def test_the_difference_of_two_like_models_is_surer_than_either():
    target, probability, _ = rows()
    other = np.clip(probability + np.random.default_rng(5).normal(scale=0.03, size=len(target)), 0, 1)
    difference = auc_difference(target, probability, other, generator=generator())
    alone = binary_metrics(target, probability, generator=generator())["auc"]
    assert difference.value == pytest.approx(roc_auc_score(target, probability) - roc_auc_score(target, other))
    assert difference.high - difference.low < (alone.high - alone.low) / 2


def test_the_cost_of_a_decision_is_the_weighted_mean_of_its_mistakes():
    costs = {"cost_of_missed_positive": 5, "cost_of_false_alarm": 1, "generator": generator()}
    # One missed positive (weight 2) and one false alarm (weight 1) among weights of 10.
    assert expected_cost([1, 0, 1, 0], [0, 1, 1, 0], [2, 1, 3, 4], **costs).value == pytest.approx(11 / 10)


def test_the_interval_of_a_mean_cost_is_that_of_the_central_limit():
    target, probability, _ = rows(2000)
    flagged = probability > 0.3
    found = expected_cost(target, flagged, cost_of_missed_positive=3, cost_of_false_alarm=1, generator=generator())
    cost = np.where(target == 1, 3 * ~flagged, flagged)
    half = 1.96 * cost.std() / np.sqrt(2000)
    assert (found.low, found.high) == pytest.approx((cost.mean() - half, cost.mean() + half), abs=0.1 * half)


def test_a_cost_difference_is_the_difference_of_the_costs():
    target, probability, weight = rows()
    costs = {"cost_of_missed_positive": 5.0, "cost_of_false_alarm": 1.0}
    one, other = probability > 0.2, probability > 0.5
    found = cost_difference(target, one, other, weight, **costs, generator=generator())
    apart = [expected_cost(target, d, weight, **costs, generator=generator()).value for d in (one, other)]
    assert found.value == pytest.approx(apart[0] - apart[1])


@pytest.mark.parametrize(("events", "n"), [(0, 12), (3, 17), (40, 40)])
def test_the_interval_of_a_share_is_wilsons(events, n):
    found = share(np.arange(n) < events)
    expected = binomtest(events, n).proportion_ci(method="wilson")
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((events / n, expected.low, expected.high))


def test_a_share_counts_only_the_rows_asked_for():
    found = share([1, 0, 1, 1], [2, 2, 9, 9], among=[1, 1, 0, 0])
    assert found is not None and found == share([1, 0])
    assert share([1, 0], among=[0, 0]) is None


def test_stability_is_the_sum_over_the_deciles_of_the_expected_scores():
    expected = np.arange(100)
    actual = np.concatenate([np.arange(0, 50), np.arange(0, 50)])  # nothing above the median
    twentieth = 5 * (0.2 - 0.1) * np.log(0.2 / 0.1) + 5 * (0.0001 - 0.1) * np.log(0.0001 / 0.1)
    assert psi(expected, actual, generator=generator(), replicates=10).value == pytest.approx(twentieth)


def test_the_same_scores_are_perfectly_stable_and_a_shift_is_seen():
    scores = np.random.default_rng(0).random(1000)
    same = psi(scores, scores, generator=generator())
    shifted = psi(scores, scores**2, generator=generator())
    assert same.value == same.low == 0
    assert shifted.low > 0.1


def test_weights_count_as_rows_in_the_stability():
    scores, moved = np.arange(100) / 100, np.arange(50) / 100
    double = psi(scores, moved, actual_weight=np.full(50, 2.0), generator=generator(), replicates=10)
    assert double.value == psi(scores, np.repeat(moved, 2), generator=generator(), replicates=10).value


@pytest.mark.parametrize(("target", "only"), [([0, 0, 0], "negatives"), ([1, 1, 1], "positives")])
def test_rows_of_one_class_are_refused_in_words(target, only):
    with pytest.raises(UserError, match=rf"3 rows that count, all of them {only}"):
        binary_metrics(target, [0.1, 0.2, 0.3], generator=generator())


def test_a_class_without_weight_is_no_class():
    with pytest.raises(UserError, match="all of them positives"):
        metric_values([1, 0], [0.3, 0.2], [1, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0.5]), "probability: found 1 rows, expected 2"),
        (([0, 1], [0.5, 1.5]), "from 0.5 to 1.5, expected 0 to 1"),
        (([0, 1], [0.5, np.nan]), r"probability: row 1 \(from 0\) is missing"),
        (([0, 2], [0.5, 0.5]), "target: expected 0 and 1 only, found 2"),
        (([0, 1], [[0.5], [0.5]]), r"one value a row, found shape \(2, 1\)"),
        (([0, 1], [0.5, 0.5], [1]), "weight: found 1 rows, expected 2"),
        (([0, 1], [0.5, 0.5], [1, -1]), "weight: found -1, expected 0 or more"),
        (([0, 1], [0.5, 0.5], [0, 0]), "no row counts"),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        metric_values(*arguments)
