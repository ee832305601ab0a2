"""Networks over windows of a series that look back only: dilated convolutions, and a convolution before a GRU.

Letters of the shapes: b rows, T steps, f features of a step, w width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CausalBlock(nn.Module):
    """[b, w, T] to the same: two dilated convolutions that see no later step, added to what was given (Bai et al. 2018,
    figure 1, without weight normalisation).
    """

    def __init__(self, width: int, *, dilation: int, kernel: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.reach = dilation * (kernel - 1)
        self.first = nn.Conv1d(width, width, kernel, dilation=dilation)
        self.second = nn.Conv1d(width, width, kernel, dilation=dilation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(F.relu(self.first(F.pad(x, (self.reach, 0)))))
        return x + self.dropout(F.relu(self.second(F.pad(y, (self.reach, 0)))))


class TCN(nn.Module):
    """x [b, T, f] to [b, outputs]: blocks of dilation 1, 2, 4, ..., of which the last step is read (Bai 2018)."""

    def __init__(self, features: int, width: int, outputs: int, *, layers: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Conv1d(features, width, 1)
        self.blocks = nn.Sequential(*(CausalBlock(width, dilation=2**i, dropout=dropout) for i in range(layers)))
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.embed(x.transpose(1, 2)))[:, :, -1])


class ConvGRU(nn.Module):
    """x [b, T, f] to [b, outputs]: a convolution over 5 steps, every `stride`-th kept, GRU layers, and of their states
    the last, the mean and the mean weighted by attention (Bahdanau et al. 2015) into a small head.
    """

    def __init__(
        self, features: int, width: int, outputs: int, *, layers: int = 2, dropout: float = 0.0, stride: int = 2
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(features, width, 5, stride=stride, padding=2)
        between = dropout if layers > 1 else 0.0  # torch warns of dropout between the layers of one
        self.cells = nn.GRU(width, width, layers, batch_first=True, dropout=between)
        self.attention = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        self.head = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(3 * width, width), nn.ReLU(), nn.Linear(width, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.cells(F.relu(self.convolution(x.transpose(1, 2))).transpose(1, 2))
        asked = (self.attention(states).softmax(1) * states).sum(1)
        return self.head(torch.cat([states[:, -1], asked, states.mean(1)], 1))
