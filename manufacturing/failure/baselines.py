"""What is to be beaten: simple models over what a window says in a few numbers, and the life a machine has on average.

A baseline answers as the network does: remaining life [n, 1], the probability of a failure within the horizon [n, 1],
or that of each class [n, classes].
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch import Tensor

from lepton_solutions.data.series import windows_at
from lepton_solutions.files import write_json
from lepton_solutions.models.boosting import float_thresholds, trees_graph
from manufacturing.failure.exported import raw_answer
from manufacturing.failure.fleet import Fleet, Question
from manufacturing.failure.signals import summary_of_signal

if TYPE_CHECKING:
    from lightgbm import Booster

Floats = NDArray[np.float64]
AT_ONCE = 200_000  # rows of windows that are looked at at once
MOST = 100_000  # rows that a baseline learns from
LABELS = {
    "average_life": "Average life less age",
    "linear": "Linear model on window features",
    "lightgbm": "LightGBM on window features",
}
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)  # of the linear model, chosen on validation rows
LEAVES = (7, 15, 31)  # of LightGBM's trees, chosen on validation rows


@dataclass(frozen=True)
class Seen:
    """What a baseline reads of rows. summary: float32 [n, columns]; age: [n], since the life began."""

    summary: NDArray[np.float32]
    age: Floats


def seen(features: Tensor, first: Tensor, fleet: Fleet, ends: NDArray[np.int64], *, window: int, sensors: int) -> Seen:
    """Of the windows that end at these rows. sensors: the first so many features are readings."""
    look = summary_of_signal if fleet.vibration else summary_of
    parts = [look(windows_at(features, first, some, window), sensors) for some in chunks(ends, window)]
    begin = fleet.time[fleet.starts[:-1]]
    return Seen(torch.cat(parts).numpy(), fleet.time[ends] - begin[fleet.life_of_row()[ends]])


def chunks(ends: NDArray[np.int64], window: int) -> Sequence[Tensor]:
    """The rows that windows end at, in parts that fit the cache."""
    return torch.from_numpy(ends).split(max(1, AT_ONCE // window))


def summary_of(windows: Tensor, sensors: int) -> Tensor:
    """Of each window [n, W, F]: its last row of features, and of each sensor the mean and the slope per window."""
    # Trees jump at a threshold, so both sides of an export must find the same floats: sums in double hardly depend on
    # their order, and those of differences to the last row are exactly 0 for what stands still.
    last, window = windows[:, -1], windows.shape[1]
    moved = (windows[:, :, :sensors] - last[:, None, :sensors]).double()
    centred = torch.linspace(-1, 1, window, dtype=torch.float64) if window > 1 else torch.zeros(1, dtype=torch.float64)
    slope = centred / (centred**2).sum().clamp(min=1.0)
    mean, drift = moved.mean(1), (moved * slope[None, :, None]).sum(1)
    return torch.cat([last, last[:, :sensors] + mean.float(), drift.float()], 1)


class Baseline(Protocol):
    """Answers rows; `save` into a folder of its own, from which `load_baseline` brings it back."""

    def answer(self, rows: Seen) -> Floats: ...

    def save(self, folder: Path) -> None: ...


@dataclass(frozen=True)
class AverageLife:
    """A life of the train part is this long; what is left of it, never below 0. cap: of any answer."""

    life: float
    cap: float

    def answer(self, rows: Seen) -> Floats:
        return np.clip(self.life - rows.age, 0, self.cap)[:, None]

    def save(self, folder: Path) -> None:
        _write(folder, "average_life", {"life": self.life, "cap": self.cap})


@dataclass(frozen=True)
class Linear:
    """Ridge or logistic regression of the standardised summary. weight: [columns, k], bias: [k]."""

    question: Question
    cap: float
    mean: Floats
    std: Floats
    weight: Floats
    bias: Floats

    def answer(self, rows: Seen) -> Floats:
        raw = (rows.summary - self.mean) / self.std @ self.weight + self.bias
        return raw_answer(self.question, torch.from_numpy(raw), self.cap).numpy()

    def save(self, folder: Path) -> None:
        _write(folder, "linear", {"question": self.question, "cap": self.cap})
        arrays = {"mean": self.mean, "std": self.std, "weight": self.weight, "bias": self.bias}
        np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)


@dataclass(frozen=True)
class Trees:
    """LightGBM over the summary. text: the model as LightGBM writes it; sensors: as `summary_of` has them."""

    question: Question
    cap: float
    sensors: int
    text: str

    @cached_property
    def booster(self) -> Booster:
        import lightgbm  # here because it takes seconds

        return lightgbm.Booster(model_str=self.text)

    @property
    def outputs(self) -> int:
        """Trees of a round."""
        return self.booster.num_model_per_iteration()

    def answer(self, rows: Seen) -> Floats:
        return self.said(rows.summary)

    def summary(self, windows: Tensor) -> Tensor:
        """[n, columns] of windows [n, W, F]."""
        return summary_of(windows, self.sensors)

    def said(self, summary: NDArray[np.float32] | Tensor) -> Floats:
        """[n, k] of summaries [n, columns]."""
        raw = np.asarray(self.booster.predict(np.asarray(summary), raw_score=True)).reshape(len(summary), -1)
        return raw_answer(self.question, torch.from_numpy(raw), self.cap).numpy()

    def graph(self) -> ModelProto:
        """ONNX: `summary` [n, columns] to `raw` [n, outputs]."""
        return trees_graph(self.text, "summary", "raw")

    def save(self, folder: Path) -> None:
        _write(folder, "lightgbm", {"question": self.question, "cap": self.cap, "sensors": self.sensors})
        (folder / "trees.txt").write_text(self.text, encoding="utf-8")


def fit_baselines(
    question: Question,
    fleet: Fleet,
    fitted: tuple[Seen, NDArray],
    judged: tuple[Seen, NDArray],
    *,
    cap: float,
    sensors: int,
    seed: int,
    names: Sequence[str] = tuple(LABELS),
) -> dict[str, Baseline]:
    """By name. fitted, judged: train and validation rows with their target: remaining life up to the cap, 0 or 1, or a
    class. The strength of each is chosen on the validation rows.
    """
    found: dict[str, Baseline] = {}
    if question == "rul" and "average_life" in names:
        lives = fleet.failed_at - fleet.time[fleet.starts[:-1]]
        found["average_life"] = AverageLife(float(np.nanmean(lives)), cap)
    rows, target = _some(*fitted, seed)
    if "linear" in names:
        found["linear"] = _best(_linear(question, rows, target, cap), *judged)
    if "lightgbm" in names:
        found["lightgbm"] = _best(_trees(question, rows, target, judged, cap, sensors, seed), *judged)
    return found


def load_baseline(folder: Path) -> Baseline:
    """What `save` wrote."""
    kept = json.loads((folder / "baseline.json").read_text(encoding="utf-8"))
    kind = kept.pop("kind")
    if kind == "average_life":
        return AverageLife(**kept)
    if kind == "linear":
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            return Linear(**kept, **{name: arrays[name] for name in arrays.files})
    return Trees(**kept, text=(folder / "trees.txt").read_text(encoding="utf-8"))


def loss_of(question: Question, answer: Floats, target: NDArray) -> float:
    """The figure that chooses, smaller is better: root mean squared error, or the mean negative log-likelihood."""
    if question == "rul":
        return float(np.sqrt(((answer[:, 0] - target) ** 2).mean()))
    chance = answer[:, -1] if question == "failure" else answer[np.arange(len(target)), target.astype(np.int64)]
    if question == "failure":
        chance = np.where(target > 0, chance, 1 - chance)
    return float(-np.log(np.clip(chance, 1e-7, 1)).mean())


def _some(rows: Seen, target: NDArray, seed: int) -> tuple[Seen, NDArray]:
    if len(target) <= MOST:
        return rows, target
    chosen = np.sort(np.random.default_rng(seed).choice(len(target), MOST, replace=False))
    return Seen(rows.summary[chosen], rows.age[chosen]), target[chosen]


def _best(candidates: Sequence[Baseline], rows: Seen, target: NDArray) -> Baseline:
    question = candidates[0].question  # type: ignore[attr-defined]
    return min(candidates, key=lambda one: loss_of(question, one.answer(rows), target))


def _linear(question: Question, rows: Seen, target: NDArray, cap: float) -> list[Linear]:
    from sklearn.linear_model import LogisticRegression, Ridge

    mean, std = rows.summary.mean(0, dtype=np.float64), rows.summary.std(0, dtype=np.float64)
    std = np.where(std > 1e-6, std, 1.0)
    x, found = (rows.summary - mean) / std, []
    for penalty in PENALTIES:
        if question == "rul":
            model = Ridge(penalty).fit(x, target / cap)
            weight, bias = np.reshape(model.coef_, (-1, 1)), np.reshape(model.intercept_, 1)
        else:
            model = LogisticRegression(C=1 / penalty, max_iter=1000, tol=1e-3).fit(x, target)
            weight, bias = model.coef_.T, model.intercept_
        found.append(Linear(question, cap, mean, std, np.asarray(weight, float), np.asarray(bias, float)))
    return found


def _trees(
    question: Question,
    rows: Seen,
    target: NDArray,
    judged: tuple[Seen, NDArray],
    cap: float,
    sensors: int,
    seed: int,
) -> list[Trees]:
    import lightgbm

    scale = cap if question == "rul" else 1.0
    goal = {"rul": "regression", "failure": "binary"}.get(question, "multiclass")
    asked = {
        "objective": goal, "learning_rate": 0.05, "min_data_in_leaf": 20, "feature_fraction": 0.5,
        "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1.0, "seed": seed, "verbosity": -1,
        "num_threads": torch.get_num_threads(), "deterministic": True, "force_row_wise": True,
        **({"num_class": int(max(target.max(), judged[1].max())) + 1} if goal == "multiclass" else {}),
    }  # fmt: skip
    found = []
    for leaves in LEAVES:
        data = lightgbm.Dataset(rows.summary, target / scale)
        held = lightgbm.Dataset(judged[0].summary, judged[1] / scale, reference=data)
        stop = lightgbm.early_stopping(30, verbose=False)
        booster = lightgbm.train(asked | {"num_leaves": leaves}, data, 600, valid_sets=[held], callbacks=[stop])
        text = float_thresholds(booster.model_to_string(num_iteration=booster.best_iteration))
        found.append(Trees(question, cap, sensors, text))
    return found


def _write(folder: Path, kind: str, facts: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "baseline.json", {"kind": kind, **facts})
