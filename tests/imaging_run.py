"""The folder of an imaging run, as the stages before the report write it, of a made-up model of some skill."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lepton_solutions.config import read_jobs
from lepton_solutions.data.cache import cache_folder
from lepton_solutions.data.splits import CALIBRATION, PARTS, TEST, VALIDATION
from lepton_solutions.files import write_json
from medical.imaging.explain import explain
from medical.imaging.fitting import fit_decision
from medical.imaging.judge import answered, judge
from medical.imaging.measure import predictions_table
from medical.imaging.networks import Form, ImageNetwork, outputs_for
from medical.imaging.phantom import Phantoms
from medical.imaging.settings import Imaging
from medical.imaging.store import Facts, PartFacts, Store

LABELS = {
    "binary": ["no lesion", "lesion"],
    "multiclass": ["adenocarcinoma", "large cell carcinoma", "normal", "squamous cell carcinoma"],
    "multilabel": ["atelectasis", "cardiomegaly", "effusion", "nodule", "pneumothorax"],
    "ordinal": ["none", "mild", "moderate", "severe"],
}
SKILLS = {"trained": 2.6, "baseline": 0.6}


def settings(*overrides: str) -> Imaging:
    (job,) = read_jobs("medical/imaging", list(overrides), multirun=False)
    assert isinstance(job.settings, Imaging)
    return job.settings


def toy_store(
    task: str = "binary", *, dims: int = 2, level: str = "patient", side: int = 32, patients: int = 200
) -> Store:
    """Phantoms in four equal parts; but for `binary` the labels are drawn, and the pictures tell nothing of them."""
    phantoms = Phantoms(side=side, dims=dims, patients=patients)
    owner, n = phantoms.patient, len(phantoms.patient)
    part = (owner * 4 // patients).astype(np.int8)
    g = np.random.default_rng(0)
    columns: dict[str, object] = {
        "image": [f"phantom/{row}" for row in range(n)],
        "patient": [f"p{who}" for who in owner],
        "study": [None] * n,
        "site": [["north", "south"][place] for place in phantoms.site],
        "sex": [["f", "m"][place] for place in phantoms.sex],
        "age": phantoms.age.astype(float),
        "part": pa.array(part),
        "row": np.concatenate([np.arange((part == number).sum()) for number in range(4)]),
    }
    names = LABELS[task]
    if task == "binary":
        columns["label"] = pa.array(phantoms.label)
        columns |= {f"lesion_{axis}": phantoms.lesions[:, axis] for axis in range(dims + 1)}
    elif task == "multilabel":
        found = g.random((patients, len(names))) < np.linspace(0.1, 0.5, len(names))
        columns |= {f"label_{label}": found[owner, label].astype(float) for label in range(len(names))}
    else:
        columns["label"] = pa.array(g.integers(0, len(names), size=patients)[owner])
    folder = cache_folder() / f"report-{task}-{dims}"
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(PARTS):
        rows = np.flatnonzero(part == number)
        shown = [phantoms.image(row) if number == TEST else np.full((1, *[side] * dims), row, np.int16) for row in rows]
        np.save(folder / f"{name}.npy", np.stack(shown).astype(np.float32))
    counts = [
        PartFacts(
            images=int((part == number).sum()), unknown=0, patients=len(np.unique(owner[part == number])), labels=[]
        )
        for number in range(4)
    ]
    facts = Facts(
        source="phantoms",
        task=task,
        labels=names,
        channels=1,
        dims=dims,
        size=(side,) * dims,
        spacing=None,
        resized=False,
        fill=-1024,
        kind="units",
        file_window=False,
        low=-160,
        high=240,
        mean=[0.3],
        std=[0.3],
        level=level,
        group="patient",
        published_split=False,
        modality="simulated CT",
        licence="Apache-2.0",
        cite=None,
        images=n,
        parts=dict(zip(PARTS, counts, strict=True)),
        unread=[],
        notes=[],
        cache=folder.name,
    )
    return Store(facts, pa.table(columns))


def toy_logits(store: Store, part: int, *, skill: float) -> np.ndarray:
    """What a model of some skill says about the images of a part."""
    g = np.random.default_rng([part, int(10 * skill)])
    y = np.nan_to_num(store.target(part).astype(float)).clip(0)
    classes = len(store.facts.labels)
    if store.facts.task == "multiclass":
        return g.normal(skill * np.eye(classes)[y.astype(int)], 1.5)
    if store.facts.task == "ordinal":
        return 2 * ((y + g.normal(0, 2 / (1 + skill), size=len(y)))[:, None] - np.arange(classes - 1) - 0.5)
    return g.normal(skill * (y - 0.5), 1.5)


def toy_network(store: Store, *, seed: int = 0) -> ImageNetwork:
    """Untrained, of two convolutions."""
    facts = store.facts
    torch.manual_seed(seed)
    convolution = torch.nn.Conv2d if facts.dims == 2 else torch.nn.Conv3d
    trunk = torch.nn.Sequential(
        convolution(facts.channels, 6, 5, stride=2, padding=2),
        torch.nn.ReLU(),
        convolution(6, 8, 3, padding=1),
        torch.nn.ReLU(),
    )
    outputs = outputs_for(facts.task, len(facts.labels))
    form = Form("small", 8, 0.0, facts.task, outputs, facts.channels, facts.size, facts.low, facts.high)
    return ImageNetwork(trunk, 8, form, mean=torch.tensor(facts.mean), std=torch.tensor(facts.std)).eval()


def write_run(run: Path, store: Store, asked: Imaging, *, network: ImageNetwork | None = None) -> None:
    """data.json, evaluation.json, predictions.parquet, explained.npz and metrics.json."""
    run.mkdir(parents=True, exist_ok=True)
    store.write(run)
    before = {
        f"{name}/{PARTS[part]}": toy_logits(store, part, skill=skill)
        for name, skill in SKILLS.items()
        for part in (VALIDATION, CALIBRATION)
    }
    distance = {part: np.random.default_rng(part).gamma(4, size=len(store.units(part))) for part in (CALIBRATION, TEST)}
    decisions = {
        name: fit_decision(
            asked.decision,
            task=store.facts.task,
            labels=store.facts.labels,
            level=store.facts.level,
            logit=before[f"{name}/calibration"],
            distance=distance[CALIBRATION] if name == "trained" else None,
            target=store.target(CALIBRATION),
            units=store.units(CALIBRATION),
        )
        for name in SKILLS
    }
    logit = {name: toy_logits(store, TEST, skill=skill) for name, skill in SKILLS.items()}
    answers = decisions["trained"].decide(logit["trained"], distance[TEST], store.units(TEST))
    examined = answered(store, decisions, logit)
    evaluation = judge(asked, store, examined, answers, before)
    write_json(run / "evaluation.json", evaluation.model_dump(mode="json"))
    predictions = predictions_table(store, examined, answers)
    pq.write_table(predictions, run / "predictions.parquet")
    explain(network or toy_network(store), store, predictions, run / "explained.npz")
    write_json(run / "metrics.json", _metrics(json.loads(evaluation.model_dump_json())))


def _metrics(evaluation: dict) -> dict:
    labels = {"trained": "small", "baseline": "Logistic regression on image statistics"}
    weight = {"size_bytes": 412_000, "latency_ms": {"p50": 1.21, "p95": 1.9}, "engine": "onnxruntime"}
    near = {"level": "warning", "check": "duplicates", "message": "4 images of the test part lie in `train` too"}
    return {
        "pipeline": "medical/imaging",
        "primary": "auc",
        "chosen": "trained",
        "command": "lepton run medical/imaging",
        "seed": 0,
        "variants": {
            name: {"label": label, "test": evaluation["test"][name], **weight} for name, label in labels.items()
        },
        "audit": {"failed": False, "findings": [near]},
        "parity": {
            "rows": 120,
            "largest_difference": 2.3e-6,
            "flipped": 0,
            "cases": [{"case": "stored images", "rows": 120, "largest_difference": 2.3e-6, "flipped": 0}],
        },
        "seconds": {"prepare": 1.2, "train": 63.0, "evaluate": 2.1, "export": 8.0},
        "environment": {"python": "3.11.9", "torch": "2.9.0"},
    }
