"""Prepared images for tests, as the prepare stage leaves them: made here, of a bright spot that one class has."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from lepton_solutions.data.cache import cache_folder
from lepton_solutions.data.splits import PARTS
from medical.imaging.store import Facts, PartFacts, Store, Task

COUNTS = {"train": 96, "validation": 32, "calibration": 40, "test": 32}


def spots(n: int, size: tuple[int, ...], classes: np.ndarray, *, seed: int) -> np.ndarray:
    """Noise around 60, with a spot the brighter the higher the class: uint8 [n, 1, *size]."""
    draw = np.random.default_rng(seed)
    pixels = draw.normal(60, 12, (n, 1, *size))
    for image, code in zip(pixels, classes, strict=True):
        corner = [draw.integers(1, side - 6) for side in size]
        image[(0, *[slice(at, at + 5) for at in corner])] += 60.0 * code
    return pixels.clip(0, 255).astype(np.uint8)


def stored(
    run: Path,
    task: Task = "binary",
    *,
    size: tuple[int, ...] = (20, 20),
    labels: int = 2,
    unknown: int = 0,
    seed: int = 0,
) -> Store:
    """A run folder with prepared images. unknown: train images without a label; of several, without the first."""
    run.mkdir(parents=True, exist_ok=True)
    key = "test-" + hashlib.sha256(repr((task, size, labels, unknown, seed)).encode()).hexdigest()[:16]
    place = cache_folder() / key
    place.mkdir(parents=True, exist_ok=True)
    columns: dict[str, list] = {name: [] for name in ("image", "patient", "study", "site", "part", "row")}
    codes_of: dict[str, list] = {}
    parts = {}
    for part, name in enumerate(PARTS):
        n = COUNTS[name]
        draw = np.random.default_rng([seed, part])
        codes = np.arange(n) % labels
        draw.shuffle(codes)
        pixels = spots(n, size, codes, seed=seed + part)
        np.save(place / f"{name}.npy", pixels)
        columns["image"] += [f"{name}/{i}" for i in range(n)]
        columns["patient"] += [f"{name}-{i // 2}" for i in range(n)]
        for empty in ("study", "site"):
            columns[empty] += [None] * n
        columns["part"] += [part] * n
        columns["row"] += list(range(n))
        gone = unknown if name == "train" else 0
        if task == "multilabel":
            held = [(codes >= k).astype(float) for k in range(1, labels + 1)]
            for k in range(labels):
                answers = (codes > k).astype(float) if k < labels - 1 else held[0]
                column: list[float | None] = answers.tolist()
                column[:gone] = [None] * gone if k == 0 else column[:gone]
                codes_of.setdefault(f"label_{k}", []).extend(column)
        else:
            column = codes.tolist()
            column[n - gone :] = [None] * gone
            codes_of.setdefault("label", []).extend(column)
        parts[name] = PartFacts(
            images=n, unknown=gone, patients=n // 2, labels=np.bincount(codes, minlength=labels).tolist()
        )
    share = np.load(place / "train.npy") / 255
    types = {"part": pa.int8(), "row": pa.int64(), "label": pa.int64()}
    arrays = {
        name: pa.array(values, types.get(name, pa.float64() if name.startswith("label_") else pa.string()))
        for name, values in {**columns, **codes_of}.items()
    }
    facts = Facts(
        source="spots", task=task, labels=[f"class {k}" for k in range(labels)], channels=1, dims=len(size), size=size,
        spacing=None, resized=True, fill=0.0, kind="bytes", file_window=False, low=0.0, high=255.0,
        mean=[float(share.mean())], std=[float(share.std())], level="image", group=None, published_split=False,
        modality=None, licence=None, cite=None, images=sum(COUNTS.values()), parts=parts, unread=[],
        notes=[], cache=key,
    )  # fmt: skip
    store = Store(facts, pa.table(arrays))
    store.write(run)
    return store


def imaging_settings(*overrides: str):
    """`conf/medical/imaging.yaml` with changes, short enough for a test."""
    from lepton_solutions.config import read_jobs

    quick = (
        "fit.epochs=6",
        "fit.batch_size=16",
        "fit.plan=eager",
        "fit.logger=none",
        "fit.device=cpu",
        "model.width=8",
    )
    (job,) = read_jobs("medical/imaging", [*quick, *overrides], multirun=False)
    return job.settings
