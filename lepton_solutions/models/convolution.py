"""Convolution and pooling over series, images and volumes.

Letters of the shapes: b rows, c channels, space one to three of [depth, height, width], s stages.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

Dims = Literal[1, 2, 3]

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}


class ConvNet(nn.Module):
    """x [b, c, *space] to [b, outputs]: a stage for each of `widths`, the mean over what is left of space, a head.

    dims: how many dimensions space has. widths: channels behind each stage. dropout: share of the channels dropped
    before the head while training. Each side of space halves, rounded down, s times, so it has to be 2**s or more.
    The mean takes inputs of any larger size (Lin et al. 2014, section 3.2).
    """

    def __init__(self, channels: int, widths: Sequence[int], outputs: int, *, dims: Dims, dropout: float = 0.0) -> None:
        super().__init__()
        self.stages = nn.Sequential(*(stage(c, width, dims=dims) for c, width in pairwise([channels, *widths])))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.stages(x).flatten(2).mean(2)))


def stage(channels: int, width: int, *, dims: Dims) -> nn.Sequential:
    """Convolution over 3 neighbours a side, batch norm, ReLU, max pooling: [b, c, *space] to [b, width, *space / 2].

    Batch norm (Ioffe and Szegedy 2015) costs nothing once exported, where it melts into the convolution. The trap: its
    mean is that of one device's micro-batch, so the loss depends a little on how a batch is cut.
    """
    return nn.Sequential(
        OrderedDict(
            convolution=CONVOLUTIONS[dims](channels, width, 3, padding=1, bias=False),  # the norm has a bias
            norm=NORMS[dims](width),
            activation=nn.ReLU(),
            pool=POOLS[dims](2),
        )
    )
