"""One network of the failure pipeline: how it sees a fleet, how it is trained, what it answers.

view = view_of(fleet, scaling, window)
network, outcome = learn(form_of(settings, scaling, 1), view, goal, settings, seed=0, cap=125, horizon=None)
answered(Exported([network], "rul", 125), view, rows)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lepton_solutions.data.batches import Batch
from lepton_solutions.data.series import Windows, windows_at
from lepton_solutions.training.loop import Outcome, fit
from manufacturing.failure.baselines import chunks, loss_of
from manufacturing.failure.exported import answer_of
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.inputs import Scaling, Steps, features_of, first_rows
from manufacturing.failure.networks import Form, new_network
from manufacturing.failure.settings import Failure
from manufacturing.failure.targets import Goal, outcome_of

# Held-out engines of FD001 and FD003 want 15 epochs rather than 10; those of FD002, 2.6 times as many, 5 rather than 8.
SHOWN, MOST, FEWEST = 370_000, 15, 5
JUDGED = 20_000  # validation rows that an epoch is judged on


@dataclass(frozen=True)
class View:
    """A fleet as the network sees it. features: float32 [rows, F]; first: int64 [rows]."""

    fleet: Fleet
    features: Tensor
    first: Tensor
    window: int

    def windows(self, ends: NDArray[np.int64]) -> Tensor:
        return windows_at(self.features, self.first, torch.from_numpy(ends), self.window)


def view_of(fleet: Fleet, scaling: Scaling, window: int) -> View:
    """Features of all rows; the windows come when they are asked for."""
    return View(fleet, features_of(Steps(scaling), fleet), torch.from_numpy(first_rows(fleet)), window)


def form_of(settings: Failure, scaling: Scaling, outputs: int, *, vibration: bool = False) -> Form:
    """The network that the config and the sensors ask for."""
    model = settings.model
    return Form(
        name=model.name,
        view="spectrum" if vibration else "steps",
        window=settings.inputs.window or 1,
        features=scaling.features,
        channels=len(scaling.kept),
        outputs=outputs,
        width=model.width,
        layers=model.layers,
        dropout=model.dropout,
    )


def member_seed(seed: int, number: int) -> int:
    """Of a member's weights, order and draws: no member of one run starts as a member of another."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def learn(
    form: Form,
    view: View,
    goal: Goal,
    settings: Failure,
    *,
    seed: int,
    cap: float | None,
    horizon: float | None,
    validation: View | None = None,
    folder: Path | None = None,
    watch: Callable[[float, str], None] = lambda share, text: None,
) -> tuple[nn.Module, Outcome]:
    """A network trained by the project's loop; `fit.patience` chooses an epoch where there are validation rows."""
    network = new_network(form, seed)
    judge = None
    if validation is not None:
        rows, target = outcome_of(validation.fleet.question, validation.fleet, cap=cap, horizon=horizon)
        some = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), JUDGED)).astype(np.int64))
        judge = partial(_judged, view=validation, ends=rows[some], target=target[some], cap=cap)
    noise = settings.model.noise
    batches = Windows(
        view.features,
        view.first,
        torch.from_numpy(goal.rows),
        goal.target,
        window=form.window,
        augment=partial(noisy, deviation=noise) if noise else None,
    )
    shown, epochs = len(goal.rows), settings.fit.epochs or epochs_for(len(goal.rows))
    asked = settings.fit.model_copy(
        update={
            "epochs": epochs,
            "batch_size": min(settings.fit.batch_size or 256, shown),
            "patience": None if validation is None else settings.fit.patience,
        }
    )
    outcome = fit(
        network,
        goal.task,
        batches,
        asked,
        seed=seed,
        generator=torch.Generator().manual_seed(seed),
        judge=judge,
        folder=folder,
        watch=watch,
    )
    return network, outcome


def epochs_for(rows: int) -> int:
    """15, and fewer where so many windows are shown before, down to 5.

    >>> [epochs_for(rows) for rows in (20_631, 53_759, 1_000_000)]
    [15, 7, 5]
    """
    return max(FEWEST, min(MOST, math.ceil(SHOWN / rows)))


def noisy(batch: Batch, deviation: float) -> Batch:
    """Gaussian noise on every feature of a window."""
    (window,) = batch.inputs
    return batch._replace(inputs=(window + deviation * torch.randn_like(window),))


@torch.no_grad()
def answered(network: nn.Module, view: View, ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 [n, k], of windows that end at these rows."""
    device = next(network.parameters()).device
    found = [
        network(view.windows(some.numpy()).to(device)).double().cpu().numpy() for some in chunks(ends, view.window)
    ]
    return np.concatenate(found)


def _judged(
    network: nn.Module, view: View, ends: NDArray[np.int64], target: NDArray[np.float64], cap: float | None
) -> Mapping[str, float]:
    question = view.fleet.question
    outputs = answered(network, view, ends)
    answer = answer_of(question, torch.from_numpy(outputs), cap).numpy()
    return {"rmse" if question == "rul" else "loss": loss_of(question, answer, target)}
