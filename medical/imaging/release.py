"""The imaging bundle, the proof that it decides as the trained model did, and the figures of the run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_solutions import bundle
from lepton_solutions.data.images import Picture
from lepton_solutions.data.splits import TEST
from lepton_solutions.engines import ENGINE, Engine, latency_ms
from lepton_solutions.files import write_json, write_text
from lepton_solutions.metrics import Interval
from lepton_solutions.pipeline import about
from lepton_solutions.progress import Progress
from medical.imaging.card import imaging_card
from medical.imaging.decision import ImageDecision
from medical.imaging.evaluation import Evaluation
from medical.imaging.inputs import Inputs
from medical.imaging.networks import MEMBERS
from medical.imaging.parity import check_parity
from medical.imaging.predictor import PIPELINE, ImagePredictor
from medical.imaging.settings import Imaging
from medical.imaging.store import Facts, Store
from medical.imaging.verdict import percent

if TYPE_CHECKING:
    from medical.imaging.exported import Exported

OURS, BASELINE = "trained", "baseline"
COMPARED = 200  # test images that both models answer
AS_READ = 32  # of them, that are decoded from their files once more
TIMED = 50  # calls


def export(settings: Imaging, run: Path, out: Path, progress: Progress) -> None:
    """The bundle, the proof that it decides as the trained model did, and `metrics.json` of the whole run.

    Raises UserError, and releases nothing, when an answer flips or a probability differs by more than the tolerance.
    """
    from medical.imaging.exported import graph, load

    store, exported = Store.read(run), load(run)
    evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    learned = json.loads((run / "learned.json").read_text(encoding="utf-8"))
    folder = out / "bundle"
    content = graph(exported)
    progress.update(0.5, "network as ONNX")
    write_model(
        folder,
        content,
        inputs=Inputs.of(store.facts),
        decision=ImageDecision.from_json(learned["decisions"][OURS]),
        weights=run / MEMBERS,
    )
    write_json(folder / "metrics.json", evaluation["test"][OURS])
    card = imaging_card(
        store.facts.model_dump(mode="json"),
        evaluation,
        network=network_text(exported),
        training=training_text(settings),
    )
    write_text(folder / "card.md", card)
    bundle.seal(folder, pipeline=PIPELINE)
    predictor = ImagePredictor.open(folder)
    rows = np.unique(np.linspace(0, len(store.pixels(TEST)) - 1, COMPARED).round().astype(int))
    stored = np.asarray(store.pixels(TEST)[rows], np.float32)
    parity = check_parity(exported, predictor, stored, _as_read(settings, store, rows))
    progress.update(0.8, f"largest difference {parity['largest_difference']:.1e}")
    one = {"pixels": stored[:1]} | ({"spacing": np.ones((1, store.facts.dims), np.float32)} if exported.spaced else {})
    latency = latency_ms(partial(Engine(content, threads=1).answers, **one), calls=TIMED)
    ours = {"size_bytes": bundle.size_bytes(folder), "latency_ms": latency, "engine": ENGINE}
    summary = _summary(settings, run, store.facts, learned, Evaluation.model_validate(evaluation), exported, ours)
    write_json(out / "metrics.json", summary | {"parity": parity})


def write_model(folder: Path, graph: bytes, *, inputs: Inputs, decision: ImageDecision, weights: Path) -> None:
    """What every imaging bundle holds, unsealed. graph: as ONNX. weights: the folder of the members' safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    write_json(folder / "inputs.json", inputs.to_json())
    write_json(folder / "decision.json", decision.to_json())
    write_json(folder / "labels.json", list(inputs.labels))
    (folder / "weights").mkdir()
    for file in sorted(weights.glob("*.safetensors")):
        shutil.copyfile(file, folder / "weights" / file.name)


def network_text(exported: Exported) -> str:
    """The network in a sentence."""
    form, members = exported.members[0].form, len(exported.members)
    weights = sum(tensor.numel() for tensor in exported.members[0].parameters())
    together = f", the mean of {members} trained from different seeds" if members > 1 else ""
    flips = ", each averaged over flips of the image" if exported.flips else ""
    return f"Network `{form.name}` with {weights:,} weights{together}{flips}."


