"""The exported line, the proof that it answers as the trained one, and the figures of the run.

A sealed bundle is not among what is written: bundles hold two-class models as yet.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import torch

from lepton_solutions.files import write_json
from lepton_solutions.pipeline import about
from lepton_solutions.progress import Progress
from lepton_solutions.reference.export import Exported, parity, write_export
from lepton_solutions.reference.linear_regression.settings import LinearRegression
from lepton_solutions.reference.linear_regression.train import load_line, read

LABELS = {"baseline": "Mean of the training rows", "trained": "Linear regression"}


def export(settings: LinearRegression, run: Path, out: Path, progress: Progress) -> None:
    """`export/` with the line as ONNX, in float32, and its weights, in float64; `metrics.json` of the whole run."""
    found = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    learned = json.loads((run / "trained" / "learned.json").read_text(encoding="utf-8"))
    data = json.loads((run / "data.json").read_text(encoding="utf-8"))
    line, rows = load_line(run / "trained" / "weights.safetensors"), torch.from_numpy(read(run, "test").x)
    exported = Exported.of(copy.deepcopy(line).float(), rows[:2].float(), face=("columns", "prediction"))
    write_export(out / "export", line, exported)
    progress.update(0.7, "parity")
    proof = parity(line, exported, rows)
    checks = {
        "gradient": max(learned["gradient_differences"].values()),
        "weights": learned["weight_difference"],
    }
    rmse, mean = found["test"]["trained"]["rmse"], found["test"]["baseline"]["rmse"]
    write_json(
        out / "metrics.json",
        {
            **about(run),
            "primary": "rmse",
            "chosen": "trained",
            "seed": settings.seed,
            "headline": [
                {
                    "name": "test RMSE",
                    "text": f"{rmse['value']:.3f} ({rmse['low']:.3f} to {rmse['high']:.3f}); "
                    f"{LABELS['baseline'].lower()}: {mean['value']:.3f}",
                },
                {"name": "weights", "text": f"within {checks['weights']:.1g} of least squares"},
                {"name": "gradients", "text": f"within {checks['gradient']:.1g} of the closed form"},
            ],
            "variants": {
                "baseline": {"label": LABELS["baseline"], "test": found["test"]["baseline"]},
                "trained": {
                    "label": LABELS["trained"],
                    "test": found["test"]["trained"],
                    "steps": learned["steps"],
                    **exported.weight(),
                },
            },
            "checks": checks,
            "audit": {"failed": False, "findings": []},
            "plan": {"trained": learned["plan"]},
            "parity": proof,
            "data": data["source"],
        },
    )
