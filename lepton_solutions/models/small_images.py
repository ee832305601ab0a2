"""A network for small images and volumes that two cores can train: residual, narrow, no step lost at the start.

Letters of the shapes: n rows, c channels, space [height, width] or [depth, height, width], m that of the map.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from lepton_solutions.models.convolution import CONVOLUTIONS, NORMS

GROWTH = (1, 2, 4)  # widths of the stages as multiples of the first
BLOCKS = 1  # a stage; two are worse on 500 images, and take twice as long


class Block(nn.Module):
    """Two convolutions of 3 pixels a side and the way around them (He et al. 2016); the first may halve space."""

    def __init__(self, channels: int, width: int, *, dims: Literal[2, 3], stride: int) -> None:
        super().__init__()
        convolution, norm = CONVOLUTIONS[dims], NORMS[dims]
        self.first = convolution(channels, width, 3, stride=stride, padding=1, bias=False)
        self.first_norm = norm(width)
        self.second = convolution(width, width, 3, padding=1, bias=False)
        self.second_norm = norm(width)
        self.around = (
            nn.Identity() if stride == 1 and channels == width else self._projection(channels, width, dims, stride)
        )
        nn.init.zeros_(self.second_norm.weight)  # a block starts as the identity (Goyal et al. 2017)

    @staticmethod
    def _projection(channels: int, width: int, dims: Literal[2, 3], stride: int) -> nn.Module:
        pool = nn.Identity() if stride == 1 else (nn.AvgPool2d if dims == 2 else nn.AvgPool3d)(stride, ceil_mode=True)
        return nn.Sequential(pool, CONVOLUTIONS[dims](channels, width, 1, bias=False), NORMS[dims](width))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(y)) + self.around(x))


class SmallTrunk(nn.Module):
    """x [n, c, *space], normalised, to a map [n, features, *m]; m is a quarter of a picture, an eighth of a volume."""

    def __init__(self, channels: int, *, dims: Literal[2, 3], width: int) -> None:
        super().__init__()
        stride = 1 if dims == 2 else 2  # a volume has 28 times the positions of a picture
        self.stem = nn.Sequential(
            CONVOLUTIONS[dims](
                channels, width, 3 if dims == 2 else 5, stride=stride, padding=1 if dims == 2 else 2, bias=False
            ),
            NORMS[dims](width),
            nn.ReLU(),
        )
        widths = [width * factor for factor in GROWTH]
        blocks: list[nn.Module] = []
        before = width
        for number, after in enumerate(widths):
            for block in range(BLOCKS):
                blocks.append(Block(before, after, dims=dims, stride=2 if number and not block else 1))
                before = after
        self.blocks = nn.Sequential(*blocks)
        self.features = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.stem(x))


def small_trunk(channels: int, dims: Literal[2, 3], width: int) -> SmallTrunk:
    """The trunk that `model.name=small` means. channels: of the images. width: channels of its first stage."""
    return SmallTrunk(channels, dims=dims, width=width)
