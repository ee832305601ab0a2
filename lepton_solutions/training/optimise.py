"""How weights move: the optimiser, and the learning rate over the course of a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import nn

from lepton_solutions.settings import Fit

FUSED_ON = {"cpu", "cuda"}  # devices of ours where one kernel updates all weights
DROP = 0.1  # factor of `step` and `plateau`
DROPS_AT = (0.5, 0.75)  # shares of the steps, as the MedMNIST v2 protocol has them (Yang et al. 2023)

ONE_CYCLE_START, ONE_CYCLE_END = 1 / 25, 1 / 250_000


def optimiser_for(
    network: nn.Module, fit: Fit, *, undecayed: Callable[[str], bool], capturable: bool = False
) -> torch.optim.Optimizer:
    """The optimiser `fit` names, for all parameters in two groups: those that decay, then those that do not.

    undecayed: says of a parameter's name whether weight decay leaves it alone. capturable: for steps inside a CUDA
    graph; the learning rate of each group is then a tensor on the device, to be filled before a replay.
    """
    named = list(network.named_parameters())
    device = named[0][1].device
    rates = [torch.tensor(fit.learning_rate, device=device) if capturable else fit.learning_rate for _ in range(2)]
    groups = [
        {"params": [p for name, p in named if not undecayed(name)], "weight_decay": fit.weight_decay, "lr": rates[0]},
        {"params": [p for name, p in named if undecayed(name)], "weight_decay": 0.0, "lr": rates[1]},
    ]
    if not fit.weight_decay:  # one group is one call less a step
        groups = [{"params": [p for _, p in named], "lr": rates[0]}]
    fused = device.type in FUSED_ON
    if fit.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=fit.momentum, fused=fused)
    if fit.optimiser == "adagrad":
        return torch.optim.Adagrad(groups, fused=fused)
    kind = torch.optim.AdamW if fit.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, betas=fit.betas, fused=fused, capturable=capturable)


def default_undecayed(network: nn.Module) -> Callable[[str], bool]:
    """Biases and parameters of one dimension, such as the scales of a normalisation."""
    names = {name for name, p in network.named_parameters() if p.dim() <= 1 or name.endswith("bias")}
    return names.__contains__


def rate_at(fit: Fit, done: float) -> float:
    """Factor on the learning rate when a share `done` of the steps is through, 0 to 1.

    It rises linearly from 0 over the share `fit.warm_up`. Then `cosine` falls along half a cosine to 0 (Loshchilov and
    Hutter 2017), `step` drops to a tenth at 50 % and again at 75 % of all steps, `constant` stays at 1, and so does
    `plateau`, whose drops come from `Plateau`. `one_cycle` rises along a cosine from 1/25 instead, and falls along one
    to 1/250,000; its momentum stays as it is (Smith and Topin 2018, as torch's OneCycleLR has it).
    """
    if fit.schedule == "one_cycle":
        if done < fit.warm_up:
            return _along_cosine(ONE_CYCLE_START, 1.0, done / fit.warm_up)
        return _along_cosine(1.0, ONE_CYCLE_END, (done - fit.warm_up) / (1 - fit.warm_up))
    if done < fit.warm_up:
        return done / fit.warm_up
    if fit.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (done - fit.warm_up) / (1 - fit.warm_up)))
    if fit.schedule == "step":
        return DROP ** sum(done >= at for at in DROPS_AT)
    return 1.0


def _along_cosine(first: float, last: float, done: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * done))


class PlateauState(TypedDict):
    """A `Plateau` as JSON."""

    factor: float
    best: float | None
    stale: int


@dataclass
class Plateau:
    """Factor on the learning rate: a tenth after every 5 epochs in a row without a better figure.

    best: the lowest figure so far; a lower one counts when it is so by 1e-4 of its size. stale: epochs since then.
    """

    factor: float = 1.0
    best: float | None = None
    stale: int = 0

    WAIT = 5
    LEAST = 1e-4  # as torch.optim.lr_scheduler.ReduceLROnPlateau has it

    def step(self, figure: float) -> None:
        """After an epoch; less is better, and NaN never is."""
        if figure == figure and (self.best is None or figure < self.best - self.LEAST * abs(self.best)):
            self.best, self.stale = figure, 0
            return
        self.stale += 1
        if self.stale == self.WAIT:
            self.factor, self.stale = self.factor * DROP, 0

    def state(self) -> PlateauState:
        return {"factor": self.factor, "best": self.best, "stale": self.stale}

    def load(self, state: PlateauState) -> None:
        self.factor, self.best, self.stale = state["factor"], state["best"], state["stale"]
