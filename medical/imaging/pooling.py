"""From the images of a study or patient to one answer: the mean, the maximum, or attention learned on the train part.

    MEAN.pooled("binary", logit, units)     # [units, ...], in ascending order of their codes

Throughout: `logit` is the network's output a row (image): binary [n], multiclass [n, classes], multilabel
[n, findings], ordinal [n, levels - 1], the log-odds of being above level 0, 1, ...; `units` [n] says whose image it is.
Plain numpy, the same in training, evaluation and serving.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.errors import UserError

TaskName = Literal["binary", "multiclass", "multilabel", "ordinal"]
Kind = Literal["mean", "max", "attention"]
Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]
_PULL = 1e-2  # of the gate towards the mean, so that separable train units give finite weights


@dataclass(frozen=True)
class Pooling:
    """How images become one answer. Attention weighs an image by exp(gate . evidence) of `_evidence`, normalised over
    its unit: zeros are the mean, a large first weight is the maximum, a large second one trusts images that are sure.
    """

    kind: Kind = "mean"
    gate: tuple[float, float] = (0.0, 0.0)

    def pooled(self, task: TaskName, logit: np.ndarray, units: np.ndarray) -> Floats:
        """The logit of each unit, [units, ...], in ascending order of unit codes."""
        z = _normalised(task, logit)
        place, count = _places(units)
        if count == len(place):  # every image by itself
            return z[np.argsort(place)]
        if self.kind == "max":
            return _by_unit(np.maximum, z, place, count, start=-np.inf)
        if self.kind == "mean":
            return _weighted(z, np.zeros_like(z), place, count)
        return _weighted(z, _evidence(task, z) @ np.asarray(self.gate), place, count)


MEAN = Pooling()


def fitted(
    kind: Kind,
    *,
    task: TaskName,
    logit: np.ndarray,
    target: np.ndarray,
    units: np.ndarray,
) -> Pooling:
    """The pooling; only `attention` looks at the arrays, which are those of the train part.

    Its gate is the one whose pooled logits, brought to scale by a slope and an intercept, make the units' labels most
    likely. Only two numbers are learned: a network that has seen the images is sure of all of them, and a richer gate
    would learn that. Source of the idea: Ilse et al. 2018, whose gate sees the features where ours sees the logit.
    """
    if kind != "attention":
        return Pooling(kind)
    from scipy.optimize import minimize  # serving applies a gate and never learns one

    z = _normalised(task, logit)
    place, count = _places(units)
    wanted = _wanted(task, unit_targets(target, units, task)[1], z)
    seen = _evidence(task, z)
    scale = seen.reshape(-1, 2).std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)

    def loss(parameters: Floats) -> float:
        gate, slope, intercept = parameters[:2], np.exp(parameters[2]), parameters[3]
        pooled = slope * _weighted(z, (seen / scale) @ gate, place, count)
        return _loss(task, pooled if task == "multiclass" else pooled + intercept, wanted) + _PULL * float(gate @ gate)

    found = minimize(loss, np.zeros(4), method="L-BFGS-B", bounds=[(-20, 20)] * 2 + [(-5, 5), (-20, 20)])
    lean, strength = (float(value) for value in found.x[:2] / scale)
    return Pooling("attention", (lean, strength))


def unit_targets(target: np.ndarray, units: np.ndarray, task: TaskName) -> tuple[Codes, np.ndarray]:
    """The units' codes, ascending, and their targets: that of their most severe image.

    target: int64 [n], -1 unknown, or float [n, findings], NaN unknown; so is what comes back. A unit without any known
    label is unknown. Raises UserError where images of one unit belong to two classes that have no order.
    """
    codes, place = np.unique(units, return_inverse=True)
    place = place.reshape(-1)
    if task == "multilabel":
        filled = np.where(np.isnan(target), -1.0, target).astype(np.float64)
        most = _by_unit(np.maximum, filled, place, len(codes), start=-1.0)
        return codes.astype(np.int64), np.where(most < 0, np.nan, most)
    most = _by_unit(np.maximum, target.astype(np.int64), place, len(codes), start=-1)
    if task == "multiclass":
        least = _by_unit(np.minimum, np.where(target < 0, most[place], target), place, len(codes), start=2**62)
        mixed = np.flatnonzero((most != least) & (most >= 0))
        if len(mixed):
            rows = np.flatnonzero(place == mixed[0])
            raise UserError(
                f"{len(mixed)} patients or studies have images of several classes, the first of them the images at "
                f"rows {', '.join(str(row) for row in rows[:5])} (from 0); expected one class each",
                hint="data.level=image decides about each image by itself",
            )
    return codes.astype(np.int64), most


def log_softmax(logit: np.ndarray) -> Floats:
    """Over the last axis, float64."""
    shifted = logit - logit.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float64)


def _normalised(task: TaskName, logit: np.ndarray) -> Floats:
    """Class logits lose their common constant, which says nothing and would count in a mean or maximum."""
    z = np.asarray(logit, dtype=np.float64)
    return log_softmax(z) if task == "multiclass" else z


def _places(units: np.ndarray) -> tuple[NDArray[np.intp], int]:
    codes, place = np.unique(units, return_inverse=True)
    return place.reshape(-1), len(codes)


def _by_unit(
    ufunc: np.ufunc, values: np.ndarray, place: NDArray[np.intp], count: int, *, start: float | int
) -> np.ndarray:
    found = np.full((count, *values.shape[1:]), start, dtype=values.dtype)
    ufunc.at(found, place, values)
    return found


def _weighted(z: Floats, score: Floats, place: NDArray[np.intp], count: int) -> Floats:
    """The mean over each unit's images, weighted by exp(score) [n, ...]."""
    weight = np.exp(score - _by_unit(np.maximum, score, place, count, start=-np.inf)[place])
    return np.asarray(_by_unit(np.add, weight * z, place, count, start=0.0)) / _by_unit(
        np.add, weight, place, count, start=0.0
    )


def _evidence(task: TaskName, z: Floats) -> Floats:
    """[n, ..., 2]: the output itself, and how far the image leans to any side."""
    if task in ("multiclass", "ordinal"):  # one weight an image keeps levels in order and classes comparable
        strength = np.broadcast_to((z.max(axis=1) - z.min(axis=1))[:, None] if task == "multiclass" else
                                   np.abs(z.mean(axis=1))[:, None], z.shape)  # fmt: skip
    else:
        strength = np.abs(z)
    lean = np.broadcast_to(z.mean(axis=1)[:, None], z.shape) if task == "ordinal" else z
    return np.stack([lean, strength], axis=-1)


def _wanted(task: TaskName, target: np.ndarray, z: Floats) -> np.ndarray:
    """The target in the shape of the output, NaN where unknown; of several classes their codes."""
    if task == "multiclass" or task == "multilabel":
        return target
    known = np.where(target < 0, np.nan, target).astype(np.float64)
    if task == "binary":
        return known
    above = (known[:, None] > np.arange(z.shape[1])).astype(np.float64)
    return np.where(np.isnan(known)[:, None], np.nan, above)


def _loss(task: TaskName, logit: Floats, wanted: np.ndarray) -> float:
    """Mean cross-entropy over what is known."""
    if task == "multiclass":
        known = wanted >= 0
        return float(-log_softmax(logit)[known, wanted[known].astype(np.int64)].mean())
    known = ~np.isnan(wanted)
    z, y = logit[known], wanted[known]
    return float((np.logaddexp(0, z) - y * z).mean())
