import pytest

from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.run import RunMetrics, Variant


def run(primary: str, chosen: str = "trained", **values: float) -> RunMetrics:
    variants = {name: Variant(test={primary: Interval(value, value, value)}) for name, value in values.items()}
    return RunMetrics(pipeline="a/b", primary=primary, chosen=chosen, variants=variants)


@pytest.mark.parametrize(
    ("primary", "order"), [("auc", ["trained", "good", "poor"]), ("rmse", ["trained", "poor", "good"])]
)
def test_the_chosen_model_comes_first_and_then_the_best(primary, order):
    assert list(run(primary, poor=0.1, good=0.9, trained=0.5).models()) == order


def test_a_baseline_that_stands_under_its_own_name_is_shown_once():
    metrics = run("auc", baseline=0.7, logistic=0.7, trained=0.8)
    assert list(metrics.models()) == ["trained", "logistic"]
    assert metrics.baseline_of(metrics.models()) == "logistic"


def test_a_baseline_of_its_own_is_a_model_like_others():
    metrics = run("auc", baseline=0.7, trained=0.8)
    assert list(metrics.models()) == ["trained", "baseline"]
    assert metrics.baseline_of(metrics.models()) is None


def test_a_variant_without_a_label_goes_by_its_name():
    assert run("auc", trained=0.8).label("trained") == "trained"
