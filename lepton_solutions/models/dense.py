"""Fully connected networks.

Letters of the shapes: b rows. Weights start as torch draws them, from its global generator, here and in the blocks
beside: make a network under a seed.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def mlp(*widths: int, dropout: float = 0.0) -> nn.Sequential:
    """A multilayer perceptron: x [b, ...] of widths[0] values a row to [b, widths[-1]], ReLU between the layers.

    Inputs of more dimensions are flattened. dropout: share of the units dropped behind each ReLU while training.
    `network[-1]` is the head. Raises ValueError for fewer than two widths.

    >>> sum(weights.numel() for weights in mlp(784, 128, 10).parameters())  # 784 * 128 + 128 + 128 * 10 + 10
    101770
    """
    if len(widths) < 2:
        raise ValueError(f"widths {list(widths)}: expected two or more, the inputs first and the outputs last")
    layers: list[nn.Module] = [nn.Flatten()]
    for f, width in pairwise(widths[:-1]):
        layers += [nn.Linear(f, width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
