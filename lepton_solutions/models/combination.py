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


class Combination:
    """The mean of the members' log-odds, each counting the same."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        """Raises ValueError for no members."""
        if not models:
            raise ValueError("a combination needs at least one member")
        self.models = dict(models)

    def logit(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Log-odds of the positive class, [n]."""
        return np.mean([model.logit(rows) for model in self.models.values()], axis=0)

    def graph(self) -> ModelProto:
        """One graph that holds all members."""
        return average([model.graph() for model in self.models.values()])

    def save(self, folder: Path) -> None:
        """Writes `combination.json`, the members' names, and each member into a folder of its name."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "combination.json").write_text(json.dumps({"members": list(self.models)}), encoding="utf-8")
        for name, model in self.models.items():
            model.save(folder / name)
