"""The input layer of tables: raw numbers and category codes in, a vector of features out, exported with the network.

Fitted on the train part only. Everything it does to a value (imputing, scaling, encoding) is a layer, so that training
and serving cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from lepton_solutions.data.columns import Columns, Rows

FAR = 1e6  # deviations; beyond it nothing differs, and the square of 1e20 is no float32
TENSORS = ("center", "scale", "edges", "flagged", "levels")


class TableInputs(nn.Module):
    """numeric float32 [n, p] in raw units (NaN is missing) and codes int64 [n, q] to features [n, features].

    A number becomes (x - center) / scale, bent towards +-3 so that one wild value cannot own the network; its place
    between quantiles, piecewise linear (Gorishniy et al. 2022, section 3.2: how full each bin is, 0 to 1); and a flag
    where the train part knew missing values. A missing one takes the place of the median. A category is one-hot over
    its codes (0 unseen, 1 missing, 2.. levels), which the first layer behind turns into a learnt embedding.

    center, scale: [p]. edges: [p, bins + 1], ascending, NaN where a column has fewer. flagged: positions of the numeric
    columns with a flag. levels: number of codes of each category.
    """

    center: Tensor
    scale: Tensor
    edges: Tensor
    flagged: Tensor
    levels: Tensor
    left: Tensor
    width: Tensor
    used: Tensor

    def __init__(self, center: Tensor, scale: Tensor, edges: Tensor, flagged: Tensor, levels: Tensor) -> None:
        super().__init__()
        for name, value in zip(TENSORS, (center, scale, edges, flagged, levels), strict=True):
            self.register_buffer(name, value)
        real = torch.isfinite(edges[:, 1:])
        self.register_buffer("left", torch.where(real, edges[:, :-1], 0.0), persistent=False)
        self.register_buffer("width", torch.where(real, edges[:, 1:] - edges[:, :-1], 1.0), persistent=False)
        self.register_buffer("used", real.flatten().nonzero().squeeze(1), persistent=False)
        self._sizes = levels.tolist()  # plain numbers, since an exported graph has fixed shapes
        self.features = len(center) + len(self.used) + len(flagged) + sum(self._sizes)

    @property
    def reads(self) -> tuple[int, int]:
        """Numeric columns and categories of a row."""
        return len(self.center), len(self.levels)

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        absent = torch.isnan(numeric)
        x = torch.where(absent, self.center, numeric)
        z = ((x - self.center) / self.scale).clamp(-FAR, FAR)
        full = ((x.unsqueeze(2) - self.left) / self.width).clamp(0, 1)
        parts = [z / torch.sqrt(1 + (z / 3) ** 2), full.flatten(1)[:, self.used], absent[:, self.flagged].to(x.dtype)]
        for j, size in enumerate(self._sizes):
            parts.append((codes[:, j : j + 1] == torch.arange(size, device=codes.device)).to(x.dtype))
        return torch.cat(parts, dim=1)

    @classmethod
    def fit(cls, rows: Rows, weight: np.ndarray, columns: Columns, *, bins: int) -> TableInputs:
        """Median, spread and at most `bins` bins of each numeric column between quantiles; weight [n] counts rows."""
        p = rows.numeric.shape[1]
        center, scale, edges = np.zeros(p), np.ones(p), np.full((p, bins + 1), np.nan)
        for j in range(p):
            known = ~np.isnan(rows.numeric[:, j]) & (weight > 0)
            if not known.any():
                continue
            values, mass = rows.numeric[known, j].astype(np.float64), weight[known]
            at = np.concatenate([[0.25, 0.5, 0.75], np.linspace(0, 1, bins + 1)])
            low, center[j], high, *cuts = np.quantile(values, at, weights=mass, method="inverted_cdf")
            spread = (high - low) / 1.35 or values.std()  # half of a normal distribution lies within 1.35 deviations
            scale[j] = spread if spread > 0 else 1.0
            distinct = np.unique(values)
            found = distinct if len(distinct) <= bins + 1 else np.unique(cuts)
            edges[j, : len(found)] = found
        return cls(
            torch.tensor(center, dtype=torch.float32),
            torch.tensor(scale, dtype=torch.float32),
            torch.tensor(edges, dtype=torch.float32),
            torch.from_numpy(np.flatnonzero(np.isnan(rows.numeric[weight > 0]).any(0))),
            torch.tensor([len(column.levels) + 2 for column in columns.categories], dtype=torch.int64),
        )

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> TableInputs:
        """From a `state_dict`."""
        return cls(*(tensors[name] for name in TENSORS))
