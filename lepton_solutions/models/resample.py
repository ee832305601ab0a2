"""How does an image of any size become one of the size a network wants, inside the network?

Linear resampling, an axis at a time, as a product with a matrix of hat functions. It needs no operator but arithmetic
and matrix products, takes any input size, and so leaves with the network as ONNX: the same pixels reach it in training
and in serving. Axes are those of the pixels, [rows, channels, *space], space 2-D or 3-D.

    resize(pixels, (224, 224))                                          stretched to the size
    regrid(pixels, spacing, target=(1.5, 1.5), size=(224, 224), fill=0) in millimetres, cut or padded about the middle
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Steps of a grid are counted to this share before they are rounded: spacings arrive as float32, whose error times 512
# voxels is 3e-5, and a half must be seen as one.
_COUNTED = 1e4


def resize(pixels: Tensor, size: Sequence[int]) -> Tensor:
    """Stretch [n, c, *space] to [n, c, *size], float32. Where an axis shrinks, each output averages what it covers.

    Centres of pixels lie at halves, edges are repeated: `interpolate(mode="bilinear", antialias=True)` of PyTorch, in
    3-D too. An axis that has its size already is left as it is, to the bit.
    """
    pixels = pixels.float()
    for axis, goal in enumerate(size, 2):
        length = pixels.shape[axis]
        if isinstance(length, int) and length == goal:
            continue
        scale = _number(length, pixels) / goal
        centre = (_steps(goal, pixels) + 0.5) * scale
        hat = _hat((_steps(length, pixels) + 0.5) - centre.unsqueeze(1), scale.clamp(min=1.0))
        pixels = _along(pixels, hat / hat.sum(1, keepdim=True), axis)
    return pixels


def regrid(pixels: Tensor, spacing: Tensor, *, target: Sequence[float], size: Sequence[int], fill: float) -> Tensor:
    """Resample [n, c, *space] to `target` millimetres, then cut or pad about the middle: [n, c, *size], float32.

    spacing: [n, dims], millimetres between pixel centres, above 0, each image with its own. fill: value of what lies
    outside the image. The first centre of each axis stays where it is and the grid ends at the last one, to a step; no
    smoothing where an axis shrinks. That is MONAI's `Spacing` (bilinear, border) and `ResizeWithPadOrCrop` after it.
    """
    pixels = pixels.float()
    for axis, (goal, step) in enumerate(zip(size, target, strict=True), 2):
        length = _number(pixels.shape[axis], pixels).double()
        # Pixels of the image in a step of the grid; the step in float32 too, so that equal millimetres divide to 1.
        ratio = torch.full_like(spacing[:, axis - 2], step).double() / spacing[:, axis - 2].double()
        points = (((length - 1) / ratio + 1) * _COUNTED).round().div(_COUNTED).round()
        # MONAI cuts at the floor of both halves, and pads by the floor of half of what lacks.
        first = torch.where(points >= goal, (points / 2).floor() - goal // 2, -((goal - points) / 2).floor())
        number = _steps(goal, pixels).double() + first.unsqueeze(1)  # [n, goal], in the grid
        place = torch.minimum((number * ratio.unsqueeze(1)).clamp(min=0.0), length - 1)
        hat = _hat(_steps(pixels.shape[axis], pixels).double() - place.unsqueeze(2), torch.ones_like(length))
        inside = (number >= 0) & (number < points.unsqueeze(1))
        pixels = _along(pixels, hat.float(), axis)
        shape = [-1, 1, *[goal if at == axis else 1 for at in range(2, pixels.dim())]]
        pixels = torch.where(inside.reshape(shape), pixels, fill)
    return pixels


def _number(length: int, like: Tensor) -> Tensor:
    """A size as a tensor: as a Python number it would be a constant of the exported graph."""
    return torch.full((), length, dtype=torch.float32, device=like.device)


def _steps(length: int, like: Tensor) -> Tensor:
    return torch.arange(length, dtype=torch.float32, device=like.device)


def _hat(distance: Tensor, width: Tensor) -> Tensor:
    return (1 - distance.abs() / width).clamp(min=0.0)


def _along(pixels: Tensor, weights: Tensor, axis: int) -> Tensor:
    """The product along one axis of space. weights: [to, from], or one for each image, [n, to, from]."""
    if weights.dim() == 3:  # [n, 1, ..., to, from] against [n, c, ..., from, x]
        weights = weights[(slice(None), *[None] * (pixels.dim() - 3))]
    if axis == pixels.dim() - 1:
        return pixels @ weights.transpose(-1, -2)
    if axis == pixels.dim() - 2:
        return weights @ pixels
    return (weights @ pixels.transpose(axis, -2)).transpose(axis, -2)
