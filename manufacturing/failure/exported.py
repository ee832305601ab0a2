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
    from manufacturing.failure.inputs import Steps

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


class Exported(nn.Module):
    """The mean answer of the members."""

    def __init__(self, members: Sequence[nn.Module], question: Question, cap: float | None) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.question, self.cap = question, cap

    def forward(self, window: Tensor) -> Tensor:
        """window: [n, W, F]."""
        answers = [answer_of(self.question, member(window), self.cap) for member in self.members]
        return answers[0] if len(answers) == 1 else torch.stack(answers).mean(0)


def load(run: Path) -> tuple[Steps, Exported]:
    """What a run trained, in evaluation mode."""
    from manufacturing.failure.train import load_members, load_steps, read_learned

    learned = read_learned(run)
    return load_steps(run), Exported(load_members(run), learned["question"], learned["cap"]).eval()


def step_graph(steps: Steps, sensors: int) -> bytes:
    """ONNX: `row` float32 [n, sensors], raw, NaN where nothing was read, and `state` to `features` and `next_state`."""
    from lepton_solutions.models.graphs import export_module

    inputs = dict(zip(STEP_INPUTS, (torch.rand(2, sensors), steps.first(2)), strict=True))
    return export_module(steps, inputs, output=STEP_OUTPUTS).SerializeToString()


def graph(exported: Exported, window: int, features: int) -> bytes:
    """ONNX: `window` float32 [n, W, F] to `answer` [n, k]."""
    from lepton_solutions.models.graphs import export_module

    return export_module(exported, {"window": torch.rand(2, window, features)}, output="answer").SerializeToString()
