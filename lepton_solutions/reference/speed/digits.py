"""How soon does 784-128-10 read MNIST as well as Keras' does in the end?"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
import torch._dynamo  # which the first optimiser would import, and imports do not count
from torch import nn

from lepton_solutions import tasks
from lepton_solutions.config import fit_settings
from lepton_solutions.data.batches import Resident
from lepton_solutions.errors import UserError
from lepton_solutions.models.dense import mlp
from lepton_solutions.reference.mnist.sources import mnist
from lepton_solutions.reference.speed.keras_env import run_keras
from lepton_solutions.training.loop import fit

TRAINED = 54_000  # images; the last 6,000 are Keras' validation_split=.1, and train nobody
SCALED_BY = 5_000  # images whose mean and deviation the inputs are scaled by
# Settled on those 6,000, with seeds 100 to 102.
RECIPE: dict[str, Any] = {
    "epochs": 3, "batch_size": 256, "optimiser": "adamw", "learning_rate": 0.015, "weight_decay": 0,
    "schedule": "cosine", "warm_up": 0.2, "label_smoothing": 0.1, "plan": "auto", "logger": "none",
}  # fmt: skip


def curve(model: str, seed: int) -> dict[str, object]:
    """Seconds of training and test accuracy at the end of each epoch: of Keras' script, or of ours."""
    digits = mnist()
    if digits.test is None:
        raise UserError(
            "the bench needs all of MNIST, and only 5,000 of its digits are here",
            hint="point LEPTON_DATA to a folder that holds mnist/",
        )
    x = digits.pixels.astype(np.float32) / 255
    arrays = {"x": x[~digits.test], "y": digits.labels[~digits.test]}
    arrays |= {"test_x": x[digits.test], "test_y": digits.labels[digits.test]}
    return run_keras(arrays, str(seed)) if model == "keras" else _ours(arrays, seed)


def _ours(arrays: dict[str, np.ndarray], seed: int) -> dict[str, object]:
    x, y, test_x, test_y = (torch.from_numpy(arrays[name]) for name in ("x", "y", "test_x", "test_y"))
    x, y = x[:TRAINED], y[:TRAINED]
    start, lost = time.perf_counter(), 0.0
    mean, deviation = x[:SCALED_BY].mean(), x[:SCALED_BY].std()
    x = (x - mean).div_(deviation)
    ends: list[float] = []
    accuracy: list[float] = []

    def judge(network: nn.Module) -> dict[str, float]:
        nonlocal lost
        arrived = time.perf_counter()
        ends.append(arrived - start - lost)
        accuracy.append((network((test_x - mean) / deviation).argmax(1) == test_y).double().mean().item())
        lost += time.perf_counter() - arrived
        return {"accuracy": accuracy[-1]}

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = mlp(784, 128, 10)
    outcome = fit(
        network,
        tasks.multiclass(10, label_smoothing=RECIPE["label_smoothing"]),
        Resident((x,), y),
        fit_settings(**RECIPE),
        seed=seed,
        generator=torch.Generator().manual_seed(seed),
        judge=judge,
        higher_is_better=True,
    )
    return {"ends": ends, "accuracy": accuracy, "plan": str(outcome.plan)}


def first_at(record: dict, target: float) -> float | None:
    """Seconds to the end of the first epoch at the target, None where none reached it."""
    pairs = zip(record["ends"], record["accuracy"], strict=True)
    return next((end for end, accuracy in pairs if accuracy >= target), None)
