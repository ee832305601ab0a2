"""The training loop for tests: its defaults with changes, and a small network and rows to train it on."""

import numpy as np
import torch
from torch import Tensor, nn

from lepton_solutions import config, tasks
from lepton_solutions.data.batches import Resident
from lepton_solutions.settings import Fit
from lepton_solutions.training.loop import Outcome, fit

CHANCE = torch.Generator().manual_seed(0)
ROWS = torch.randn(100, 4, generator=CHANCE)
CLASS = (ROWS[:, 0] > 0).float()


def fit_settings(**asked: object) -> Fit:
    """conf/fit/loop.yaml, eager and without a logger, 5 epochs of batches of 16, but for what is asked."""
    return config.fit_settings(**({"plan": "eager", "logger": "none", "epochs": 5, "batch_size": 16} | asked))


class Column(nn.Module):
    """One linear output as a vector [n]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).squeeze(1)


def small(seed: int = 0, dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(dropout), Column(8))


def train(network: nn.Module, *, x: Tensor = ROWS, y: Tensor = CLASS, task=None, weight=None, **more) -> Outcome:
    keys = {key: more.pop(key) for key in list(more) if key in type(fit_settings()).model_fields}
    task = task or tasks.binary()
    generator = torch.Generator().manual_seed(0)
    return fit(network, task, Resident((x,), y, weight), fit_settings(**keys), seed=0, generator=generator, **more)


def weights(network: nn.Module) -> np.ndarray:
    return torch.cat([p.detach().flatten() for p in network.parameters()]).numpy()
