"""Autoencoders: a network that repeats its input through a bottleneck, and fails where it has seen nothing alike.

Trained on normal rows only, its reconstruction error is an anomaly score (Sakurada and Yairi 2014).
Letters of the shapes: b rows, f features, c channels, space one to three of [depth, height, width], s stages.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from lepton_solutions.losses import reconstruction
from lepton_solutions.models.convolution import CONVOLUTIONS, NORMS, Dims, stage
from lepton_solutions.models.dense import mlp

UPWARD = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class Autoencoder(nn.Module):
    """x [b, ...] of widths[0] values a row to the same shape, by way of widths[-1] values and back through the same
    widths. ReLU between the layers, none at the bottleneck. Raises ValueError for fewer than two widths.
    """

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(*widths), mlp(*reversed(widths))

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x)).view_as(x)


class ConvAutoencoder(nn.Module):
    """x [b, c, *space] to the same shape, by way of [b, widths[-1], *space / 2**s]; a stage for each of `widths`.

    The bottleneck is no narrower than the input unless widths[-1] is well below c * 2**(s * dims).
    """

    def __init__(self, channels: int, widths: Sequence[int], *, dims: Dims) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*(stage(c, width, dims=dims) for c, width in pairwise([channels, *widths])))
        back = pairwise([*reversed(widths), widths[0]])
        self.decoder = nn.Sequential(*(_upward(c, width, dims) for c, width in back))
        self.last = CONVOLUTIONS[dims](widths[0], channels, 3, padding=1)
        self.halvings = len(widths)

    def forward(self, x: Tensor) -> Tensor:
        """Raises ValueError when a side of space is no multiple of 2**s: the way back would end beside the input."""
        if any(side % 2**self.halvings for side in x.shape[2:]):
            raise ValueError(f"input {list(x.shape)}: expected sides that are multiples of {2**self.halvings}")
        return self.last(self.decoder(self.encoder(x)))


class ReconstructionError(nn.Module):
    """x [b, ...] to the mean squared error [b] of an autoencoder's reconstruction, the anomaly score of each row."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return reconstruction(self.network(x), x)


def _upward(channels: int, width: int, dims: Dims) -> nn.Sequential:
    """[b, c, *space] to [b, width, *space * 2]. Kernel and stride are equal, so that no place is written twice."""
    return nn.Sequential(
        OrderedDict(
            convolution=UPWARD[dims](channels, width, 2, stride=2, bias=False),
            norm=NORMS[dims](width),
            activation=nn.ReLU(),
        )
    )
