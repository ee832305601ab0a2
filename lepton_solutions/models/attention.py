"""Self-attention and a transformer encoder over sequences of unequal length.

Letters of the shapes: b rows, T steps, f features of a step, w width, h heads of w / h each.
Sources: Vaswani et al. 2017; Xiong et al. 2020 for the norm before each part, which trains without a warm-up.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LONGEST_WAVE = 10_000  # over 2 pi, in steps (Vaswani et al. 2017, section 3.5)
WIDENING = 4  # of the feed-forward part: 512 to 2048 in Vaswani et al. 2017, table 3


class SelfAttention(nn.Module):
    """[b, T, w] to the same: each step asks all valid steps, in h heads.

    dropout: share of the links between steps dropped while training. Raises ValueError when the heads do not divide
    the width.
    """

    def __init__(self, width: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width}: expected a multiple of the {heads} heads")
        self.heads, self.dropout = heads, dropout
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """valid: bool [b, T], the steps that may be asked, at least one a row; None: all."""
        parts = self.query_key_value(x).unflatten(2, (3, self.heads, -1))  # [b, T, 3, h, w / h]
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # [b, h, T, w / h] each
        mask = None if valid is None else valid[:, None, None]  # for all heads and all that ask
        dropout = self.dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        return self.mix(found.transpose(1, 2).flatten(2))


class EncoderBlock(nn.Module):
    """[b, T, w] to the same: self-attention, then two dense layers for each step, each added to what it was given."""

    def __init__(self, width: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_norm, self.dense_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, dropout=dropout)
        self.dense = nn.Sequential(
            nn.Linear(width, WIDENING * width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(WIDENING * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), valid))
        return x + self.dropout(self.dense(self.dense_norm(x)))


class Transformer(nn.Module):
    """x [b, T, f] to [b, outputs]: each step made w wide and told its place, encoder blocks, the mean over valid steps.

    dropout: share dropped behind each part and of the links of attention, while training. Raises ValueError for a
    width that is odd or no multiple of the heads.
    """

    def __init__(
        self, features: int, width: int, outputs: int, *, heads: int = 4, layers: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"width {width}: expected an even number, a sine and a cosine for each wave")
        self.width = width
        self.embed = nn.Linear(features, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(EncoderBlock(width, heads, dropout=dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        """length: int64 [b], 1 to T, the steps of each row that count; None: all. The padding behind may be anything
        finite."""
        valid = None if length is None else valid_steps(length, x.shape[1])
        x = self.dropout(self.embed(x) + positions(x.shape[1], self.width, device=x.device))
        for block in self.blocks:
            x = block(x, valid)
        return self.head(mean_over(self.norm(x), valid))


def valid_steps(length: Tensor, steps: int) -> Tensor:
    """bool [b, steps], true for the first `length` [b] steps of each row.

    >>> valid_steps(torch.tensor([1, 3]), 3).tolist()
    [[True, False, False], [True, True, True]]
    """
    return torch.arange(steps, device=length.device) < length.unsqueeze(1)


def mean_over(x: Tensor, valid: Tensor | None) -> Tensor:
    """x [b, T, w] to [b, w]: the mean over the steps valid [b, T], all for None."""
    if valid is None:
        return x.mean(1)
    return (x * valid.unsqueeze(2)).sum(1) / valid.sum(1, keepdim=True)


def positions(steps: int, width: int, *, device: torch.device | None = None) -> Tensor:
    """[steps, width]: sines (even places) and cosines (odd) of the step's number, waves from 2 pi steps up.

    Nothing is learnt, so a longer sequence than any in training has its places too.
    """
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(LONGEST_WAVE) / width))
    angle = torch.arange(steps, device=device).unsqueeze(1) * rate
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
