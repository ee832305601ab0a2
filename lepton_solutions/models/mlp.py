"""A weight-sharing ensemble of small multilayer perceptrons on table features.

All members share their hidden weights; each starts with random signs on the inputs and has its own biases and head, so
that k networks cost little more than one and disagree enough to be worth averaging.
Sources: Wen et al. 2020 (BatchEnsemble); Gorishniy et al. 2025 (TabM, the variant that scales the inputs only).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from onnx import ModelProto
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from lepton_solutions.data.columns import Rows
from lepton_solutions.models.graphs import export_torch
from lepton_solutions.models.inputs import TableInputs


class Ensemble(nn.Module):
    """features [n, f] to log-odds [n]: the mean of k members, each one hidden layer of `width` units with ReLU.

    The hidden weights [f, width] are shared; member i multiplies its inputs by `scale` [i, f] first. `prior` is the
    share of positives that the heads start from.
    """

    def __init__(
        self,
        features: int,
        *,
        members: int,
        width: int,
        dropout: float,
        input_dropout: float,
        prior: float,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        signs = torch.randint(0, 2, (members, features), generator=generator)
        self.scale = nn.Parameter(signs * 2.0 - 1)
        self.hidden = nn.Parameter(torch.randn(features, width, generator=generator) / math.sqrt(max(features, 1)))
        self.hidden_bias = nn.Parameter(torch.zeros(members, width))
        self.head = nn.Parameter(torch.randn(members, width, generator=generator) / math.sqrt(width))
        self.head_bias = nn.Parameter(torch.full((members,), math.log(prior / (1 - prior))))
        self.dropout, self.input_dropout = dropout, input_dropout

    def forward(self, features: Tensor) -> Tensor:
        """Log-odds; in training mode of every member, [n, k], since each is trained by itself."""
        units = self._hidden(features)
        if self.training:
            return (units * self.head).sum(2) + self.head_bias
        # The mean over members of a linear head is one matrix product over all their units.
        return units.flatten(1) @ self.head.flatten() / len(self.head) + self.head_bias.mean()

    def _hidden(self, features: Tensor) -> Tensor:
        """[n, k, width]. Scaling a member's inputs is scaling the rows of its weights: one wide product for all."""
        x = F.dropout(features, self.input_dropout, self.training)
        wide = (self.scale.T.unsqueeze(2) * self.hidden.unsqueeze(1)).flatten(1)
        units = torch.relu((x @ wide).unflatten(1, self.hidden_bias.shape) + self.hidden_bias)
        return F.dropout(units, self.dropout, self.training)


class InputLayer(Protocol):
    """numeric [n, p] and codes [n, q] to [n, features], as `TableInputs`; with or without weights of its own."""

    @property
    def features(self) -> int: ...

    @property
    def reads(self) -> tuple[int, int]: ...

    def __call__(self, numeric: Tensor, codes: Tensor) -> Tensor: ...


Inputs = TypeVar("Inputs", bound=InputLayer)


class TabularNet(nn.Module, Generic[Inputs]):
    """Raw rows to log-odds [n]: the input layer, the ensemble, whose members are averaged."""

    inputs: Inputs

    def __init__(self, inputs: Inputs, ensemble: Ensemble) -> None:
        super().__init__()
        self.inputs, self.ensemble = inputs, ensemble

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        return self.ensemble(self.inputs(numeric, codes))


class TabularModel(Generic[Inputs]):
    """A trained `TabularNet` behind the interface of every model here."""

    def __init__(self, net: TabularNet[Inputs]) -> None:
        self.net = net.eval()

    def logit(self, rows: Rows) -> np.ndarray:
        """Log-odds of the positive class, float64 [n]."""
        return logit_of(self.net, rows)

    def graph(self) -> ModelProto:
        """The network and its input layer as ONNX, float32."""
        p, q = self.net.inputs.reads
        return export_torch(self.net, p=p, q=q)

    def save(self, folder: Path) -> None:
        """Writes `weights.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.net.state_dict(), folder / "weights.safetensors")


class TabularMLP(TabularModel[TableInputs]):
    """Of the columns of a table."""

    @classmethod
    def load(cls, folder: Path) -> TabularMLP:
        """The inverse of `save`."""
        tensors = load_file(folder / "weights.safetensors")
        return cls(net_from(TableInputs.from_tensors(part_of(tensors, "inputs")), tensors))


@torch.inference_mode()
def logit_of(net: TabularNet[Inputs], rows: Rows, *, at_once: int = 8192) -> np.ndarray:
    """Log-odds [n], computed in float64, so that batches cannot differ from rows. at_once: rows of a batch."""
    wide = deepcopy(net).eval().double()
    numeric, codes = torch.from_numpy(rows.numeric).double(), torch.from_numpy(rows.codes)
    return torch.cat([wide(a, b) for a, b in zip(numeric.split(at_once), codes.split(at_once), strict=True)]).numpy()


def net_from(inputs: Inputs, tensors: Mapping[str, Tensor]) -> TabularNet[Inputs]:
    """A net behind these input layers, from its `state_dict`."""
    members, features = tensors["ensemble.scale"].shape
    width = tensors["ensemble.hidden"].shape[1]
    # Dropout rests outside training, and the weights are loaded: neither needs a value here.
    ensemble = Ensemble(features, members=members, width=width, dropout=0, input_dropout=0, prior=0.5)
    net = TabularNet(inputs, ensemble)
    net.load_state_dict(tensors)
    return net


def part_of(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The `state_dict` of the layer of this name within that of a net."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}
