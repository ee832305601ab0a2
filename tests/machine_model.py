"""A model of machines that needs no training: the step layer and a network with random weights, exported as a bundle's
are, and a fleet's rows to answer."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lepton_solutions.data.columns import Column, Columns
from lepton_solutions.data.times import Clock
from lepton_solutions.engines import Engine
from lepton_solutions.models.graphs import export_module
from manufacturing.failure.bounds import Bound
from manufacturing.failure.decisions import Decision
from manufacturing.failure.layout import Layout
from manufacturing.failure.predictor import MachinePredictor
from manufacturing.failure.records import Inputs, Seen

SENSORS = ("heat", "vibration", "load")
WINDOW, SMOOTHING = 6, 0.3


class Smooth(nn.Module):
    """A step layer by hand: last reading where one is missing, its backward average, and the age."""

    def first(self, n: int) -> Tensor:
        return torch.zeros(n, 2 * len(SENSORS) + 1)

    def forward(self, row: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        last, average, age = state.split([len(SENSORS), len(SENSORS), 1], dim=1)
        row = torch.where(row.isnan(), last, row)
        average = torch.where(age == 0, row, SMOOTHING * row + (1 - SMOOTHING) * average)
        return torch.cat([row, average, age / 200], 1), torch.cat([row, average, age + 1], 1)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gru = nn.GRU(2 * len(SENSORS) + 1, 8, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, window: Tensor) -> Tensor:
        return 100 * self.head(self.gru(window)[0][:, -1]).sigmoid()


@cache
def graphs() -> tuple[bytes, bytes]:
    """`step.onnx` and `model.onnx`."""
    steps = Smooth()
    row = {"row": torch.rand(2, len(SENSORS)), "state": steps.first(2)}
    window = {"window": torch.rand(2, WINDOW, 2 * len(SENSORS) + 1)}
    step_graph = export_module(steps, row, output=("features", "next_state"))
    return step_graph.SerializeToString(), export_module(Network(), window, output="answer").SerializeToString()


def predictor(
    *, grid: float | None = None, cycle: str | None = None, time: str | None = "hour", categories: bool = False
) -> MachinePredictor:
    """sensors of training: 0 to 1."""
    step_graph, graph = graphs()
    columns = Columns(tuple(Column(name, "numeric") for name in SENSORS))
    if categories:
        columns = Columns((*columns.columns[:1], Column("kind", "category", ("L", "M"))))
    inputs = Inputs(
        question="rul",
        layout=Layout("machine", time, cycle, Clock("hours", "number"), columns),
        seen=tuple(Seen(0.0, 1.0, 0.5) for _ in SENSORS),
        regimes=None,
        window=WINDOW,
        sources=(0, 1, 2, 0, 1, 2, -1),
        first=tuple(Smooth().first(1)[0].tolist()),
        grid=grid,
        clock="hours",
    )
    decision = Decision("rul", 0.9, 0.0, 20.0, Bound(0.2, 5.0))
    return MachinePredictor("random", inputs, decision, Engine(step_graph, threads=1), Engine(graph, threads=1))


def by_hand(values: NDArray[np.float32]) -> float:
    """The answer to a whole life [rows, sensors], in torch, from its first row to its last."""
    steps, network = Smooth(), Network().eval()
    state, features = steps.first(1), []
    with torch.no_grad():
        for row in torch.from_numpy(values):
            found, state = steps(row[None], state)
            features.append(found)
        padded = [features[0]] * (WINDOW - len(features)) + features[-WINDOW:]
        return float(network(torch.stack(padded, 1)))
