import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from medical.imaging.decision import ImageDecision
from medical.imaging.operating import Draws, conformal, operating_point, selective
from medical.imaging.pooling import MEAN


def calls(n: int = 300, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    g = np.random.default_rng(seed)
    y = (g.random(n) < 0.3).astype(np.int64)
    return y, np.where(g.random(n) < 0.85, y, 1 - y)


def draws(n: int, groups: np.ndarray | None = None) -> Draws:
    return Draws(0, n, groups)


def test_counts_and_shares_are_those_of_scikit_learn():
    y, c = calls()
    found = operating_point(y, c, threshold=0.4, prevalence=None, draws=draws(300))
    (tn, fp), (fn, tp) = confusion_matrix(y, c)
    assert (found.true_negatives, found.false_positives) == (tn, fp)
    assert (found.false_negatives, found.true_positives) == (fn, tp)
    assert found.sensitivity.value == pytest.approx(recall_score(y, c))
    assert found.specificity.value == pytest.approx(recall_score(y, c, pos_label=0))
    assert found.ppv.value == pytest.approx(precision_score(y, c))
    assert found.npv.value == pytest.approx(precision_score(1 - y, 1 - c))
    assert (found.prevalence, found.stated) == (pytest.approx(y.mean()), False)


def test_predictive_values_at_the_test_parts_own_prevalence_are_the_counted_ones():
    y, c = calls()
    counted = operating_point(y, c, threshold=0.4, prevalence=None, draws=draws(300))
    stated = operating_point(y, c, threshold=0.4, prevalence=float(y.mean()), draws=draws(300))
    assert stated.ppv.value == pytest.approx(counted.ppv.value) and stated.npv.value == pytest.approx(counted.npv.value)


def test_a_rare_disease_makes_most_alarms_false():
    # 90 % sensitivity and 90 % specificity at a prevalence of 1 %: of 1,000, 9 true and 99 false alarms.
    y = np.repeat([1, 0], 100)
    c = np.concatenate([np.arange(100) < 90, np.arange(100) >= 90]).astype(np.int64)
    found = operating_point(y, c, threshold=0.5, prevalence=0.01, draws=draws(200))
    assert found.ppv.value == pytest.approx(9 / (9 + 99))
    assert found.npv.value == pytest.approx(891 / 892)
    assert found.ppv.low < found.ppv.value < found.ppv.high


def test_no_false_alarm_among_forty_leaves_the_predictive_value_in_doubt():
    y = np.repeat([1, 0], 40)
    found = operating_point(y, y, threshold=0.5, prevalence=0.01, draws=draws(80))
    low = binomtest(40, 40).proportion_ci(method="wilson").low
    assert found.sensitivity.low == found.specificity.low == pytest.approx(low)
    assert found.ppv.low == pytest.approx(low * 0.01 / (low * 0.01 + (1 - low) * 0.99))
    assert (found.ppv.value, found.ppv.high) == (1, 1)


def test_calling_everybody_ill_leaves_the_predictive_value_in_doubt_too():
    found = operating_point(np.repeat([1, 0], 15), np.ones(30), threshold=0.1, prevalence=0.05, draws=draws(30))
    assert found.ppv.low < 0.05 == found.ppv.value < found.ppv.high and found.npv is None


def test_what_no_case_could_show_is_none():
    found = operating_point(np.zeros(9), np.zeros(9), threshold=0.5, prevalence=None, draws=draws(9))
    assert found.sensitivity is None and found.ppv is None and found.specificity.value == 1


def test_patients_with_several_images_give_wider_intervals():
    y, c = calls(200)
    once = operating_point(y, c, threshold=0.5, prevalence=None, draws=draws(200))
    y, c, patient = np.repeat(y, 3), np.repeat(c, 3), np.repeat(np.arange(200), 3)
    thrice = operating_point(y, c, threshold=0.5, prevalence=None, draws=draws(600, patient))
    apart = operating_point(y, c, threshold=0.5, prevalence=None, draws=draws(600))
    assert thrice.sensitivity.to_json() == pytest.approx(once.sensitivity.to_json())
    assert apart.sensitivity.high - apart.sensitivity.low < once.sensitivity.high - once.sensitivity.low


def of_classes(limit: float) -> ImageDecision:
    return ImageDecision(
        task="multiclass",
        labels=("a", "b", "c"),
        level="image",
        pooling=MEAN,
        slope=(1.0,),
        intercept=(),
        threshold=(),
        coverage=0.9,
        by_class=False,
        limit=(limit,) * 3,
        refer_below=None,
        distance_limit=None,
    )


def test_coverage_and_sizes_of_sets_are_counted():
    p = np.array([[0.8, 0.15, 0.05], [0.5, 0.45, 0.05], [0.4, 0.3, 0.3], [0.1, 0.2, 0.7]])
    found = conformal(of_classes(0.6), p, np.array([0, 1, 2, 0]), draws(4))  # possible from .4: a, a b, a, c
    assert found.coverage.value == 0.5 and found.mean_size.value == 1.25
    assert found.sizes == (0, 0.75, 0.25, 0)
    assert {label: share.value for label, share in found.coverage_by_label.items()} == {"a": 0.5, "b": 1, "c": 0}


def test_of_findings_only_those_that_are_there_have_to_be_held():
    from dataclasses import replace

    decision = replace(of_classes(0.5), task="multilabel", threshold=(0.5, 0.5, 0.5), by_class=True)
    p = np.array([[0.9, 0.6, 0.1], [0.4, 0.9, 0.1]])
    truth = np.array([[1, 0, np.nan], [1, 1, 0]])
    found = conformal(decision, p, truth, draws(2))  # x held once of twice, y held, z never there
    assert found.coverage.value == pytest.approx(2 / 3)
    assert set(found.coverage_by_label) == {"a", "b"} and found.mean_size.value == 1.5


def test_referring_the_uncertain_lowers_the_error_of_the_rest():
    g = np.random.default_rng(0)
    certainty = g.random(400)
    wrong = (g.random(400) < 0.4 * (1 - certainty)).astype(np.int64)
    refer = (certainty < 0.25).astype(np.int64)
    found = selective(certainty, wrong, refer, asked=0.25, draws=draws(400))
    assert found.referred.value == refer.mean() and found.error_all.value == found.aurc_random == wrong.mean()
    assert found.error_kept.value == pytest.approx(wrong[refer == 0].mean())
    assert found.error_referred.value == pytest.approx(wrong[refer == 1].mean())
    assert found.aurc.low < found.aurc.value < found.aurc.high < found.aurc_random
    nobody = selective(certainty, wrong, 0 * refer, asked=0, draws=draws(400))
    assert nobody.error_referred is None and nobody.error_kept.value == nobody.error_all.value


def test_the_interval_of_the_area_is_that_of_the_bootstrap():
    from scipy.stats import bootstrap

    from medical.imaging.threshold import coverage_risk

    g = np.random.default_rng(1)
    certainty = g.random(150)
    wrong = (g.random(150) < 0.5 * (1 - certainty)).astype(np.int64)
    found = selective(certainty, wrong, 0 * wrong, asked=0, draws=draws(150)).aurc
    theirs = bootstrap(
        (certainty, wrong),
        lambda c, w: coverage_risk(c, w).area,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=g,
    ).confidence_interval
    # Of 1,000 resamples an end has an error of .004, on both sides.
    assert (found.low, found.high) == pytest.approx(tuple(theirs), abs=0.015)
