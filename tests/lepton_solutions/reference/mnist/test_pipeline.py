"""A digits run from end to end: on 5,000 digits with few iterations, and in full."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from lepton_solutions.config import read_jobs
from lepton_solutions.errors import UserError
from lepton_solutions.pipeline import execute
from lepton_solutions.progress import Progress
from lepton_solutions.reference.mnist import parts
from lepton_solutions.reference.mnist.measure import choose, confusion, measured
from lepton_solutions.reference.mnist.sources import MNIST
from lepton_solutions.reference.mnist.train import finetune, load_network, scores, train
from lepton_solutions.training.history import read_history

QUICK = ("data=mnist_5k", "fit.epochs=2", "finetune.epochs=1", "fit.logger=none")


def run(folder: Path, *overrides: str, page: str = "reference/mnist") -> Path:
    (job,) = read_jobs(page, [*overrides, f"run.dir={folder}"], multirun=False)
    return execute(job, Progress(quiet=True))


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A quick run, for reading only."""
    return run(tmp_path_factory.mktemp("digits") / "run", *QUICK)


def test_an_epoch_has_a_hundred_iterations_and_one_of_fine_tuning_ten(finished):
    learned = read(finished, "evaluation.json")["learned"]
    assert {name: facts["steps"] for name, facts in learned.items()} == {
        "baseline": 200,
        "trained": 200,
        "finetuned": 10,
    }
    assert learned["finetuned"]["learning_rate"] == 1e-4


def test_by_default_a_run_has_a_thousand_iterations_and_a_hundred_of_fine_tuning():
    (job,) = read_jobs("reference/mnist", [], multirun=False)
    settings = job.settings
    fit = settings.fit
    assert (100 * fit.epochs, 10 * settings.finetune.epochs) == (1000, 100)
    assert (fit.optimiser, fit.learning_rate, fit.schedule, fit.warm_up) == ("adam", 1e-3, "constant", 0)
    assert (settings.finetune.learning_rate, fit.patience, settings.hidden) == (1e-4, 3, 128)


def test_metrics_have_the_shape_of_every_pipeline(finished):
    metrics = read(finished, "metrics.json")
    assert (metrics["pipeline"], metrics["primary"]) == ("reference/mnist", "accuracy")
    assert list(metrics["variants"]) == ["baseline", "trained", "finetuned"]
    assert metrics["chosen"] in metrics["variants"]
    for variant in metrics["variants"].values():
        accuracy = variant["test"]["accuracy"]
        assert accuracy["low"] < accuracy["value"] < accuracy["high"]
        assert variant["size_bytes"] > 0 and variant["latency_ms"]["p50"] > 0
    assert len(metrics["headline"]) == 3


def test_every_figure_says_which_digits_were_used(finished):
    assert any("5,000 digits only" in figure["text"] for figure in read(finished, "metrics.json")["headline"])
    page = (finished / "report.html").read_text(encoding="utf-8")
    captions = [part.split("</figcaption>")[0] for part in page.split("<figcaption>")[1:]]
    about_digits = [caption for caption in captions if any(word in caption for word in ("images", "probability given"))]
    assert len(about_digits) >= 5
    assert all("5,000 digits only" in caption or "Images of each digit" in caption for caption in about_digits)
    assert "do not compare with those of all 70,000" in page


def test_the_accuracy_is_that_of_the_released_model_on_the_test_images(finished):
    images = parts.read(finished, "test")
    session = onnxruntime.InferenceSession(finished / "export" / "model.onnx")
    (answers,) = session.run(["scores"], {"pixels": images.pixels.float().numpy()})
    metrics = read(finished, "metrics.json")
    found = metrics["variants"][metrics["chosen"]]["test"]["accuracy"]["value"]
    assert (answers.argmax(1) == images.labels.numpy()).mean() == pytest.approx(found, abs=1e-12)


def test_the_released_weights_are_those_of_the_released_model(finished):
    network = load_network(finished / "export" / "weights.safetensors")
    images = parts.read(finished, "test")
    session = onnxruntime.InferenceSession(finished / "export" / "model.onnx")
    (answers,) = session.run(["scores"], {"pixels": images.pixels[:50].float().numpy()})
    assert scores(network, images.pixels[:50]).numpy() == pytest.approx(answers, abs=1e-4)


