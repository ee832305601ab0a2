import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn import metrics as sk
from torchmetrics.functional import classification as tm

from lepton_solutions.class_metrics import class_metrics, class_values, metric_difference, share_interval
from lepton_solutions.metrics import binary_metrics

N, K = 400, 4


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def classes(n: int = N, k: int = K, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Target, probability and called class of n rows; the last class is rare."""
    g = generator(seed)
    y = g.choice(k, size=n, p=np.array([5, 4, 3, 1][:k]) / sum([5, 4, 3, 1][:k]))
    p = g.dirichlet(np.ones(k), size=n) + 0.4 * np.eye(k)[y] * g.random((n, 1))
    p /= p.sum(axis=1, keepdims=True)
    return y, p, p.argmax(axis=1)


def findings(n: int = N, k: int = K, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Several yes or no a row, a tenth of them unknown."""
    g = generator(seed)
    p = g.beta(1, 2, size=(n, k))
    y = (g.random((n, k)) < p).astype(float)
    y[g.random((n, k)) < 0.1] = np.nan
    return y, p, (p >= 0.4).astype(np.int64)


def test_metrics_of_two_classes_agree_with_scikit_learn_and_with_the_weighted_ones():
    y, p, c = (column[:, 0] for column in findings(seed=3))
    y = np.where(np.isnan(y), 0, y)
    found = class_values("binary", y, p, c)
    expected = {
        "auc": sk.roc_auc_score(y, p),
        "average_precision": sk.average_precision_score(y, p),
        "accuracy": sk.accuracy_score(y, c),
        "balanced_accuracy": sk.balanced_accuracy_score(y, c),
        "sensitivity": sk.recall_score(y, c),
        "specificity": sk.recall_score(y, c, pos_label=0),
        "f1": sk.f1_score(y, c),
        "brier": sk.brier_score_loss(y, p),
        "log_loss": sk.log_loss(y, p),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    with_intervals = class_metrics("binary", y, p, c, generator=generator())
    of_credit = binary_metrics(y, p, generator=generator())
    for name in ("auc", "average_precision", "brier", "ece", "log_loss"):  # the same resamples of the same rows
        assert with_intervals[name].to_json() == pytest.approx(of_credit[name].to_json(), abs=1e-9)


def test_metrics_of_several_classes_agree_with_scikit_learn():
    y, p, c = classes()
    expected = {
        "auc": sk.roc_auc_score(y, p, multi_class="ovr", average="macro"),
        "average_precision": sk.average_precision_score(np.eye(K)[y], p, average="macro"),
        "accuracy": sk.accuracy_score(y, c),
        "balanced_accuracy": sk.balanced_accuracy_score(y, c),
        "f1": sk.f1_score(y, c, average="macro"),
        "brier": sk.brier_score_loss(y, p),
        "log_loss": sk.log_loss(y, p),
    }
    found = class_values("multiclass", y, p, c)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_metrics_of_several_classes_agree_with_torchmetrics():
    y, p, c = classes(seed=5)
    output, target = torch.from_numpy(p), torch.from_numpy(y)
    found = class_values("multiclass", y, p, c)
    assert found["auc"] == pytest.approx(float(tm.multiclass_auroc(output, target, K)), abs=1e-6)
    assert found["f1"] == pytest.approx(float(tm.multiclass_f1_score(output, target, K)), abs=1e-6)
    assert found["balanced_accuracy"] == pytest.approx(float(tm.multiclass_accuracy(output, target, K)), abs=1e-6)


def test_the_calibration_error_of_several_classes_is_that_of_the_most_probable_one():
    # torchmetrics bins by equal width: with one certainty a bin both ways of binning meet.
    g = generator(2)
    sure = np.repeat(np.arange(5, 10) / 10 + 0.05, 40)
    y = np.where(g.random(200) < 0.6, 0, g.integers(1, 3, size=200))
    p = np.stack([sure, (1 - sure) * 0.6, (1 - sure) * 0.4], axis=1)
    expected = tm.multiclass_calibration_error(torch.from_numpy(p), torch.from_numpy(y), 3, n_bins=10, norm="l1")
    assert class_values("multiclass", y, p, p.argmax(axis=1))["ece"] == pytest.approx(float(expected), abs=1e-6)


def test_levels_have_a_quadratic_kappa_and_a_mean_error_too():
    y, p, c = classes(seed=7)
    found = class_values("ordinal", y, p, c)
    assert found["quadratic_kappa"] == pytest.approx(sk.cohen_kappa_score(y, c, weights="quadratic"), abs=1e-12)
    assert found["mae"] == pytest.approx(np.abs(y - c).mean())


def test_metrics_of_several_findings_are_means_over_what_is_known_of_each():
    y, p, c = findings()
    known = ~np.isnan(y)
    found = class_values("multilabel", y, p, c)
    for name, rule, said in (
        ("auc", sk.roc_auc_score, p),
        ("average_precision", sk.average_precision_score, p),
        ("f1", sk.f1_score, c),
        ("sensitivity", sk.recall_score, c),
        ("accuracy", sk.accuracy_score, c),
        ("brier", sk.brier_score_loss, p),
    ):
        expected = np.mean([rule(y[known[:, i], i], said[known[:, i], i]) for i in range(K)])
        assert found[name] == pytest.approx(expected, abs=1e-12), name
    target = torch.from_numpy(np.where(known, y, -1)).long()
    expected = tm.multilabel_auroc(torch.from_numpy(p), target, K, ignore_index=-1)
    assert found["auc"] == pytest.approx(float(expected), abs=1e-6)


def test_a_finding_that_the_rows_show_on_one_side_only_has_no_auc_and_is_left_out_of_the_mean():
    y, p, c = findings()
    y[:, 1] = 0
    known = ~np.isnan(y)
    expected = np.mean([sk.roc_auc_score(y[known[:, i], i], p[known[:, i], i]) for i in (0, 2, 3)])
    assert class_values("multilabel", y, p, c)["auc"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal", "multilabel"])
def test_rows_without_a_label_change_nothing(task):
    if task == "multilabel":
        y, p, c = findings()
        more = np.full((50, K), np.nan)
    else:
        y, p, c = classes(k=2 if task == "binary" else K)
        p = p[:, 1] if task == "binary" else p
        more = np.full(50, -1)
    known = class_metrics(task, y, p, c, generator=generator())
    longer = class_metrics(
        task,
        np.concatenate([more, y]),
        np.concatenate([p[:50], p]),
        np.concatenate([c[:50], c]),
        generator=generator(),
    )
    assert longer == known


def test_nothing_known_means_nothing_measured():
    assert class_metrics("binary", np.full(3, -1), np.full(3, 0.5), np.zeros(3), generator=generator()) == {}


@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal", "multilabel"])
def test_a_second_identical_image_of_each_patient_adds_no_certainty(task):
    if task == "multilabel":
        y, p, c = findings(200)
    else:
        y, p, c = classes(200, 2 if task == "binary" else K)
        p = p[:, 1] if task == "binary" else p
    once = class_metrics(task, y, p, c, generator=generator())
    twice = class_metrics(
        task, *(np.repeat(x, 2, axis=0) for x in (y, p, c)), groups=np.repeat(np.arange(200), 2), generator=generator()
    )
    alone = class_metrics(task, *(np.repeat(x, 2, axis=0) for x in (y, p, c)), generator=generator())
    assert {name: found.to_json() for name, found in twice.items()} == {
        name: pytest.approx(found.to_json(), abs=1e-9) for name, found in once.items()
    }
    wide, narrow = once["accuracy"], alone["accuracy"]
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(np.sqrt(2), rel=0.1)


def test_a_share_of_independent_rows_has_wilsons_interval():
    y, p, c = classes(300, 2)
    found = class_metrics("binary", y, p[:, 1], c, generator=generator())["accuracy"]
    right = int((y == c).sum())
    wilson = binomtest(right, 300).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx(tuple(wilson), abs=0.004)  # the variance is that of 1,000 resamples


def test_thirty_right_calls_of_thirty_are_no_proof_of_perfection():
    y = np.arange(30) % 2
    found = class_metrics("binary", y, 0.1 + 0.8 * y, y, generator=generator())
    assert found["accuracy"].low == pytest.approx(binomtest(30, 30).proportion_ci(method="wilson").low)
    assert found["sensitivity"].low == pytest.approx(binomtest(15, 15).proportion_ci(method="wilson").low)
    assert 0.7 < found["auc"].low < 1 and found["auc"].value == found["auc"].high == 1


@pytest.mark.parametrize("shift", [2.5, 4.0])
def test_the_interval_of_a_perfect_auc_covers_the_truth(shift):
    # Two normals: the true AUC is known; of samples that happen to be perfect the interval has to reach down to it.
    from scipy.stats import norm

    g, truth = generator(3), norm.cdf(shift / np.sqrt(2))
    covered, perfect = 0, 0
    for _ in range(300):
        y = np.repeat([0, 1], 10)
        z = g.normal(size=20) + shift * y
        found = class_metrics("binary", y, 1 / (1 + np.exp(-z)), y, generator=g, replicates=2)["auc"]
        perfect += found.value == 1
        covered += found.value == 1 and found.low <= truth
    assert perfect > 20 and covered == perfect


def test_the_difference_of_two_models_is_paired():
    y, p, c = classes(300)
    g = generator(4)
    worse = p + 0.02 * g.random(p.shape)
    worse /= worse.sum(axis=1, keepdims=True)
    found = metric_difference("auc", "multiclass", y, (p, c), (worse, worse.argmax(1)), generator=generator())
    one = class_metrics("multiclass", y, p, c, generator=generator())["auc"]
    other = class_metrics("multiclass", y, worse, c, generator=generator())["auc"]
    assert found.value == pytest.approx(one.value - other.value)
    assert found.high - found.low < (one.high - one.low) / 3  # nearly the same model: the noise of the rows cancels
    same = metric_difference("auc", "multiclass", y, (p, c), (p, c), generator=generator())
    assert (same.low, same.value, same.high) == (0, 0, 0)


def test_correlated_rows_count_as_fewer():
    drawn = generator().normal(0.8, np.sqrt(0.8 * 0.2 / 50), size=4000)  # varies as 50 independent rows would
    found, expected = share_interval(0.8, drawn, 200), binomtest(40, 50).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.01)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="multiclass: found target"):
        class_values("multiclass", np.zeros(3), np.full(3, 0.5), np.zeros(3))
