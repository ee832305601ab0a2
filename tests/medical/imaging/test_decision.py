import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from lepton_solutions.errors import UserError
from medical.imaging.decision import ImageDecision
from medical.imaging.fitting import check_rules, fit_decision
from medical.imaging.pooling import MEAN, Pooling
from medical.imaging.settings import Deciding

LABELS = {
    "binary": ("benign", "malignant"),
    "multiclass": ("a", "b", "c"),
    "multilabel": ("x", "y", "z"),
    "ordinal": ("none", "mild", "severe"),
}
TASKS = list(LABELS)


def rules(**changed: object) -> Deciding:
    values = {
        "min_sensitivity": None,
        "prevalence": None,
        "pooling": "mean",
        "coverage": 0.9,
        "by_class": False,
        "refer": 0.0,
        "out_of_distribution": 0.01,
    }
    return Deciding.model_validate(values | changed)


def images(task: str, n: int = 400, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logit, distance and target of n images of a fair model."""
    g = np.random.default_rng(seed)
    far = g.gamma(4, size=n)
    if task == "binary":
        y = g.integers(0, 2, size=n)
        return g.normal(2 * y - 1, 1.2), far, y
    if task == "multilabel":
        y = g.integers(0, 2, size=(n, 3)).astype(float)
        z = g.normal(2 * y - 1, 1.2)
        y[g.random((n, 3)) < 0.1] = np.nan
        return z, far, y
    y = g.integers(0, 3, size=n)
    if task == "multiclass":
        return g.normal(2 * np.eye(3)[y], 1.2), far, y
    return 2 * ((y + g.normal(0, 0.7, size=n))[:, None] - [0.5, 1.5]), far, y


def decided(task: str, *, settings: Deciding | None = None, per_unit: int = 1, **changed: object) -> ImageDecision:
    logit, distance, target = images(task)
    units = np.arange(len(logit)) // per_unit
    known = {
        "task": task,
        "labels": LABELS[task],
        "level": "image" if per_unit == 1 else "patient",
        "logit": logit,
        "distance": distance,
        "target": np.repeat(target[::per_unit], per_unit, axis=0),
        "units": units,
    }
    return fit_decision(settings or rules(), **(known | changed))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("pooling", [MEAN, Pooling("attention", (0.5, 0.1))], ids=lambda p: p.kind)
def test_a_decision_survives_its_file_and_decides_the_same(task, pooling):
    decision = decided(task, settings=rules(refer=0.1), per_unit=4, pooling=pooling)
    again = ImageDecision.from_json(json.loads(json.dumps(decision.to_json())))
    assert again == decision
    logit, distance, _ = images(task, 40, seed=1)
    units = np.arange(40) // 4
    assert again.decide(logit, distance, units) == decision.decide(logit, distance, units)


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_holds_together(task):
    logit, distance, _ = images(task, 100, seed=1)
    answers = decided(task, settings=rules(refer=0.2)).decide(logit, distance, np.arange(100) // 2)
    assert [one.unit for one in answers] == list(range(50)) and {one.images for one in answers} == {2}
    for one in answers:
        assert len(one.probability) == len(LABELS[task]) and all(0 <= p <= 1 for p in one.probability)
        if task != "multilabel":
            assert sum(one.probability) == pytest.approx(1)
        called = set() if one.label == "none" and task == "multilabel" else set(one.label.split("|"))
        assert called <= set(one.possible)  # what is called is possible
        assert one.decision == ("refused" if one.refused else "refer" if one.refer else one.label)


@pytest.mark.parametrize("task", ["binary", "multiclass", "ordinal"])
@pytest.mark.parametrize("by_class", [False, True])
def test_sets_cover_new_cases_as_often_as_asked(task, by_class):
    decision = decided(task, settings=rules(by_class=by_class))
    logit, _, target = images(task, 20_000, seed=1)
    inside = decision.possible(decision.probability(logit))[np.arange(20_000), target]
    # 400 calibration cases: the coverage itself varies by .015, of a third of them by .026.
    if by_class:
        assert min(inside[target == code].mean() for code in range(len(LABELS[task]))) > 0.9 - 0.055
    assert inside.mean() > 0.9 - 0.035


def test_findings_that_are_there_are_in_the_set_as_often_as_asked():
    decision = decided("multilabel", settings=rules(coverage=0.95))
    logit, _, target = images("multilabel", 20_000, seed=1)
    inside = decision.possible(decision.probability(logit))
    for code in range(3):
        assert inside[target[:, code] == 1, code].mean() > 0.95 - 0.035


def test_levels_between_two_possible_ones_are_possible():
    decision = replace(decided("ordinal"), limit=(0.6, 0.6, 0.6))
    probability = np.array([[0.45, 0.1, 0.45], [0.9, 0.08, 0.02]])
    assert decision.possible(probability).tolist() == [[True, True, True], [True, False, False]]


def test_levels_out_of_order_still_give_probabilities():
    decision = decided("ordinal")
    probability = decision.probability(np.array([[-3.0, 3.0], [0.0, 0.0]]))  # above `mild` without being above `none`
    assert (probability >= 0).all() and probability.sum(axis=1) == pytest.approx(1)


def test_the_called_level_is_the_median():
    decision = decided("ordinal")
    assert decision.called(np.array([[0.4, 0.2, 0.4], [0.55, 0.0, 0.45], [0.1, 0.3, 0.6]])).tolist() == [1, 0, 2]


@pytest.mark.parametrize("task", TASKS)
def test_probabilities_hold_on_new_cases(task):
    decision = decided(task)
    logit, _, target = images(task, 20_000, seed=2)
    probability = decision.shares(decision.probability(logit))
    truth = target if task == "multilabel" else np.eye(probability.shape[1])[target]
    for p, y in zip(probability.T, truth.T, strict=True):
        known = ~np.isnan(y)
        for low in (0.1, 0.4, 0.7):
            inside = known & (p > low) & (p < low + 0.2)
            if inside.sum() > 200:
                assert y[inside].mean() == pytest.approx(p[inside].mean(), abs=0.1)


def test_the_asked_sensitivity_is_reached_on_the_calibration_part_and_about_reached_on_new_cases():
    decision = decided("binary", settings=rules(min_sensitivity=0.95))
    for seed, least in ((0, 0.95), (1, 0.92)):
        logit, _, target = images("binary", 400 if seed == 0 else 20_000, seed=seed)
        called = decision.called(decision.probability(logit))
        assert called[target == 1].mean() >= least
    assert decided("binary").threshold[0] > decision.threshold[0]


def test_every_finding_reaches_the_asked_sensitivity():
    decision = decided("multilabel", settings=rules(min_sensitivity=0.9))
    logit, _, target = images("multilabel")
    called = decision.called(decision.probability(logit))
    assert all(called[target[:, code] == 1, code].mean() >= 0.9 for code in range(3))


def test_the_threshold_is_that_of_patients_where_patients_are_decided_about():
    logit, distance, target = images("binary", 400)
    target, units = np.repeat(target[::4], 4), np.arange(400) // 4
    pooled = np.array([logit[units == unit].mean() for unit in range(100)])
    by_hand = decided(
        "binary",
        settings=rules(min_sensitivity=0.9, refer=0.1),
        logit=pooled,
        distance=np.array([distance[units == unit].max() for unit in range(100)]),
        target=target[::4],
        units=np.arange(100),
    )
    found = decided("binary", settings=rules(min_sensitivity=0.9, refer=0.1), per_unit=4, target=target)
    assert found.threshold == pytest.approx(by_hand.threshold)
    assert found.limit == pytest.approx(by_hand.limit)
    assert (found.refer_below, found.distance_limit) == pytest.approx((by_hand.refer_below, by_hand.distance_limit))


@pytest.mark.parametrize("task", TASKS)
def test_the_asked_share_goes_to_a_person_and_it_is_the_least_certain(task):
    decision = decided(task, settings=rules(refer=0.2))
    logit, distance, _ = images(task)
    answers = decision.decide(logit, distance, np.arange(400))
    refer = np.array([one.refer for one in answers])
    certainty = np.array([one.certainty for one in answers])
    assert refer.mean() == pytest.approx(0.2, abs=0.01)
    assert certainty[refer].max() < certainty[~refer].min()


def test_nobody_is_referred_unless_asked():
    logit, distance, _ = images("binary")
    assert not any(one.refer for one in decided("binary").decide(logit, distance, np.arange(400)))


def test_images_of_another_kind_are_refused_and_few_others():
    decision = decided("binary", settings=rules(out_of_distribution=0.05))
    logit, distance, _ = images("binary", 5000, seed=1)
    refused = np.array([one.refused for one in decision.decide(logit, distance, np.arange(5000))])
    assert refused.mean() == pytest.approx(0.05, abs=0.03)
    foreign = decision.decide(np.array([9.0, 9.0]), np.array([1e3, np.nan]), np.arange(2))
    assert [one.decision for one in foreign] == ["refused", "refused"]


def test_one_foreign_image_refuses_its_patient():
    decision = decided("binary", per_unit=4)
    logit, distance, _ = images("binary", 8, seed=1)
    distance[:] = 1
    distance[5] = 1e3
    assert [one.refused for one in decision.decide(logit, distance, np.arange(8) // 4)] == [False, True]


def test_a_model_without_distances_refuses_nothing():
    decision = decided("binary", distance=None)
    answer = decision.decide(np.array([1.0]), None, np.array([0]))[0]
    assert decision.distance_limit is None and answer.distance is None and not answer.refused


def test_images_without_a_label_change_neither_thresholds_nor_sets():
    logit, distance, target = images("binary")
    more = fit_decision(
        rules(min_sensitivity=0.9),
        task="binary",
        labels=LABELS["binary"],
        level="image",
        logit=np.concatenate([logit, [99.0, -99.0]]),
        distance=np.concatenate([distance, [1.0, 1.0]]),
        target=np.concatenate([target, [-1, -1]]),
        units=np.arange(402),
    )
    known = decided("binary", settings=rules(min_sensitivity=0.9))
    assert (more.threshold, more.limit, more.slope) == (known.threshold, known.limit, known.slope)


def test_a_class_that_calibration_cases_never_show_is_never_ruled_out():
    logit, distance, target = images("multiclass")
    decision = decided(
        "multiclass", settings=rules(by_class=True), target=np.where(target == 2, 0, target), distance=distance
    )
    assert decision.limit[2] is None
    assert all("c" in one.possible for one in decision.decide(logit, distance, np.arange(400)))


@pytest.mark.parametrize("task", ["multiclass", "ordinal"])
def test_a_sensitivity_of_several_classes_is_refused_at_once(task):
    with pytest.raises(UserError, match=r"decision\.min_sensitivity: found 0\.9 with several classes"):
        check_rules(rules(min_sensitivity=0.9), task)
    check_rules(rules(), task)


def test_a_decision_file_without_a_key_is_an_error_that_names_it():
    saved = decided("binary").to_json()
    del saved["threshold"]
    with pytest.raises(UserError, match=r"decision\.json: expected the keys .*; missing: threshold"):
        ImageDecision.from_json(saved)


def test_deciding_needs_numpy_alone():
    others = ("torch", "pandas", "sklearn", "scipy", "pyarrow", "pydantic")
    code = f"import sys, medical.imaging.decision; print([name for name in {others} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_on_the_line_is_called_and_on_the_limit_possible():
    decision = replace(decided("binary"), threshold=(0.5,), limit=(0.5, 0.5))
    assert decision.called(np.array([0.5])).tolist() == [1]
    assert decision.possible(np.array([0.5])).tolist() == [[True, True]]


def test_what_is_foreign_and_uncertain_is_refused():
    decision = replace(decided("binary"), refer_below=99.0)
    (answer,) = decision.decide(np.array([0.0]), np.array([1e3]), np.array([0]))
    assert answer.refer and answer.refused and answer.decision == "refused"


def test_no_more_calibration_images_are_refused_than_asked():
    logit, distance, target = images("binary", 150)
    decision = decided("binary", logit=logit, distance=distance, target=target, units=np.arange(150))
    assert (distance > decision.distance_limit).mean() <= 0.01
