"""What the digits pipeline measures on test images, which are read here first; nothing is chosen after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from lepton_solutions import metrics
from lepton_solutions.files import write_json
from lepton_solutions.metrics import Interval
from lepton_solutions.progress import Progress
from lepton_solutions.reference import intervals
from lepton_solutions.reference.mnist import parts
from lepton_solutions.reference.mnist.settings import Mnist
from lepton_solutions.reference.mnist.sources import CLASSES
from lepton_solutions.reference.mnist.train import learned, load_network, scores, weights_of

MISTAKES = 24  # that are shown, the surest first


def evaluate(settings: Mnist, run: Path, out: Path, progress: Progress) -> None:
    """Every model on the test images, what the chosen one takes for what, and its surest mistakes."""
    trainings = learned(settings, run)
    chosen = choose(trainings)
    images = parts.read(run, "test")
    found = {name: scores(load_network(weights_of(run, name)), images.pixels) for name in trainings}
    truth = images.labels.numpy()
    right = {name: (output.argmax(1) == images.labels).double().numpy() for name, output in found.items()}
    test = {name: measured(output, images.labels, seed=settings.seed) for name, output in found.items()}
    sure, said = (values.numpy() for values in found[chosen].softmax(1).max(1))
    wrong = np.flatnonzero(said != truth)
    shown = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    evaluation = {
        "chosen": chosen,
        "learned": trainings,
        "images": len(truth),
        "test": {name: {key: each.to_json() for key, each in values.items()} for name, values in test.items()},
        "gain": {
            name: intervals.mean(right[chosen] - right[name], seed=settings.seed).to_json()
            for name in trainings
            if name != chosen
        },
        "confusion": confusion(truth, said).tolist(),
        "mistakes": [
            {
                "image": int(row),
                "digit": int(truth[row]),
                "said": int(said[row]),
                "probability": round(float(sure[row]), 4),
                "pixels": images.pixels[row].tolist(),
            }
            for row in shown
        ],
    }
    write_json(out / "evaluation.json", evaluation)
    progress.update(1.0, f"test accuracy {test[chosen]['accuracy'].value:.2%}")


def choose(trainings: dict[str, dict]) -> str:
    """The training with the lowest validation loss; the baseline is there to compare with."""
    ours = [name for name in trainings if name != "baseline"]
    return min(ours, key=lambda name: trainings[name]["validation"]["loss"])


def measured(output: torch.Tensor, labels: torch.Tensor, *, seed: int) -> dict[str, Interval]:
    """accuracy with Wilson's interval, log_loss in nats with a bootstrapped one. output: scores [n, 10]."""
    accuracy = metrics.share((output.argmax(1) == labels).double().numpy())
    assert accuracy is not None
    losses = F.cross_entropy(output.double(), labels, reduction="none").numpy()
    return {"accuracy": accuracy, "log_loss": intervals.mean(losses, seed=seed)}


def confusion(truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    """int64 [10, 10]: how many images of the digit of the row were taken for that of the column.

    >>> confusion(np.array([3, 3]), np.array([3, 5]))[3, [3, 5]].tolist()
    [1, 1]
    """
    return np.bincount(CLASSES * truth + said, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
