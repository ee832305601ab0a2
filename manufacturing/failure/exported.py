"""What leaves the lab, as two graphs: `step`, from a raw row and a unit's state to features and the next state, and
`model`, from a window of features to the answer in units that a reader knows.

    steps, exported = load(run)
    features, state = steps(row, state)          # [n, S], [n, D] -> [n, F], [n, D]
    answer = exported(window)                    # [n, W, F] -> [n, k]

Together they hold everything between a reading and an answer, so that no step of training has a second version in
serving; what is kept between two rows is the state, and the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from manufacturing.failure.fleet import Question

if TYPE_CHECKING:
    from manufacturing.failure.baselines import Trees
    from manufacturing.failure.inputs import Steps

SURE = 1e-6  # chances nearer to 0 and 1 count as this
STEP_INPUTS, STEP_OUTPUTS = ("row", "state"), ("features", "next_state")


def answer_of(question: Question, outputs: Tensor, cap: float | None) -> Tensor:
    """Of a network's outputs [n, k]: remaining time [n, 1] in the unit of the clock (`cap`: of the target, in it), the
    probability of a failure by the end of each bin of the horizon [n, bins], or that of each class [n, classes].
    """
    if question == "rul":
        return outputs.clamp(min=0) if cap is None else outputs.clamp(0, 1) * cap
    if question == "failure":
        # 1 - prod(1 - hazard), as a sum of logarithms: hazards near 0 keep their digits.
        return -torch.expm1(torch.cumsum(nn.functional.logsigmoid(-outputs), dim=1))
    if question == "diagnosis":
        return outputs.softmax(dim=1)
    return outputs


def raw_answer(question: Question, raw: Tensor, cap: float | None) -> Tensor:
    """Of a simple model's raw outputs [n, k] (remaining life in caps, log-odds): as `answer_of`, of one bin."""
    if question == "rul":
        return raw.clamp(0, 1) * (cap or 1.0)
    if question == "failure":
        return raw.sigmoid()
    if raw.shape[1] == 1:  # two classes by one column
        return torch.cat([torch.sigmoid(-raw), raw.sigmoid()], dim=1)
    return raw.softmax(dim=1)


def combined(question: Question, network: Tensor, trees: Tensor) -> Tensor:
    """The mean of two answers [n, k] and [n, k or 1].

    Chances of a failure are averaged in log-odds at the horizon's end, as all in the project are; before it, the
    network's cumulative hazard keeps its course and is scaled to end there.
    """
    if question != "failure":
        return (network + trees) / 2
    network, trees = network.clamp(SURE, 1 - SURE), trees.clamp(SURE, 1 - SURE)
    end = (network[:, -1:].logit() + trees.logit()) / 2
    hazard = -torch.log1p(-network)
    return -torch.expm1(-hazard * nn.functional.softplus(end) / hazard[:, -1:])


class Exported(nn.Module):
    """The mean answer of the networks, and of that and the trees' where there are trees."""

    def __init__(
        self, members: Sequence[nn.Module], question: Question, cap: float | None, trees: Trees | None = None
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.question, self.cap, self.trees = question, cap, trees

    def forward(self, window: Tensor) -> Tensor:
        """window: [n, W, F]."""
        network = self.of_networks(window)
        if self.trees is None:
            return network
        return combined(self.question, network, torch.from_numpy(self.trees.said(self.trees.summary(window))))

    def of_networks(self, window: Tensor) -> Tensor:
        answers = [answer_of(self.question, member(window), self.cap) for member in self.members]
        return answers[0] if len(answers) == 1 else torch.stack(answers).mean(0)


class _Before(nn.Module):
    """window to what the trees are averaged with, and what they read."""

    def __init__(self, exported: Exported) -> None:
        super().__init__()
        self.exported = exported

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        assert self.exported.trees is not None
        return self.exported.of_networks(window), self.exported.trees.summary(window)


class _After(nn.Module):
    """The networks' answer and the trees' raw outputs to the answer."""

    def __init__(self, question: Question, cap: float | None) -> None:
        super().__init__()
        self.question, self.cap = question, cap

    def forward(self, network: Tensor, raw: Tensor) -> Tensor:
        return combined(self.question, network, raw_answer(self.question, raw, self.cap))


def load(run: Path) -> tuple[Steps, Exported]:
    """What a run trained, in evaluation mode."""
    from manufacturing.failure.train import load_members, load_steps, load_trees, read_learned

    learned = read_learned(run)
    return load_steps(run), Exported(load_members(run), learned["question"], learned["cap"], load_trees(run)).eval()


def step_graph(steps: Steps, sensors: int) -> bytes:
    """ONNX: `row` float32 [n, sensors], raw, NaN where nothing was read, and `state` to `features` and `next_state`."""
    from lepton_solutions.models.graphs import export_module

    inputs = dict(zip(STEP_INPUTS, (torch.rand(2, sensors), steps.first(2)), strict=True))
    return export_module(steps, inputs, output=STEP_OUTPUTS).SerializeToString()


def graph(exported: Exported, window: int, features: int) -> bytes:
    """ONNX: `window` float32 [n, W, F] to `answer` [n, k]."""
    from lepton_solutions.models.graphs import chain, export_module

    example = {"window": torch.rand(2, window, features)}
    if exported.trees is None:
        return export_module(exported, example, output="answer").SerializeToString()
    before = export_module(_Before(exported).eval(), example, output=("network", "summary"))
    with torch.no_grad():
        network = exported.of_networks(example["window"])
    after = export_module(
        _After(exported.question, exported.cap),
        {"network": network, "raw": torch.rand(2, exported.trees.outputs)},
        output="answer",
    )
    return chain([before, exported.trees.graph(), after]).SerializeToString()
