"""Training: what a run leaves for the stages behind it, for every task."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file
from stored_images import imaging_settings, stored

from lepton_solutions.data.splits import CALIBRATION, TRAIN, VALIDATION
from lepton_solutions.progress import Progress
from medical.imaging.baseline import Baseline, baseline_logits, fit_baseline
from medical.imaging.decision import ImageDecision
from medical.imaging.exported import load
from medical.imaging.scores import area
from medical.imaging.train import fit_defaults, logits, member_seed, train


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def learn(run, store, *overrides):
    train(imaging_settings(*overrides), run, run, Progress(quiet=True))
    return json.loads((run / "learned.json").read_text(encoding="utf-8")), np.load(run / "logits.npz")


@pytest.mark.parametrize(
    ("task", "labels", "more"),
    [
        ("binary", 2, ["model.members=2", "fit.average=ema", "fit.average_decay=0.9"]),
        ("multiclass", 3, ["fit.mixup=0.2", "fit.patience=6"]),
        ("multilabel", 3, ["augment.rotate=10", "augment.noise=0.02"]),
        ("ordinal", 3, ["augment.flip=[left_right]", "model.flips=true"]),
    ],
)
def test_each_task_learns_and_its_run_can_be_loaded(tmp_path, task, labels, more):
    run = tmp_path / "run"
    store = stored(run, task, labels=labels, unknown=10)
    learned, saved = learn(run, store, *more)
    assert learned["validation"]["trained"]["auc"] > 0.75  # a bright spot, after six epochs; chance is .5
    logit, distance = logits(load(run), store.pixels(VALIDATION))
    np.testing.assert_allclose(logit, saved["trained/validation"], atol=1e-6)
    np.testing.assert_allclose(distance, saved["distance/validation"], atol=1e-6)
    np.testing.assert_allclose(
        baseline_logits(run, store.pixels(CALIBRATION)), saved["baseline/calibration"], atol=1e-12
    )
    assert saved["baseline/calibration"].shape == saved["trained/calibration"].shape
    for variant in ("trained", "baseline"):
        decision = ImageDecision.from_json(learned["decisions"][variant])
        units = store.units(CALIBRATION)
        assert len(decision.decide(saved[f"{variant}/calibration"], None, units)) == 40


def test_the_best_epoch_is_kept_where_patience_is_set(tmp_path):
    run = tmp_path / "run"
    learned, saved = learn(run, stored(run), "fit.patience=6", "fit.learning_rate=0.02")
    (member,) = learned["members"]
    history = np.genfromtxt(run / "training" / "0" / "history.csv", delimiter=",", names=True)
    judged = history["validation_auc"][np.isfinite(history["validation_auc"])]
    assert member["kept_epoch"] == int(judged.argmax()) + 1
    target = stored(run).target(VALIDATION)
    assert area("binary", saved["trained/validation"], target) == pytest.approx(judged.max(), abs=1e-3)


def test_members_start_apart_and_a_seed_gives_the_same_run(tmp_path):
    weights = []
    for name in ("first", "second"):
        run = tmp_path / name
        learn(run, stored(run), "model.members=2", "fit.epochs=1")
        weights.append([load_file(run / "members" / f"{number}.safetensors") for number in range(2)])
    (first, other), (again, _) = weights
    assert all(first[name].equal(again[name]) for name in first)
    assert not first["head.weight"].equal(other["head.weight"])
    assert len({member_seed(seed, number) for seed in range(5) for number in range(5)}) == 25


def test_volumes_learn_too(tmp_path):
    run = tmp_path / "run"
    store = stored(run, size=(12, 14, 16))
    learned, saved = learn(run, store, "fit.epochs=2")
    assert learned["network"]["size"] == [12, 14, 16]
    assert saved["trained/validation"].shape == (32,)


def test_patients_are_decided_about_by_attention_learned_on_train(tmp_path):
    run = tmp_path / "run"
    store = stored(run, "multilabel", labels=3)
    learned, _ = learn(run, store, "data.level=patient", "decision.pooling=attention", "fit.epochs=2")
    decision = ImageDecision.from_json(learned["decisions"]["trained"])
    assert decision.pooling.kind == "attention"
    assert decision.level == "patient"


def test_epochs_follow_the_number_of_images_and_what_is_set_stays(tmp_path):
    facts = stored(tmp_path / "run").facts
    parts = {**facts.parts, "train": facts.parts["train"].model_copy(update={"images": 50_000})}
    open_ = imaging_settings("fit.epochs=null", "fit.batch_size=null").fit
    assert fit_defaults(facts, open_).epochs > fit_defaults(facts.model_copy(update={"parts": parts}), open_).epochs
    fixed = fit_defaults(facts, imaging_settings("fit.epochs=7", "fit.batch_size=9").fit)
    assert (fixed.epochs, fixed.batch_size, fixed.patience) == (7, 9, None)


def test_the_baseline_comes_back_from_its_file(tmp_path):
    store = stored(tmp_path / "run", "multiclass", labels=3)
    baseline = fit_baseline(store, seed=0)
    baseline.write(tmp_path / "baseline.json")
    pixels = store.pixels(TRAIN)
    np.testing.assert_array_equal(Baseline.read(tmp_path / "baseline.json").logit(pixels), baseline.logit(pixels))


def test_attention_is_learned_on_train(tmp_path, monkeypatch):
    import medical.imaging.train as module

    run, seen, real = tmp_path / "run", [], module.fitted
    store = stored(run)
    monkeypatch.setattr(module, "fitted", lambda kind, **k: seen.append(k["target"]) or real(kind, **k))
    learn(run, store, "data.level=patient", "decision.pooling=attention", "fit.epochs=1")
    np.testing.assert_array_equal(seen[0], store.target(TRAIN))


def test_decisions_are_made_on_calibration_images(tmp_path, monkeypatch):
    import medical.imaging.train as module

    run, seen, real = tmp_path / "run", [], module.fit_decision
    store = stored(run)
    monkeypatch.setattr(module, "fit_decision", lambda rules, **given: seen.append(given) or real(rules, **given))
    learn(run, store, "fit.epochs=1")
    with np.load(run / "logits.npz") as saved:
        for name, given in zip(("trained", "baseline"), seen, strict=True):
            np.testing.assert_array_equal(given["target"], store.target(CALIBRATION))
            np.testing.assert_array_equal(given["logit"], saved[f"{name}/calibration"])
