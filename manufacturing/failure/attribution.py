"""Which sensors an answer rests on, early in a life and late: integrated gradients over the window.

Sundararajan et al. 2017, from the train part's mean (0 on the standardised inputs) to the window, in STEPS steps; what
a sensor's reading, its average and its drift carry is added up, without signs.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from manufacturing.failure.fleet import Fleet
from manufacturing.failure.inputs import Scaling
from manufacturing.failure.learning import View, view_of
from manufacturing.failure.train import load_members, read_learned

STEPS = 16
ROWS = 128  # of a band
BANDS = 4


def attribution(run: Path, test: Fleet) -> dict[str, object]:
    """Shares of sensors by band of remaining life; one band where that is not known."""
    learned = read_learned(run)
    scaling = Scaling.from_json(learned["scaling"])
    view = view_of(test, scaling, learned["network"]["window"])
    network, chance = load_members(run)[0], np.random.default_rng(0)
    remaining = test.remaining()
    known = np.flatnonzero(np.isfinite(remaining))
    if learned["question"] == "rul" or (len(known) and test.label is None):
        edges = np.quantile(remaining[known], np.linspace(0, 1, BANDS + 1))
        bands = [
            (
                f"{low:.0f} to {high:.0f} {test.clock} left",
                known[(remaining[known] >= low) & (remaining[known] <= high)],
            )
            for low, high in pairwise(edges)
        ]
    else:
        bands = [("all readings", np.arange(test.rows))]
    shares = []
    for _, rows in bands:
        some = np.sort(chance.choice(rows, min(ROWS, len(rows)), replace=False))
        shares.append(_share(network, view, some, len(scaling.kept)))
    return {
        "sensors": list(scaling.names),
        "bands": [name for name, _ in bands],
        "share": np.stack(shares, 1).round(5).tolist(),
    }


def _share(network: nn.Module, view: View, rows: np.ndarray, sensors: int) -> np.ndarray:
    """[sensors], sums to 1."""
    window = view.windows(rows)
    total = torch.zeros_like(window)
    for step in range(STEPS):
        at = (window * (step + 0.5) / STEPS).requires_grad_()
        output = network(at)
        (slope,) = torch.autograd.grad(output.max(1).values.sum(), at)
        total += slope / STEPS
    carried = (total * window).sum(1).abs().mean(0)
    kinds = (window.shape[2] - 1) // sensors  # reading, average, drift; the age, last, is no sensor
    found = carried[: kinds * sensors].view(kinds, sensors).sum(0).double().numpy()
    return found / max(found.sum(), 1e-12)
