"""The usual detector beside ours: an isolation forest (Liu et al. 2008) by PyOD, on the columns that ours read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from finance.fraud.detectors import MOST
from lepton_solutions.data.columns import Rows

if TYPE_CHECKING:
    from pyod.models.iforest import IForest


@dataclass(frozen=True)
class Forest:
    """middle: [p], put in the place of a missing value."""

    places: Sequence[int]
    middle: NDArray[np.float32]
    model: IForest

    def logit(self, rows: Rows) -> NDArray[np.float64]:
        """float64 [n]: no log-odds, but in the same order."""
        found: NDArray[np.float64] = self.model.decision_function(_filled(rows.numeric, self.places, self.middle))
        return found


def fit_forest(numeric: NDArray[np.float32], places: Sequence[int], *, seed: int) -> Forest:
    """numeric: [n, columns] of presumed good transactions, of which up to 60,000 are drawn; places: what is read."""
    from pyod.models.iforest import IForest  # here because it takes seconds

    if len(numeric) > MOST:
        numeric = numeric[np.random.default_rng(seed).choice(len(numeric), MOST, replace=False)]
    x = numeric[:, places]
    middle = np.array([np.median(column[~np.isnan(column)]) if (~np.isnan(column)).any() else 0.0 for column in x.T])
    model = IForest(n_estimators=100, max_samples=256, random_state=seed)
    model.fit(_filled(numeric, places, middle.astype(np.float32)))
    return Forest(places, middle.astype(np.float32), model)


def _filled(numeric: NDArray[np.float32], places: Sequence[int], middle: NDArray[np.float32]) -> NDArray[np.float32]:
    x = numeric[:, places]
    return np.where(np.isnan(x), middle, x)
