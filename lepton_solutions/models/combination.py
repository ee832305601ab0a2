"""Do models of different families know more together? Their log-odds are averaged.

Log-odds need no further scaling to be comparable: every member estimates the same probability. Averaging them rather
than the probabilities keeps a member that is sure of a row from being outvoted by those that know nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from lepton_solutions.data.columns import Rows
from lepton_solutions.models.graphs import average


class Model(Protocol):
    """What every model of a table can do, once fitted."""

    def logit(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Log-odds of the positive class, [n]."""

    def graph(self) -> ModelProto:
        """The same as ONNX; see `graphs` for its inputs and output."""

    def save(self, folder: Path) -> None:
        """Writes files without pickle; the folder is made if need be."""


class Loads(Protocol):
    """A kind of model, such as the class `Boosting`, that reads what one of its kind has saved."""

    def load(self, folder: Path) -> Model: ...


class Combination:
    """The weighted mean of the members' log-odds; equal weights unless given. A member's weight is 0 or above."""

    def __init__(self, models: Mapping[str, Model], weights: Mapping[str, float] | None = None) -> None:
        """Raises ValueError for no members, for weights of other names, and for weights without a positive sum."""
        given = dict.fromkeys(models, 1.0) if weights is None else dict(weights)
        if not models or given.keys() != models.keys():
            raise ValueError(
                f"weights of {sorted(given)}: expected one for each member, of {sorted(models)}, at least one"
            )
        total = sum(given.values())
        if min(given.values()) < 0 or not 0 < total < np.inf:
            raise ValueError(f"weights {given}: expected 0 or above, and a sum above 0")
        self.models = dict(models)
        self.weights = {name: given[name] / total for name in models}

    def logit(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Log-odds of the positive class, [n]."""
        total = np.zeros(len(rows))
        for name, weight in self.weights.items():
            total += weight * self.models[name].logit(rows)
        return total

    def graph(self) -> ModelProto:
        """One graph that holds all members."""
        return average([model.graph() for model in self.models.values()], list(self.weights.values()))

    def save(self, folder: Path) -> None:
        """Writes `combination.json` and each member into a folder of its name."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "combination.json").write_text(json.dumps({"weights": self.weights}, indent=1), encoding="utf-8")
        for name, model in self.models.items():
            model.save(folder / name)

    @classmethod
    def load(cls, folder: Path, kinds: Mapping[str, Loads]) -> Combination:
        """The inverse of `save`. kinds: the class of each member by name, because a file should not choose what runs.

        Raises FileNotFoundError where `save` has not written and KeyError for a member without a kind.
        """
        weights = json.loads((folder / "combination.json").read_text(encoding="utf-8"))["weights"]
        return cls({name: kinds[name].load(folder / name) for name in weights}, weights)
