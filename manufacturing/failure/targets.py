"""What a network learns of each row: remaining life, the hazard in each bin of the horizon, or the fault.

A life that did not end in a failure is not thrown away. It says that remaining life is at least so long, and that the
bins it lived through held no failure; of later bins it says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lepton_solutions import tasks
from lepton_solutions.errors import UserError
from lepton_solutions.tasks import Task
from manufacturing.failure.fleet import Fleet, Question

BINS = 8  # of the horizon


@dataclass(frozen=True)
class Goal:
    """rows: int64 [n], which rows say something. target: float32 or int64 [n, ...], as the task has it. outputs: of the
    network.
    """

    task: Task
    rows: NDArray[np.int64]
    target: Tensor
    outputs: int


def goal_of(question: Question, fleet: Fleet, *, cap: float | None, horizon: float | None) -> Goal:
    """cap: largest remaining life that is learned, in units of the clock. horizon: as `decision.horizon`."""
    if question == "rul":
        assert cap is not None
        return _remaining(fleet, cap)
    if question == "failure":
        return _hazards(fleet, horizon, BINS if fleet.label is None else 1)
    assert fleet.label is not None
    rows = np.flatnonzero(fleet.label >= 0)
    classes = len(fleet.labels)
    return Goal(tasks.multiclass(classes), rows, torch.from_numpy(fleet.label[rows]), classes)


def outcome_of(
    question: Question, fleet: Fleet, *, cap: float | None, horizon: float | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The rows whose answer is known, and it: remaining life up to the cap, whether it fails in the horizon, class."""
    if fleet.label is not None and question != "rul":
        rows = np.flatnonzero(fleet.label >= 0)
        return rows, fleet.label[rows].astype(np.float64)
    remaining, outlived = fleet.remaining(), fleet.outlived()
    if question == "rul":
        rows = np.flatnonzero(np.isfinite(remaining))
        return rows, np.minimum(remaining[rows], np.inf if cap is None else cap)
    assert horizon is not None
    fails = remaining <= horizon  # False for NaN
    rows = np.flatnonzero((fails | (outlived >= horizon)) & ~(remaining <= 0))
    return rows, fails[rows].astype(np.float64)


def remaining_task() -> Task:
    """output: [b, 1], remaining life in caps. target: [b, 2], that life or its lower bound, and 1 where it is known."""
    return Task("remaining life, squared, hinged where censored", _squared_or_hinge, _same, _check_pairs)


def hazard_task(bins: int) -> Task:
    """output: logits [b, bins] of the hazard in each bin. target: [b, bins], 1 where the failure falls, 0 where the bin
    was survived, NaN behind either: the likelihood of a discrete-time survival model (Gensheimer and Narasimhan 2019).
    """
    return Task(f"hazards of {bins} bins", _survival, torch.sigmoid, tasks.multilabel(bins).check)


def _remaining(fleet: Fleet, cap: float) -> Goal:
    remaining = fleet.remaining()
    known = np.isfinite(remaining)
    at_least = np.minimum(np.where(known, np.nan_to_num(remaining), fleet.outlived()), cap)
    rows = np.flatnonzero(known | (at_least > 0))  # who was seen for no longer says nothing
    target = np.stack([at_least[rows] / cap, known[rows]], 1)
    return Goal(remaining_task(), rows, torch.from_numpy(target.astype(np.float32)), 1)


def bins_of(fleet: Fleet, horizon: float | None, bins: int) -> NDArray[np.float64]:
    """[rows, bins]: 1 where the failure falls into a bin of the horizon, 0 where the bin was survived, NaN where that
    is not known or the machine had failed before. With a label a row, the one bin is the row itself.
    """
    if fleet.label is not None:
        return np.where(fleet.label >= 0, fleet.label, np.nan).astype(np.float64)[:, None]
    assert horizon is not None
    edges = np.linspace(0, horizon, bins + 1)
    remaining, outlived = fleet.remaining()[:, None], fleet.outlived()[:, None]
    died = (remaining > edges[:-1]) & (remaining <= edges[1:])
    lived = np.where(np.isfinite(remaining), remaining, outlived) >= edges[1:]
    return np.where(died, 1.0, np.where(lived, 0.0, np.nan))


def _hazards(fleet: Fleet, horizon: float | None, bins: int) -> Goal:
    target = bins_of(fleet, horizon, bins)
    rows = np.flatnonzero(~np.isnan(target).all(1))
    if not (target[rows] == 1).any():
        where = "of any train row" if horizon is None else f"within {horizon:g} {fleet.clock} of any train row"
        raise UserError(
            f"question=failure: no failure {where}",
            hint="a longer decision.horizon, or question=health, which needs no failures",
        )
    return Goal(hazard_task(bins), rows, torch.from_numpy(target[rows].astype(np.float32)), bins)


def _squared_or_hinge(output: Tensor, target: Tensor) -> Tensor:
    short = target[:, 0] - output[:, 0]
    return torch.where(target[:, 1] > 0, short, short.clamp(min=0)) ** 2


def _survival(output: Tensor, target: Tensor) -> Tensor:
    known = ~target.isnan()
    loss = F.binary_cross_entropy_with_logits(output, target.nan_to_num(), reduction="none")
    return (loss * known).sum(1)


def _same(output: Tensor) -> Tensor:
    return output


def _check_pairs(target: Tensor, rows: Tensor | None = None) -> None:
    tasks.regression().check(target, rows)