def test_what_is_learned_does_not_need_the_test_images(finished, tmp_path):
    """Without their file the same weights come out, bit for bit."""
    (job,) = read_jobs("reference/mnist", list(QUICK), multirun=False)
    for part in ("train", "validation"):
        shutil.copy(finished / f"{part}.parquet", tmp_path)
    train(job.settings, tmp_path, tmp_path, Progress(quiet=True))
    finetune(job.settings, tmp_path, tmp_path, Progress(quiet=True))
    for folder, name in (("trained", "trained"), ("trained", "baseline"), ("finetuned", "finetuned")):
        before, after = (load_file(each / folder / f"{name}.safetensors") for each in (finished, tmp_path))
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_fine_tuning_has_a_head_of_its_own(finished):
    before = load_file(finished / "trained" / "trained.safetensors")
    after = load_file(finished / "finetuned" / "finetuned.safetensors")
    moved = {name: float((after[name] - before[name]).abs().max()) for name in before}
    assert 0 < moved["layers.1.weight"] <= 1.5e-3  # ten steps of Adam at 1e-4: at most about 1e-4 a weight and step
    assert moved["layers.4.weight"] > 0.05


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """A run that overfits soon, without fine-tuning."""
    asked = ("data=mnist_5k", "fit.epochs=40", "fit.learning_rate=0.01", "finetune.epochs=0", "fit.logger=none")
    return run(tmp_path_factory.mktemp("stopped") / "run", *asked)


def test_without_fine_tuning_the_trained_model_is_released(stopped):
    metrics = read(stopped, "metrics.json")
    assert list(metrics["variants"]) == ["baseline", "trained"]
    assert metrics["chosen"] == "trained"
    assert not (stopped / "finetuned").exists()


def test_validation_loss_stops_early_and_the_best_weights_are_kept(stopped):
    facts = read(stopped, "evaluation.json")["learned"]["trained"]
    history = read_history(stopped / "trained" / "trained.csv")
    losses = [row["validation_loss"] for row in history if "validation_loss" in row]
    assert facts["stopped"] == "patience"
    assert facts["kept_epoch"] == 1 + int(np.argmin(losses)) == len(losses) - 3
    assert facts["validation"]["loss"] == pytest.approx(min(losses), abs=1e-6)


def test_the_lower_validation_loss_is_chosen_among_our_own():
    trainings = {
        name: {"validation": {"loss": loss}} for name, loss in (("baseline", 0.1), ("trained", 0.3), ("finetuned", 0.2))
    }
    assert choose(trainings) == "finetuned"


def test_metrics_of_scores_that_can_be_checked_by_hand():
    output = torch.tensor([[0.0, 0.0], [np.log(3.0), 0.0]])
    found = measured(torch.cat([output, torch.full((2, 8), -1e9)], dim=1), torch.tensor([0, 1]), seed=0)
    assert found["accuracy"].value == 0.5
    assert found["log_loss"].value == pytest.approx((np.log(2) + np.log(4)) / 2)


def test_a_confusion_table_counts_every_image_once():
    truth, said = np.array([0, 1, 1, 9]), np.array([0, 2, 2, 9])
    found = confusion(truth, said)
    assert found.sum() == 4 and found[1, 2] == 2 and found[0, 0] == found[9, 9] == 1


def test_a_source_of_something_else_is_refused(tmp_path):
    with pytest.raises(UserError, match="gives no digits"):
        run(tmp_path / "run", "data.source._target_=lepton_solutions.reference.linear_regression.sources.power_plant")


@pytest.mark.slow
@pytest.mark.parametrize(("page", "least"), [("reference/mnist", 0.972), ("reference/mnist_best", 0.985)])
def test_the_full_runs_reach_what_is_asked(tmp_path, page, least):
    if MNIST.find() is None:
        pytest.skip("MNIST is not on this machine")
    metrics = read(run(tmp_path / "run", page=page), "metrics.json")
    assert metrics["variants"][metrics["chosen"]]["test"]["accuracy"]["value"] >= least
