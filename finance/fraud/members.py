"""The models of the fraud pipeline behind one interface: how each is fitted, kept and found again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch import Tensor, nn

from finance.fraud.detectors import Detector, Kind, fit_detector, telling
from finance.fraud.features import OF_LAST
from finance.fraud.sequence import SequenceModel, fit_sequence
from finance.fraud.settings import Fraud
from lepton_solutions import metrics, tasks
from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.decision import sigmoid
from lepton_solutions.data.prepare import Sample
from lepton_solutions.models.boosting import Boosting, Trees, fit_boosting
from lepton_solutions.models.combination import Combination
from lepton_solutions.models.graphs import export_torch
from lepton_solutions.models.linear import Additive, fit_logistic
from lepton_solutions.models.mlp import TabularMLP
from lepton_solutions.settings import Fit
from lepton_solutions.training.select import combined
from lepton_solutions.training.tabular import fit_mlp

OURS = "trained"  # the combination, which ships
COMBINED = ("mlp", "sequence", "lightgbm")
SIMPLE = ("logistic", "lightgbm")  # the baselines, one of which is `baseline`
FOREST = "isolation_forest"
LABELS = {
    "mlp": "MLP with anomaly scores",
    "sequence": "Recurrent network over the last payments",
    "lightgbm": "LightGBM",
    "logistic": "Logistic regression",
    "autoencoder": "Autoencoder",
    "variational": "Variational autoencoder",
    "one_class": "One-class network",
    FOREST: "Isolation forest",
}
MANY, PENALTY = 50_000, 1e-5  # of so many rows the logistic regression takes any weak penalty, and none is chosen
GOOD_ROWS = 100_000  # that the network and the logistic regression learn from; all frauds beside them
# Settled on the Handbook's payments of weeks before those reported: 2,000 bins find the edges of sharp rules, such as
# an amount of 220, which 255 miss.
TREES = Trees(rounds=300, learning_rate=0.03, leaves=31, leaf_rows=20, feature_share=0.5, l2=5.0, bins=2000)


class Scores(Protocol):
    """What can put transactions in order."""

    def logit(self, rows: Rows) -> NDArray[np.float64]:
        """[n], more is more suspicious; log-odds of a fraud where frauds were learned."""


class FraudNet:
    """The network on the rows and on what detectors say of them."""

    def __init__(self, detectors: Sequence[Detector], mlp: TabularMLP) -> None:
        self.detectors, self.mlp = list(detectors), mlp

    def logit(self, rows: Rows) -> NDArray[np.float64]:
        """Log-odds of a fraud, float64 [n]."""
        return self.mlp.logit(with_scores(self.detectors, rows))

    def graph(self) -> ModelProto:
        """Detectors and network as one ONNX graph of the rows."""
        p, q = self.mlp.net.inputs.reads
        return export_torch(_Together(self.detectors, self.mlp.net), p=p - len(self.detectors), q=q)

    def save(self, folder: Path) -> None:
        """Writes a file a detector, their names, and the network's weights."""
        self.mlp.save(folder)
        for detector in self.detectors:
            detector.save(folder)
        kinds = [detector.kind for detector in self.detectors]
        (folder / "detectors.json").write_text(json.dumps(kinds), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> FraudNet:
        """The inverse of `save`."""
        kinds: list[Kind] = json.loads((folder / "detectors.json").read_text(encoding="utf-8"))
        return cls([Detector.load(folder, kind) for kind in kinds], TabularMLP.load(folder))


class _Together(nn.Module):
    def __init__(self, detectors: Sequence[Detector], net: nn.Module) -> None:
        super().__init__()
        self.detectors, self.net = nn.ModuleList(detectors), net

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        said = [detector(numeric).unsqueeze(1) for detector in self.detectors]
        out: Tensor = self.net(torch.cat([numeric, *said], dim=1), codes)
        return out


Model = FraudNet | SequenceModel | Boosting | Additive | Combination


def logits(models: Mapping[str, Scores], rows: Rows) -> dict[str, NDArray[np.float64]]:
    """What each model says, [n]. A combination comes after its members, which are not asked again for it."""
    found: dict[str, NDArray[np.float64]] = {}
    for name, model in models.items():
        members = list(model.models) if isinstance(model, Combination) else None
        found[name] = model.logit(rows) if members is None else np.mean([found[one] for one in members], axis=0)
    return found


def with_scores(detectors: Sequence[Detector], rows: Rows) -> Rows:
    """The rows with a numeric column more for each detector."""
    said = [detector.logit(rows).astype(np.float32)[:, None] for detector in detectors]
    return Rows(np.hstack([rows.numeric, *said]), rows.codes)


def fit_networks(
    settings: Fraud,
    columns: Columns,
    extras: Columns,
    fitted: Sample,
    validation: Sample | None,
    *,
    stake: NDArray[np.float64],
    names: Sequence[str] = ("mlp", "sequence"),
    detectors: dict[str, Detector] | None = None,
    watch: Callable[[float, str], None] = lambda share, text: None,
    folder: Path | None = None,
) -> tuple[dict[str, Model], dict[str, Detector]]:
    """The named networks and the detectors, which are fitted unless given. extras: of `columns`, those behind the
    histories. stake: [n], amounts of the fitted rows, in units of money. watch: share done and a line of text. folder:
    of the courses of networks, one each.

    `sequence` is a model only where last payments are columns, `model.sequence`.
    """
    if detectors is None:
        places = telling([column.name for column in columns.numeric], extras.names)
        good, detectors = fitted.rows.numeric[fitted.target == 0], {}
        for number, kind in enumerate(settings.model.anomaly):
            watch(0.05 * number, LABELS[kind])
            detectors[kind] = fit_detector(kind, good, places, settings.fit, seed=settings.seed + number)
    few, rows = thinned(fitted, settings.seed)
    if settings.model.loss == "cost":
        few = replace(few, weight=few.weight * at_stake(few.target, stake[rows]))
    models: dict[str, Model] = {}
    if "mlp" in names:
        models["mlp"] = _network(
            settings, columns, list(detectors.values()), few, validation,
            watch=lambda share, text: watch(0.15 + 0.4 * share, f"mlp, {text}"), folder=folder and folder / "mlp",
        )  # fmt: skip
    if "sequence" in names and settings.model.sequence:
        end = len(columns.numeric) - len(extras.numeric)
        models["sequence"] = fit_sequence(
            few, columns=columns, last=slice(end - len(OF_LAST) * settings.model.sequence, end),
            shape=settings.model, settings=_patient(settings, validation), seed=settings.seed, task=_task(settings),
            judge=None if validation is None else partial(_judged, validation, validation.rows),
            watch=lambda share, text: watch(0.55 + 0.4 * share, f"sequence, {text}"),
            folder=folder and folder / "sequence",
        )  # fmt: skip
    return models, detectors


def fit_simple(
    settings: Fraud,
    columns: Columns,
    fitted: Sample,
    validation: Sample | None,
    *,
    threads: int,
    names: Sequence[str] = SIMPLE,
) -> dict[str, Model]:
    """The named of LightGBM and the logistic regression. Draws nothing from PyTorch, so it may run beside networks."""
    models: dict[str, Model] = {}
    if "lightgbm" in names:
        judged = None if validation is None else (validation.rows, validation.target, validation.weight)
        models["lightgbm"] = fit_boosting(
            fitted.rows, fitted.target, fitted.weight, columns=columns, seed=settings.seed, validation=judged,
            trees=TREES, threads=threads,
        )  # fmt: skip
    if "logistic" in names:
        few, _ = thinned(fitted, settings.seed)
        models["logistic"] = fit_logistic(
            few.rows, few.target, few.weight, columns=columns, seed=settings.seed,
            penalty=PENALTY if len(few.target) > MANY else None, bent=False,
        )  # fmt: skip
    return models


@contextmanager
def half_the_threads() -> Iterator[int]:
    """That many for PyTorch inside, and as many are left for what runs beside it: networks of this size gain nothing
    from a second core.
    """
    before = torch.get_num_threads()
    half = max(1, before // 2)
    torch.set_num_threads(half)
    try:
        yield half
    finally:
        torch.set_num_threads(before)


def thinned(fitted: Sample, seed: int) -> tuple[Sample, NDArray[np.int64]]:
    """All frauds and up to 100,000 good rows, in order, which then weigh more, and their positions. Frauds are rare, so
    nearly all they teach is in such a sample; LightGBM, for which rows cost little, reads all.
    """
    fraud = np.flatnonzero(fitted.target == 1)
    good = np.flatnonzero(fitted.target == 0)
    some = good
    if len(good) > GOOD_ROWS:
        some = np.random.default_rng(seed).choice(good, GOOD_ROWS, replace=False)
    rows = np.sort(np.concatenate([fraud, some]))
    weight = np.where(fitted.target[rows] == 1, 1.0, len(good) / len(some)) * fitted.weight[rows]
    return Sample(fitted.rows.take(rows), fitted.target[rows], weight), rows


def _network(
    settings: Fraud,
    columns: Columns,
    detectors: Sequence[Detector],
    sample: Sample,
    validation: Sample | None,
    *,
    watch: Callable[[float, str], None],
    folder: Path | None,
) -> FraudNet:
    numeric = [column for column in columns.columns if column.kind == "numeric"]
    scores = [Column(f"anomaly: {detector.kind}", "numeric") for detector in detectors]
    wide = Columns((*numeric, *scores, *columns.categories))
    mlp = fit_mlp(
        with_scores(detectors, sample.rows),
        sample.target,
        sample.weight,
        columns=wide,
        shape=settings.model,
        settings=_patient(settings, validation),
        seed=settings.seed,
        task=_task(settings),
        judge=None if validation is None else partial(_judged, validation, with_scores(detectors, validation.rows)),
        folder=folder,
        watch=watch,
    )
    return FraudNet(detectors, mlp)


def _task(settings: Fraud) -> tasks.Task:
    return tasks.binary("focal" if settings.model.loss == "focal" else "bce")


def _patient(settings: Fraud, validation: Sample | None) -> Fit:
    return settings.fit if validation else settings.fit.model_copy(update={"patience": None})


def _judged(validation: Sample, rows: Rows, model: Scores) -> dict[str, float]:
    """rows: those of validation, as the model reads them."""
    found = metrics.metric_values(validation.target, sigmoid(model.logit(rows)), validation.weight)
    return {"average_precision": found["average_precision"], **found}  # the first decides


def at_stake(target: NDArray[np.integer], stake: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a row counts: a fraud by its amount against the mean fraud's, a tenth to ten times; a good row 1."""
    fraud = target == 1
    share = np.clip(stake / max(stake[fraud].mean(), 1e-9), 0.1, 10.0)
    return np.where(fraud, share, 1.0)


def combine(models: Mapping[str, Model], validation: Sample | None) -> Combination:
    """Of those that may ship, as `select.combined`."""
    return combined({name: models[name] for name in COMBINED if name in models}, validation)
