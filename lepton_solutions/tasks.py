"""Tasks: what a network learns, as a loss, the activation that makes a prediction of its output, and a check.

    task = multiclass(10, label_smoothing=0.1)
    task.check(target)                      # UserError: target, row 7: found 12, expected a whole number from 0 to 9
    task.loss(network(x), target)           # [b], one loss a row
    task.activation(network(x))             # [b, 10], probabilities

All parts are importable functions, so that a task can be sent to another process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor

from lepton_solutions import losses
from lepton_solutions.errors import UserError, did_you_mean

Loss = Callable[[Tensor, Tensor], Tensor]


class Check(Protocol):
    """Raises UserError for a target the task cannot have. rows: int64 [b], the rows' numbers; by default from 0."""

    def __call__(self, target: Tensor, rows: Tensor | None = None) -> None: ...


@dataclass(frozen=True)
class Task:
    """name: with the loss and what is set of it, so that two tasks of one name learn the same.

    loss: output, target to one loss a row [b]; ValueError for shapes that do not belong together. activation: output
    to prediction. check: of a target, before it is learned from.
    """

    name: str
    loss: Loss
    activation: Callable[[Tensor], Tensor]
    check: Check


def binary(loss: Literal["bce", "focal"] = "bce", label_smoothing: float = 0.0) -> Task:
    """Yes or no. output: log-odds [b], or [b, k] of k members that are trained each by itself. target: 0 to 1, [b];
    between them it is the share of ones. Prediction: probability, in the shape of the output.
    """
    function = _named(loss, {"bce": losses.bce, "focal": losses.focal})
    return Task(
        f"binary, {loss}{_smoothed(label_smoothing)}",
        partial(function, label_smoothing=label_smoothing),
        torch.sigmoid,
        partial(_check_shares, columns=None),
    )


def multilabel(labels: int, label_smoothing: float = 0.0) -> Task:
    """Several yes or no at once. output: log-odds [b, labels]. target: 0 to 1, [b, labels]; NaN where it is not known,
    which is left out of the loss. Prediction: probabilities that need not sum to 1.
    """
    _at_least("labels", labels, 1)
    return Task(
        f"multilabel {labels}, bce{_smoothed(label_smoothing)}",
        partial(_of_width, loss=partial(losses.bce_of_known, label_smoothing=label_smoothing), width=labels),
        torch.sigmoid,
        partial(_check_shares, columns=labels, unknown=True),
    )


def multiclass(
    classes: int, loss: Literal["cross_entropy", "focal"] = "cross_entropy", label_smoothing: float = 0.0
) -> Task:
    """One of several classes. output: logits [b, classes]. target: class, a whole number from 0, [b]. Prediction:
    probabilities [b, classes].
    """
    _at_least("classes", classes, 2)
    function = _named(loss, {"cross_entropy": losses.cross_entropy, "focal": losses.focal_classes})
    return Task(
        f"multiclass {classes}, {loss}{_smoothed(label_smoothing)}",
        partial(_of_width, loss=partial(function, label_smoothing=label_smoothing), width=classes),
        partial(torch.softmax, dim=1),
        partial(_check_codes, codes=classes),
    )


def ordinal(levels: int) -> Task:
    """One of several levels in order. output: log-odds [b, levels - 1] of being above level 0, 1, ... target: level, a
    whole number from 0, [b]. Prediction: the probabilities of being above each, whose sum is the expected level.
    """
    _at_least("levels", levels, 2)
    return Task(
        f"ordinal {levels}",
        partial(_of_width, loss=losses.ordinal, width=levels - 1),
        torch.sigmoid,
        partial(_check_codes, codes=levels),
    )


def regression(loss: Literal["mse", "huber", "asymmetric"] = "mse") -> Task:
    """A number, or several. output, target, prediction: the same shape, [b] or [b, ...]."""
    function = _named(loss, {"mse": losses.mse, "huber": losses.huber, "asymmetric": losses.asymmetric})
    return Task(f"regression, {loss}", function, _identity, _check_numbers)


def reconstruction() -> Task:
    """The input once more, by an autoencoder. output, target (the input), prediction: [b, ...]."""
    return Task("reconstruction", losses.reconstruction, _identity, _check_numbers)


def anomaly() -> Task:
    """What is usual, by a network whose output [b] is itself the loss: how strange a row is, such as the evidence bound
    of a variational autoencoder. target: [b], not read.
    """
    return Task("anomaly", losses.own, _identity, _check_numbers)


def _identity(output: Tensor) -> Tensor:
    return output


def _of_width(output: Tensor, target: Tensor, *, loss: Loss, width: int) -> Tensor:
    """A network with another number of outputs would train without a word, or stop the GPU."""
    if output.dim() < 2 or output.shape[1] != width:
        raise ValueError(f"output {list(output.shape)}: expected [b, {width}]")
    return loss(output, target)


def _named(name: str, known: Mapping[str, Callable[..., Tensor]]) -> Callable[..., Tensor]:
    if name not in known:
        raise UserError(f"loss: found `{name}`, {did_you_mean(name, known)}")
    return known[name]


def _at_least(name: str, found: int, least: int) -> None:
    if found < least:
        raise UserError(f"{name}: found {found}, expected {least} or more")


def _smoothed(label_smoothing: float) -> str:
    if not 0 <= label_smoothing < 1:
        raise UserError(f"label_smoothing: found {label_smoothing:g}, expected 0 to below 1")
    return f", label smoothing {label_smoothing:g}" if label_smoothing else ""


def _check_shares(target: Tensor, rows: Tensor | None = None, *, columns: int | None, unknown: bool = False) -> None:
    _check_shape(target, columns)
    whole = not target.is_floating_point()
    good = (target >= 0) & (target <= 1)
    if unknown:
        good |= target.isnan()
    _refuse(good, target, rows, "0 or 1" if whole else "a number from 0 to 1")


def _check_codes(target: Tensor, rows: Tensor | None = None, *, codes: int) -> None:
    _check_shape(target, None)
    good = (target >= 0) & (target <= codes - 1)
    if target.is_floating_point():
        good &= target == target.floor()
    _refuse(good, target, rows, f"a whole number from 0 to {codes - 1}")


def _check_numbers(target: Tensor, rows: Tensor | None = None) -> None:
    if target.is_floating_point():
        _refuse(target.isfinite(), target, rows, "a number")


def _check_shape(target: Tensor, columns: int | None) -> None:
    expected = ["rows"] if columns is None else ["rows", str(columns)]
    if target.dim() != len(expected) or (columns is not None and target.shape[1] != columns):
        raise UserError(f"target: found shape {list(target.shape)}, expected [{', '.join(expected)}]")


def _refuse(good: Tensor, target: Tensor, rows: Tensor | None, expected: str) -> None:
    """Raises UserError for the first value that is not good."""
    if bool(good.all()):
        return
    row, *place = (~good).nonzero()[0].tolist()
    found = target[(row, *place)].item()
    text = "a missing value" if isinstance(found, float) and math.isnan(found) else f"{found:.10g}"
    number = row if rows is None else int(rows[row])
    where = "".join(f"[{at}]" for at in place)
    more = int((~good).flatten(1).any(1).sum() if good.dim() > 1 else (~good).sum()) - 1
    raise UserError(
        f"target{where}, row {number}: found {text}, expected {expected}",
        hint=f"{more} more row{' is' if more == 1 else 's are'} out of range" if more else None,
    )
