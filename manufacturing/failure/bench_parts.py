"""What each part of ours brings, in `lepton bench failure`: one change at a time, on training engines held out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from statistics import mean

import numpy as np

from lepton_solutions.bench import Cell, Row, interval
from lepton_solutions.data.splits import TRAIN
from manufacturing.failure.bench_engines import BOTH, NETWORK, TREES, answer, engines, scores
from manufacturing.failure.fleet import Fleet

HELD = {f"{name}, held-out training engines": name for name in ("fd001", "fd002")}
FOLDS, FOLD_SEED, CUTS = 4, 100, 8  # a quarter of the engines is held out, each cut at 8 random cycles
ABLATIONS: dict[str, dict[str, object]] = {
    NETWORK: {},
    BOTH: {},
    "trees alone": {},
    "network without the averages": {"inputs.smoothing": 0},
    "network without noise on the inputs": {"model.noise": 0},
    "lstm": {"model.name": "lstm"},
    "lstm without the averages": {"model.name": "lstm", "inputs.smoothing": 0},
    "tcn": {"model.name": "tcn", "model.layers": 4},
    "network without regimes": {"inputs.regimes": 1},
}
MEASURED = {
    "fd001, held-out training engines": [name for name in ABLATIONS if name != "network without regimes"],
    "fd002, held-out training engines": [NETWORK, BOTH, "trees alone", "network without regimes"],
}
CELLS = [Cell(task, name, fold) for fold in range(FOLDS) for task, names in MEASURED.items() for name in names]
ABOUT = """
- The ablation is measured on held-out training engines, four folds of one seed, engines cut at random at
  least 5 cycles before their failure; its intervals are over folds. Its figures compare with each other, not with those
  of test engines.
"""


def measure(task: str, name: str, fold: int) -> dict[str, object]:
    """The network with one change, on a quarter of the training engines, at random cycles."""
    settings, fleet = engines(HELD[task], **ABLATIONS[name])
    engine = fleet.of_part(TRAIN)
    shuffled = np.random.default_rng(FOLD_SEED).permutation(engine.lives)
    out = np.sort(shuffled[fold::FOLDS])
    fitted, held = engine.take(np.setdiff1d(np.arange(engine.lives), out)), engine.take(out)
    ends = cuts(held)
    start = time.perf_counter()
    models = {BOTH: (NETWORK, TREES), "trees alone": (TREES,)}.get(name, (NETWORK,))
    said = np.mean([answer(settings, fitted, held, ends, model, 0) for model in models], axis=0)
    seconds = time.perf_counter() - start
    return {"fit_seconds": seconds, "predicted": said.round(4).tolist(), "remaining": held.remaining()[ends].tolist()}


def cuts(fleet: Fleet) -> np.ndarray:
    """Rows at which a life might be seen for the last time: 8 a life, from a quarter of it on."""
    chance, found = np.random.default_rng(7), []
    for begin, end in zip(fleet.starts[:-1].tolist(), fleet.starts[1:].tolist(), strict=True):
        found.append(begin + chance.integers(max((end - begin) // 4, 20), end - begin - 5, CUTS))
    return np.concatenate(found)


def rows(records: Mapping[Cell, dict]) -> Iterator[Row]:
    """Of the changes that are measured."""
    for task, name in [(task, name) for task, names in MEASURED.items() for name in names]:
        found = [record for cell, record in records.items() if (cell.task, cell.model) == (task, name)]
        if found:
            each = _by_fold(records, task, name).tolist()
            value, low, high = interval(each) if len(each) > 1 else (each[0], None, None)
            seconds, peak = mean(one["fit_seconds"] for one in found), max(one["peak_mb"] for one in found)
            ours = name in (NETWORK, BOTH)
            yield Row(task, name, ours, "rmse", value, low, high, len(each), seconds, peak, "measured here")


def conclusions(records: Mapping[Cell, dict]) -> str:
    """What each change costs, in cycles of RMSE."""
    lines = [
        "| held-out training engines | RMSE | against ours | paired standard error |",
        "| --- | ---: | ---: | ---: |",
    ]
    for task, names in MEASURED.items():
        each = {name: found for name in names if len(found := _by_fold(records, task, name)) == FOLDS}
        for name, found in each.items():
            if BOTH in each:
                gap = found - each[BOTH]
                error = gap.std(ddof=1) / FOLDS**0.5
                told = f"{found.mean():.2f} | {gap.mean():+.2f} | {error:.2f}"
                lines.append(f"| {HELD[task].upper()}, {name} | {told} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _by_fold(records: Mapping[Cell, dict], task: str, name: str) -> np.ndarray:
    found = [records[Cell(task, name, fold)] for fold in range(FOLDS) if Cell(task, name, fold) in records]
    return np.array([scores(np.array(one["predicted"]), np.array(one["remaining"]))["rmse"] for one in found])
