"""Images and volumes changed at random, a batch at a time, by tensor operations on whatever device it lies.

    batches = Resident((pixels,), target, augment=partial(augmented, by=settings.augment, low=0.0, high=255.0))

Each image has draws of its own, from PyTorch's global random state, which the training loop seeds and keeps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lepton_solutions.data.batches import Batch
from lepton_solutions.errors import UserError

# Counted from the end. A picture is [y, x], a volume [z, y, x]: z rises to the head, y to the back.
AXES = {2: {"left_right": -1, "up_down": -2}, 3: {"left_right": -1, "front_back": -2, "up_down": -3}}


class Changes(Protocol):
    """How far an image may be changed; 0 and nothing: not at all. Shares are of the size, or of the window."""

    @property
    def rotate(self) -> float: ...  # degrees, to both sides
    @property
    def scale(self) -> float: ...
    @property
    def shear(self) -> float: ...
    @property
    def shift(self) -> float: ...
    @property
    def flip(self) -> Sequence[str]: ...  # names in AXES
    @property
    def brightness(self) -> float: ...
    @property
    def contrast(self) -> float: ...
    @property
    def gamma(self) -> float: ...
    @property
    def noise(self) -> float: ...
    @property
    def cutout(self) -> float: ...


def augmented(batch: Batch, by: Changes, low: float, high: float) -> Batch:
    """The batch with every image of its first input changed; the target stays.

    low, high: the window, in the pixels' units.
    """
    pixels, *others = batch.inputs
    return batch._replace(inputs=(changed(pixels, by, low, high), *others))


def flip_axes(names: Sequence[str], dims: int) -> tuple[int, ...]:
    """The axes that `augment.flip` names, counted from the end. Raises UserError for one that pictures do not have.

    >>> flip_axes(["left_right", "up_down"], dims=3)
    (-1, -3)
    """
    for name in names:
        if name not in AXES[dims]:
            known = ", ".join(AXES[dims])
            raise UserError(f"augment.flip: found `{name}`, images of {dims} dimensions have {known}")
    return tuple(AXES[dims][name] for name in names)


def changed(pixels: Tensor, by: Changes, low: float, high: float) -> Tensor:
    """Images [n, c, *space] of any number type to float32 of the same shape and units."""
    x = (pixels.float() - low) / (high - low)
    if by.rotate or by.scale or by.shear or by.shift:
        x = moved(x, by)
    for axis in flip_axes(by.flip, x.dim() - 2):
        x = _flipped(x, axis)
    x = _recoloured(x, by)
    if by.noise:
        x = x + by.noise * torch.randn_like(x)
    if by.cutout:
        x = _cut_out(x, by.cutout)
    return x * (high - low) + low


def moved(x: Tensor, by: Changes) -> Tensor:
    """Turned, scaled, sheared and shifted in one resampling; what comes in from outside repeats the edge."""
    n, dims = len(x), x.dim() - 2
    linear = _turns(x, by.rotate, dims)
    # Both ways alike: half of the draws shrink by as much as the others grow.
    scales = torch.exp(_drawn(x, math.log1p(by.scale), n, dims))
    shears = torch.eye(dims, device=x.device).repeat(n, 1, 1)
    shears[:, 0, 1] = _drawn(x, by.shear, n)
    linear = linear @ shears * scales.unsqueeze(1)
    size = torch.tensor(x.shape[:1:-1], dtype=torch.float32, device=x.device)  # x, y(, z), as grids are written
    linear = linear * size / size.unsqueeze(1)  # turned in pixels, not in shares of unequal sides
    offset = _drawn(x, 2 * by.shift, n, dims, 1)  # an image is 2 wide where it is sampled
    grid = F.affine_grid(torch.cat([linear, offset], dim=2), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _drawn(like: Tensor, bound: float, *shape: int) -> Tensor:
    return bound * (2 * torch.rand(shape, device=like.device) - 1)


def _turns(x: Tensor, degrees: float, dims: int) -> Tensor:
    """Rotations [n, dims, dims]: by at most so many degrees; of a volume, about an axis of any direction."""
    n, angle = len(x), _drawn(x, math.radians(degrees), len(x))
    if dims == 2:
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    axis = F.normalize(torch.randn(n, 3, device=x.device), dim=1)
    zero = torch.zeros(n, device=x.device)
    a, b, c = axis.unbind(1)
    cross = torch.stack(
        [torch.stack([zero, -c, b], 1), torch.stack([c, zero, -a], 1), torch.stack([-b, a, zero], 1)], 1
    )
    sin, cos = angle.sin().view(n, 1, 1), angle.cos().view(n, 1, 1)
    return torch.eye(3, device=x.device) + sin * cross + (1 - cos) * (cross @ cross)  # Rodrigues


def _flipped(x: Tensor, axis: int) -> Tensor:
    """Half of the images, mirrored."""
    which = _each(torch.rand(len(x), device=x.device) < 0.5, x)
    return torch.where(which, x.flip(axis), x)


def _recoloured(x: Tensor, by: Changes) -> Tensor:
    """Another gamma inside the window, then another contrast about the image's own mean, then another brightness."""
    n = len(x)
    if by.gamma:
        bound = -math.log1p(-by.gamma)
        x = x.clamp(0, 1) ** _each(torch.exp(_drawn(x, bound, n)), x)
    if by.contrast:
        mean = x.flatten(1).mean(1)
        x = _each(mean, x) + (x - _each(mean, x)) * _each(1 + _drawn(x, by.contrast, n), x)
    if by.brightness:
        x = x + _each(_drawn(x, by.brightness, n), x)
    return x


def _cut_out(x: Tensor, share: float) -> Tensor:
    """A box of `share` of each side, anywhere, at the image's mean (DeVries and Taylor 2017)."""
    n, space = len(x), x.shape[2:]
    inside = torch.ones(n, *space, dtype=torch.bool, device=x.device)
    for number, side in enumerate(space):
        centre = torch.rand(n, 1, device=x.device) * side
        near = (torch.arange(side, device=x.device) + 0.5 - centre).abs() <= share * side / 2
        inside &= near.view(n, *(side if axis == number else 1 for axis in range(len(space))))
    return torch.where(inside.unsqueeze(1), _each(x.flatten(1).mean(1), x), x)


def _each(values: Tensor, x: Tensor) -> Tensor:
    """[n] to a shape that spreads over [n, c, *space]."""
    return values.view(-1, *(1 for _ in x.shape[1:]))