def training_text(settings: Imaging) -> str:
    """How it was trained, in a sentence."""
    fit, changes = settings.fit, settings.augment
    changed = [name for name, value in changes.model_dump().items() if value not in (0, 0.0, (), [])]
    augmented = f"images changed at random by {', '.join(changed)}" if changed else "images as they are"
    start = "from random weights"
    if settings.model.weights is not None:
        start = "from weights of the user's"
    elif settings.model.pretrained:
        start = "from the publisher's weights"
    return f"Trained {start} with the optimiser `{fit.optimiser}`, seed {settings.seed}, on {augmented}."


def _as_read(settings: Imaging, store: Store, rows: np.ndarray) -> Iterator[tuple[int, Picture]]:
    """Some of the images as their files hold them, with their place among `rows`."""
    from medical.imaging.prepare import collect

    collection = collect(settings)
    places = {name: row for row, name in enumerate(collection.index.column("image").to_pylist())}
    names = store.rows(TEST).column("image").to_pylist()
    for place in np.unique(np.linspace(0, len(rows) - 1, AS_READ).round().astype(int)).tolist():
        yield place, collection.read(places[names[rows[place]]])


def _summary(
    settings: Imaging,
    run: Path,
    facts: Facts,
    learned: dict[str, Any],
    evaluation: Evaluation,
    exported: Exported,
    ours: dict[str, object],
) -> dict[str, object]:
    """`metrics.json`, but for parity."""
    test = {name: {key: value.to_json() for key, value in found.items()} for name, found in evaluation.test.items()}
    baseline = {"size_bytes": (run / "baseline.json").stat().st_size, "engine": "numpy"}

    def variant(name: str, label: str, weight: dict[str, object]) -> dict[str, object]:
        return {"label": label, "test": test[name], "validation": evaluation.validation.get(name, {}), **weight}

    members, form = len(exported.members), exported.members[0].form
    return {
        **about(run),
        "primary": evaluation.primary,
        "chosen": OURS,
        "seed": settings.seed,
        "headline": _headline(facts, evaluation),
        "variants": {
            BASELINE: variant(BASELINE, "Logistic regression on image statistics", baseline),
            OURS: variant(OURS, form.name if members == 1 else f"{members} x {form.name}", ours),
        },
        "decision": learned["decisions"][OURS],
        "plan": learned.get("plan"),
        "audit": {"failed": False, "findings": json.loads((run / "audit.json").read_text(encoding="utf-8"))},
    }


def _headline(facts: Facts, found: Evaluation) -> list[dict[str, str]]:
    """The three figures that matter."""
    ours, baseline = found.test[OURS], found.test[BASELINE]
    figures = []
    if "auc" in ours:
        than = f"; baseline: {baseline['auc'].value:.3f}" if "auc" in baseline else ""
        figures.append({"name": "test AUC", "text": _ranged(ours["auc"]) + than})
    point = found.operating.get(facts.labels[-1]) if found.task == "binary" else None
    if point is not None and point.sensitivity is not None and point.specificity is not None:
        text = f"{_ranged(point.sensitivity)}, specificity {_ranged(point.specificity)}"
        figures.append({"name": "sensitivity", "text": text})
    elif "accuracy" in ours:
        figures.append({"name": "accuracy", "text": _ranged(ours["accuracy"])})
    left = []
    if found.selective is not None:
        left.append(f"{percent(found.selective.referred.value)} of {found.level}s referred to a person")
    if found.foreign is not None:
        left.append(f"{percent(found.foreign.refused.value)} refused as foreign")
    if found.conformal is not None:
        left.append(f"sets hold the truth in {percent(found.conformal.coverage.value)}")
    figures.append({"name": "left open", "text": ", ".join(left) or "nothing"})
    return figures


def _ranged(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
