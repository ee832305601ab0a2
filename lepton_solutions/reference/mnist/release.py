"""The exported model, the proof that it answers as the trained one, and the figures of the run.

A sealed bundle with a predictor that takes images is not among what is written: bundles hold tables as yet.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from lepton_solutions.files import write_json
from lepton_solutions.pipeline import about
from lepton_solutions.progress import Progress
from lepton_solutions.reference.export import Exported, parity, write_export
from lepton_solutions.reference.mnist import parts
from lepton_solutions.reference.mnist.settings import Mnist
from lepton_solutions.reference.mnist.sources import SIDE
from lepton_solutions.reference.mnist.train import load_network, weights_of

LABELS = {
    "baseline": "Softmax regression",
    "trained": "Trained",
    "finetuned": "Fine-tuned, with a task head",
}


def export(settings: Mnist, run: Path, out: Path, progress: Progress) -> None:
    """`export/` with the chosen model as ONNX and its weights, and `metrics.json` of the whole run.

    Raises UserError, and releases nothing, where a test image gets another digit from the exported model.
    """
    found = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    chosen, example = found["chosen"], torch.zeros(2, SIDE, SIDE)
    networks = {name: load_network(weights_of(run, name)) for name in found["learned"]}
    exported = {name: Exported.of(network, example, face=("pixels", "scores")) for name, network in networks.items()}
    write_export(out / "export", networks[chosen], exported[chosen])
    progress.update(0.7, "parity")
    images = parts.read(run, "test")
    proof = parity(networks[chosen], exported[chosen], images.pixels.float(), activation=lambda x: x.softmax(1))
    data = json.loads((run / "data.json").read_text(encoding="utf-8"))
    audit = json.loads((run / "audit.json").read_text(encoding="utf-8"))
    write_json(
        out / "metrics.json",
        {
            **about(run),
            "primary": "accuracy",
            "chosen": chosen,
            "seed": settings.seed,
            "data": data["source"],
            "headline": headline(found, data["source"]),
            "variants": {
                name: {
                    "label": LABELS[name],
                    "test": found["test"][name],
                    "validation": facts["validation"],
                    "steps": facts["steps"],
                    **exported[name].weight(),
                }
                for name, facts in found["learned"].items()
            },
            "audit": {"failed": False, "findings": audit},
            "plan": {name: facts["plan"] for name, facts in found["learned"].items()},
            "parity": proof,
        },
    )


def headline(found: dict[str, Any], data: str) -> list[dict[str, str]]:
    """The three figures a run ends with."""
    chosen, test = found["chosen"], found["test"]
    ours = {end: 100 * value for end, value in test[chosen]["accuracy"].items()}
    others = [f"{LABELS[name].lower()}: {100 * test[name]['accuracy']['value']:.2f}" for name in test if name != chosen]
    steps = [f"{facts['steps']:,} ({name})" for name, facts in found["learned"].items() if name != "baseline"]
    text = f"{ours['value']:.2f} ({ours['low']:.2f} to {ours['high']:.2f}); {'; '.join(others)}"
    return [
        {"name": "test accuracy, %", "text": text},
        {"name": "data", "text": f"{data}; {found['images']:,} of them for the test"},
        {"name": "iterations", "text": ", ".join(steps)},
    ]
