"""Losses: from the output of a network and the target to one loss a row, [b], the mean over the row's other dimensions.

Plain functions of tensors without a look at their values, so that they run eager, compiled and inside a CUDA graph.
Outputs in half precision are widened to float32 first: a sum of exponentials needs the digits. Shapes that would only
fit by broadcasting ([n] against [n, 1] gives n * n pairs) raise ValueError.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

GAMMA = 2.0  # of the focal loss; the best of 0 to 5 in Lin et al. 2017, table 1b
EARLY, LATE = 1.0, 1.3  # the PHM'08 penalty rises 13 / 10 as fast on the late side (Saxena et al. 2008)


def mse(output: Tensor, target: Tensor) -> Tensor:
    """Squared error. output, target: [b, ...], the same shape."""
    output, target = _pair(output, target)
    return _by_row(F.mse_loss(output, target, reduction="none"))


def huber(output: Tensor, target: Tensor, *, delta: float = 1.0) -> Tensor:
    """Half the squared error up to `delta` (unit of the target), linear beyond it. Source: Huber 1964.

    >>> huber(torch.tensor([0.5, 3.0]), torch.tensor([0.0, 0.0]))
    tensor([0.1250, 2.5000])
    """
    output, target = _pair(output, target)
    return _by_row(F.huber_loss(output, target, reduction="none", delta=delta))


def asymmetric(output: Tensor, target: Tensor, *, early: float = EARLY, late: float = LATE) -> Tensor:
    """Squared error times `late` where the output is above the target, times `early` where it is below.

    For a time that remains, above means the warning comes too late. Its minimum is the expectile of the target at
    early / (early + late), so unlike the exponential penalty it leans towards it has bounded curvature.
    Source: asymmetric least squares, Newey and Powell 1987.

    >>> asymmetric(torch.tensor([48.0, 52.0]), torch.tensor([50.0, 50.0]), early=1, late=3)
    tensor([ 4., 12.])
    """
    output, target = _pair(output, target)
    error = output - target
    return _by_row(error.clamp(min=0).square() * late + error.clamp(max=0).square() * early)


def reconstruction(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of an autoencoder against its input, the target; by row it is the anomaly score."""
    return mse(output, target)


def own(output: Tensor, target: Tensor) -> Tensor:
    """The output itself, [b], of a network that gives its own loss. target: [b], not read."""
    return _pair(output, target)[0]


def bce(output: Tensor, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Binary cross-entropy of log-odds. output: [b], [b, labels], or [b, k] of k members against a target [b].

    target: 0 to 1; between them it is the share of ones. label_smoothing moves it that far towards 1/2.
    """
    output, target = _members(output, target)
    return _by_row(F.binary_cross_entropy_with_logits(output, _smooth(target, label_smoothing), reduction="none"))


def bce_of_known(output: Tensor, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """`bce` of several labels [b, labels], the mean over those that are known; NaN in the target is not. A row of which
    nothing is known has loss 0, and teaches nothing.

    >>> nan = float("nan")
    >>> bce_of_known(torch.tensor([[0.0, 9.0], [9.0, 9.0]]), torch.tensor([[1.0, nan], [nan, nan]]))
    tensor([0.6931, 0.0000])
    """
    output, target = _pair(output, target)
    known = ~target.isnan()
    target = _smooth(torch.where(known, target, 0.0), label_smoothing)
    terms = F.binary_cross_entropy_with_logits(output, target, reduction="none") * known
    return terms.sum(1) / known.sum(1).clamp(min=1)


def focal(
    output: Tensor,
    target: Tensor,
    *,
    gamma: float = GAMMA,
    alpha: float | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """`bce` in which a row that is right already counts less, by (1 - probability of its class) ** gamma.

    gamma: 0 (then it is `bce`), or 1 and more: between them the slope is infinite where a row is certain. alpha: weight
    of the ones, 1 - alpha of the zeros; None: both 1. A target between 0 and 1 weighs the terms of both classes.
    Source: Lin et al. 2017.
    """
    _check_gamma(gamma)
    output, target = _members(output, target)
    target = _smooth(target, label_smoothing)
    ones = torch.sigmoid(-output) ** gamma * F.softplus(-output)
    zeros = torch.sigmoid(output) ** gamma * F.softplus(output)
    of_ones, of_zeros = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    return _by_row(of_ones * target * ones + of_zeros * (1 - target) * zeros)


def cross_entropy(output: Tensor, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of logits [b, classes, ...] against classes [b, ...], whole numbers from 0.

    label_smoothing moves the target that far towards the mean of the classes (Szegedy et al. 2016).
    """
    output, target = _classes(output, target)
    return _by_row(F.cross_entropy(output, target, reduction="none", label_smoothing=label_smoothing))


def focal_classes(
    output: Tensor, target: Tensor, *, gamma: float = GAMMA, alpha: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """`cross_entropy` with the factor of `focal`. alpha: weight of each class, [classes]; None: all 1."""
    _check_gamma(gamma)
    output, target = _classes(output, target)
    log_share = F.log_softmax(output, dim=1)
    terms = (-torch.expm1(log_share)) ** gamma * -log_share
    if alpha is not None:
        terms = terms * alpha.to(terms).reshape(-1, *[1] * (terms.dim() - 2))
    of_class = terms.gather(1, target.unsqueeze(1)).squeeze(1)
    return _by_row((1 - label_smoothing) * of_class + label_smoothing * terms.mean(1))


def ordinal(output: Tensor, target: Tensor) -> Tensor:
    """For ordered levels: the mean of the binary cross-entropies of "above level k", k = 0 to levels - 2.

    output: log-odds [b, levels - 1]. target: level, a whole number from 0, [b]. The levels come out in order for every
    row when the network shares its weights between the outputs and gives each a bias of its own. Source: Cao et al.
    2020 (CORAL), who sum where we take the mean, so that the learning rate need not follow the number of levels.
    """
    if output.dim() != 2 or target.shape != output.shape[:1]:
        raise _mismatch(output, target, "expected [b, levels - 1] against [b]")
    output = _wide(output)
    above = target.unsqueeze(1) > torch.arange(output.shape[1], device=output.device)
    return _by_row(F.binary_cross_entropy_with_logits(output, above.to(output.dtype), reduction="none"))


def _by_row(losses: Tensor) -> Tensor:
    return losses if losses.dim() == 1 else losses.flatten(1).mean(1)


def _wide(output: Tensor) -> Tensor:
    return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output


def _pair(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the output's dtype, at least float32."""
    if output.shape != target.shape:
        raise _mismatch(output, target, "expected the same shape")
    output = _wide(output)
    return output, target.to(output.dtype)


def _members(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """As `_pair`; a target [b] is that of each of the k members of an output [b, k]."""
    if target.dim() == 1 and output.dim() == 2 and len(output) == len(target):
        target = target.unsqueeze(1).expand_as(output)
    return _pair(output, target)


def _classes(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if output.dim() < 2 or target.shape != output.shape[:1] + output.shape[2:]:
        raise _mismatch(output, target, "expected [b, classes, ...] against [b, ...]")
    return _wide(output), target.long()


def _smooth(target: Tensor, label_smoothing: float) -> Tensor:
    return target * (1 - label_smoothing) + label_smoothing / 2 if label_smoothing else target


def _check_gamma(gamma: float) -> None:
    if gamma < 1 and gamma != 0:
        raise ValueError(f"gamma: found {gamma:g}, expected 0, or 1 and more")


def _mismatch(output: Tensor, target: Tensor, expected: str) -> ValueError:
    return ValueError(f"output {list(output.shape)} against target {list(target.shape)}: {expected}")
