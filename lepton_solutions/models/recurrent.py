"""Recurrent networks over sequences of unequal length.

Letters of the shapes: b rows, T steps, f features of a step, w width of the state.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

KINDS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):
    """x [b, T, f] to [b, outputs]: what the network knows after the last step of each row.

    kind: `rnn` (Elman 1990, tanh), `lstm` (Hochreiter and Schmidhuber 1997) or `gru` (Cho et al. 2014). dropout: share
    of the units dropped between layers and before the head while training.
    """

    def __init__(
        self,
        features: int,
        width: int,
        outputs: int,
        *,
        kind: Literal["rnn", "lstm", "gru"] = "lstm",
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0  # torch warns of dropout between the layers of one
        self.cells = KINDS[kind](features, width, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        """length: int64 [b], 1 to T, the steps of each row that count; None: all. The padding behind may be anything
        finite, since no step looks ahead."""
        states, _ = self.cells(x)
        last = states[:, -1] if length is None else at_step(states, length - 1)
        return self.head(self.dropout(last))


def at_step(states: Tensor, step: Tensor) -> Tensor:
    """The state [b, w] of each row at its own step. states: [b, T, w]; step: int64 [b], 0 to T - 1.

    A gather exports, where torch's packed sequences do not.
    """
    return states.gather(1, step.view(-1, 1, 1).expand(-1, 1, states.shape[2])).squeeze(1)
