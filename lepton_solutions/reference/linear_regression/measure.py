"""What the linear regression measures on test rows, which are read here for the first time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from lepton_solutions.files import write_json
from lepton_solutions.metrics import Interval
from lepton_solutions.progress import Progress
from lepton_solutions.reference import intervals
from lepton_solutions.reference.linear_regression.settings import LinearRegression
from lepton_solutions.reference.linear_regression.train import load_line, read


def evaluate(settings: LinearRegression, run: Path, out: Path, progress: Progress) -> None:
    """Errors of the line, and of the training mean as the answer to everything, in the unit of the target."""
    learned = json.loads((run / "trained" / "learned.json").read_text(encoding="utf-8"))
    rows = read(run, "test")
    with torch.no_grad():
        answers = load_line(run / "trained" / "weights.safetensors")(torch.from_numpy(rows.x)).numpy()
    errors = {"baseline": learned["mean"] - rows.y, "trained": answers - rows.y}
    test = {name: measured(error, seed=settings.seed) for name, error in errors.items()}
    evaluation = {
        "rows": len(rows.y),
        "test": {name: {key: each.to_json() for key, each in values.items()} for name, values in test.items()},
        "r2": 1 - float(np.mean(errors["trained"] ** 2) / rows.y.var()),
        "predicted": np.round(answers, 4).tolist(),
        "observed": rows.y.tolist(),
    }
    write_json(out / "evaluation.json", evaluation)
    progress.update(
        1.0, f"test rmse {test['trained']['rmse'].value:.3f}, mean as answer {test['baseline']['rmse'].value:.3f}"
    )


def measured(error: np.ndarray, *, seed: int) -> dict[str, Interval]:
    """rmse and mae. The ends of rmse are roots of those of the mean square: quantiles follow a rising function."""
    square = intervals.mean(error**2, seed=seed)
    return {
        "rmse": Interval(*(float(np.sqrt(end)) for end in (square.value, square.low, square.high))),
        "mae": intervals.mean(np.abs(error), seed=seed),
    }
