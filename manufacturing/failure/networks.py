"""The networks over a window of features; `model.name` chooses."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from lepton_solutions.models.attention import Transformer
from lepton_solutions.models.dense import mlp
from lepton_solutions.models.recurrent import Recurrent
from lepton_solutions.models.temporal import TCN, ConvGRU


@dataclass(frozen=True)
class Form:
    """What a network is built from. name: as `model.name`; view: `steps`, or `spectrum` of a vibration.

    window, features: of its input. channels: kept sensors, the first of the features.
    """

    name: str
    view: str
    window: int
    features: int
    channels: int
    outputs: int
    width: int
    layers: int
    dropout: float

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, saved: dict) -> Form:
        """The inverse of `to_json`."""
        return cls(**saved)


class LastRow(nn.Module):
    """x [b, T, f] to [b, outputs] by dense layers over the last row: what has no history needs no window."""

    def __init__(self, features: int, width: int, outputs: int, *, layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = mlp(features, *[width] * layers, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.dropout(x[:, -1]))


def new_network(form: Form, seed: int) -> nn.Module:
    """window [b, window, features] to [b, outputs]; the same weights for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _network(form)


def _network(form: Form) -> nn.Module:
    size = (form.features, form.width, form.outputs)
    if form.view == "spectrum":
        from manufacturing.failure.signals import new_spectrum

        return new_spectrum(form.channels, form.window, form.outputs, form.width, form.dropout)
    if form.name == "conv_gru":
        return ConvGRU(*size, layers=form.layers, dropout=form.dropout)
    if form.name == "tcn":
        return TCN(*size, layers=max(form.layers, 1), dropout=form.dropout)
    if form.name == "transformer":
        return Transformer(*size, layers=form.layers, dropout=form.dropout)
    if form.name == "mlp":
        return LastRow(*size, layers=form.layers, dropout=form.dropout)
    return Recurrent(*size, kind=form.name, layers=form.layers, dropout=form.dropout)  # type: ignore[arg-type]
