"""How far does one get without looking closely? Logistic regression on a thumbnail and plain statistics of the image.

    baseline = fit_baseline(store, seed=0)
    baseline.logit(pixels)          # the same shape as the network's output

Whatever a network adds to this, it has seen; where it adds nothing, a shortcut may be all there is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lepton_solutions.files import write_json

if TYPE_CHECKING:
    from medical.imaging.store import Store

BASELINE = "baseline.json"
TILES = {2: 8, 3: 4}  # a side of the thumbnail
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)  # inverse strengths, of which validation chooses
MOST = 20_000  # images to learn from
AT_ONCE = 2**18  # values of a chunk: bounds the memory of the layers between, and keeps them in the cache
RARE = 1e-3  # share that a label nobody has is given


@dataclass(frozen=True)
class Baseline:
    """figures -> (figures - mean) / std -> weight [outputs, figures] and bias [outputs]."""

    task: str
    low: float
    high: float
    penalty: float
    mean: np.ndarray
    std: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def logit(self, pixels: np.ndarray) -> np.ndarray:
        """Of stored pixels [n, c, *size]: float64 [n] binary, else [n, outputs], as the network's."""
        return self.of_figures(figures(pixels, self.low, self.high))

    def of_figures(self, found: np.ndarray) -> np.ndarray:
        logit = (found - self.mean) / self.std @ self.weight.T + self.bias
        return np.asarray(logit[:, 0] if self.task == "binary" else logit)

    def write(self, file: Path) -> None:
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "std", "weight", "bias")}
        facts = {"task": self.task, "low": self.low, "high": self.high, "penalty": self.penalty}
        write_json(file, {**facts, **arrays})

    @classmethod
    def read(cls, file: Path) -> Baseline:
        saved = json.loads(file.read_text(encoding="utf-8"))
        arrays = {name: np.asarray(saved[name], dtype=np.float64) for name in ("mean", "std", "weight", "bias")}
        return cls(**{**saved, **arrays})


def baseline_logits(run: Path, pixels: np.ndarray) -> np.ndarray:
    """What the baseline of a run says of stored pixels."""
    return Baseline.read(run / BASELINE).logit(pixels)


def fit_baseline(store: Store, *, seed: int) -> Baseline:
    """On the train part; the validation part chooses how strongly it is held back."""
    from lepton_solutions.data.splits import TRAIN, VALIDATION
    from medical.imaging.scores import area

    facts = store.facts
    pixels, target = store.pixels(TRAIN), store.target(TRAIN)
    rows = np.flatnonzero(target >= 0) if target.ndim == 1 else np.arange(len(target))
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
    learned, target = figures(pixels, facts.low, facts.high, rows), target[rows]
    judged, truth = figures(store.pixels(VALIDATION), facts.low, facts.high), store.target(VALIDATION)
    mean, std = learned.mean(0), np.maximum(learned.std(0), 1e-6)
    best: tuple[float, Baseline] | None = None
    for penalty in PENALTIES:
        weight, bias = _fitted((learned - mean) / std, target, facts.task, len(facts.labels), penalty)
        found = Baseline(facts.task, facts.low, facts.high, penalty, mean, std, weight, bias)
        score = area(facts.task, found.of_figures(judged), truth)
        if best is None or score > best[0]:
            best = score, found
    assert best is not None
    return best[1]


def figures(pixels: np.ndarray, low: float, high: float, rows: np.ndarray | None = None) -> np.ndarray:
    """A thumbnail of each channel and the `statistics` of the image, float64 [n, figures]."""
    import torch

    from lepton_solutions.models.resample import resize
    from medical.imaging.foreign import statistics

    dims = pixels.ndim - 2
    found = []
    for chunk in chunks(pixels, rows):
        share = ((torch.from_numpy(chunk).float() - low) / (high - low)).clamp(0, 1)
        small = resize(share, [TILES[dims]] * dims).flatten(1)
        found.append(torch.cat([small, statistics(share)], 1).double().numpy())
    return np.concatenate(found)


def chunks(pixels: np.ndarray, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Images in order, as copies in memory of a bounded size. rows: which of them, ascending; all."""
    size = max(1, AT_ONCE // math.prod(pixels.shape[1:]))
    for start in range(0, len(pixels) if rows is None else len(rows), size):
        yield np.array(pixels[start : start + size] if rows is None else pixels[rows[start : start + size]])


def _fitted(x: np.ndarray, target: np.ndarray, task: str, labels: int, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights [outputs, figures] and biases [outputs]."""
    from sklearn.linear_model import LogisticRegression

    if task == "multiclass":
        present = np.unique(target)
        weight, bias = np.zeros((labels, x.shape[1])), np.full(labels, math.log(RARE))
        if len(present) == 1:
            bias[present[0]] = 0.0
        elif len(present) == 2:  # scikit-learn gives the log-odds of the second
            model = LogisticRegression(C=penalty, max_iter=500).fit(x, target)
            weight[present[1]], bias[present[1]], bias[present[0]] = model.coef_[0], model.intercept_[0], 0.0
        else:
            model = LogisticRegression(C=penalty, max_iter=500).fit(x, target)
            weight[present], bias[present] = model.coef_, model.intercept_
        return weight, bias
    if task == "ordinal":
        target = (target[:, None] > np.arange(labels - 1)).astype(float)
    columns = target[:, None] if target.ndim == 1 else target
    found = [_binary(x, column, penalty) for column in columns.T]
    return np.stack([weight for weight, _ in found]), np.array([bias for _, bias in found])


def _binary(x: np.ndarray, column: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression

    known = np.isfinite(column)
    if len(np.unique(column[known])) < 2:
        share = float(np.clip(column[known].mean() if known.any() else 0.5, RARE, 1 - RARE))
        return np.zeros(x.shape[1]), math.log(share / (1 - share))
    model = LogisticRegression(C=penalty, max_iter=500).fit(x[known], column[known])
    return model.coef_[0], float(model.intercept_[0])
