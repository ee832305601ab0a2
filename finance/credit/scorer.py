"""`CreditScorer`: the credit model as a scikit-learn classifier, for notebooks and pipelines of the user's own.

scorer = CreditScorer().fit(applicants, defaulted)
scorer.predict_proba(new)[:, 1]
scorer.save("bundle"); CreditScorer.load("bundle")
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from finance.credit.members import fit_members
from finance.credit.release import PIPELINE, write_model
from finance.credit.settings import Credit, Member
from lepton_solutions import bundle
from lepton_solutions.config import read_settings
from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.decision import Decision
from lepton_solutions.data.kinds import fit_levels, infer_kinds
from lepton_solutions.data.prepare import Sample
from lepton_solutions.data.tables import table_from_frame
from lepton_solutions.deploy.predictor import Predictor
from lepton_solutions.engines import Engine
from lepton_solutions.errors import UserError
from lepton_solutions.models.combination import Combination
from lepton_solutions.training.calibrate import platt
from lepton_solutions.training.select import combined

# Rows of the rarer class from which a tenth each is kept back for early stopping and for calibration; below it every
# row trains, and the probabilities are the models' own.
ENOUGH = 50


class CreditScorer(ClassifierMixin, BaseEstimator):
    """Probability of default from a table; the models, input layers and calibration of `lepton run finance/credit`.

    combine: the models that are averaged in log-odds, of mlp, lightgbm, logistic, scorecard; with enough rows those
    that validation rows show to be clearly worse than the best are left out. epochs: passes of the MLP over the rows,
    None for the pipeline's choice. cost_of_default, cost_of_refusal: for `decide`. random_state: seed, from 0.

    X is a DataFrame with numbers, categories and missing values, or an array of numbers; y has two values, the greater
    one (of 0 and 1, of "good" and "no") being the event: see `classes_`.
    """

    def __init__(
        self,
        combine: tuple[Member, ...] = ("mlp", "lightgbm", "scorecard"),
        epochs: int | None = None,
        cost_of_default: float = 5.0,
        cost_of_refusal: float = 1.0,
        random_state: int = 0,
    ) -> None:
        self.combine = combine
        self.epochs = epochs
        self.cost_of_default = cost_of_default
        self.cost_of_refusal = cost_of_refusal
        self.random_state = random_state

    def fit(self, X: object, y: object, sample_weight: object = None) -> CreditScorer:
        """Learn from rows X [n, columns], targets y [n] and weights [n], 0 or more.

        Raises ValueError for what scikit-learn's own estimators refuse, UserError for a column that cannot be read.
        """
        table, target_values = self._read(X, y, fitting=True)
        check_classification_targets(target_values)
        kind = type_of_target(target_values, input_name="y", raise_unknown=True)
        if kind != "binary":
            raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
        self.classes_, target = np.unique(target_values, return_inverse=True)
        weight = _check_sample_weight(sample_weight, target_values, dtype=np.float64, ensure_non_negative=True)
        target = target.astype(np.int8)
        settings = _settings(self.random_state, self.epochs, tuple(self.combine))
        used = weight > 0
        if len(np.unique(target[used])) < 2:
            raise ValueError("CreditScorer needs both classes in y, found one class with weight")
        parts = _parts(target, used, seed=settings.seed)
        if isinstance(X, pd.DataFrame):
            kinds = fit_levels(infer_kinds(table, where="X"), table.filter(pa.array(parts == "train")))
            self.columns_ = kinds.columns
        else:
            self.columns_ = Columns(tuple(Column(name, "numeric") for name in table.column_names))
        everything = Sample(self.columns_.encode(table, where="X"), target, weight)
        held = {part: everything.take(parts == part) for part in ("train", "validation", "calibration")}
        validation = held["validation"] if len(held["validation"]) else None
        models = fit_members(settings, self.columns_, held["train"], validation, names=settings.combine)
        self.model_: Combination | Engine = combined(models, validation)
        slope, intercept = 1.0, 0.0
        if len(held["calibration"]):
            sample = held["calibration"]
            slope, intercept = platt(self.model_.logit(sample.rows), sample.target, sample.weight)
        cutoff = self.cost_of_refusal / (self.cost_of_refusal + self.cost_of_default)
        self.decision_ = Decision(slope, intercept, cutoff, cutoff, cutoff, below="approve", at_or_above="refuse")
        return self

    def predict_proba(self, X: object) -> np.ndarray:
        """Calibrated probabilities [n, 2], columns in the order of `classes_`."""
        check_is_fitted(self)
        table, _ = self._read(X)
        rows = self.columns_.encode(table, where="X")
        positive = self.decision_.probability(self._logit(rows))
        return np.column_stack([1 - positive, positive])

    def predict(self, X: object) -> np.ndarray:
        """The more probable class of each row, [n]; `decide` weighs the costs instead."""
        likelier = self.predict_proba(X)[:, 1] > 0.5
        return self.classes_[likelier.astype(int)]

    def decide(self, X: object) -> np.ndarray:
        """`approve` or `refuse` for each row, whichever is expected to cost less, [n]."""
        return np.asarray(self.decision_.words(self.predict_proba(X)[:, 1]))

    def save(self, folder: str | Path) -> None:
        """Write a bundle, as `lepton run` does; `Predictor.open` reads it too. Raises UserError where one exists."""
        check_is_fitted(self)
        if not isinstance(self.model_, Combination):
            raise UserError("a loaded scorer holds the exported model only; copy its bundle instead of saving it again")
        place = bundle.place_for(folder)
        graph = self.model_.graph().SerializeToString()
        inputs: dict[str, Any] = {"columns": self.columns_.to_json(), "id": None, "missing": []}
        labels = self.classes_.tolist()
        write_model(place, self.model_, graph, inputs=inputs, decision=self.decision_, labels=labels)
        bundle.seal(place, pipeline=PIPELINE)

    @classmethod
    def load(cls, folder: str | Path) -> CreditScorer:
        """A scorer that answers with the exported model of a bundle. Raises UserError when a file was changed."""
        predictor = Predictor.open(folder)
        scorer = cls()
        labels = bundle.find(Path(folder)) / "labels.json"
        scorer.classes_ = np.asarray(json.loads(labels.read_text(encoding="utf-8")))
        scorer.columns_, scorer.decision_, scorer.model_ = predictor.columns, predictor.decision, predictor.engine
        scorer.n_features_in_ = len(predictor.columns.columns)
        return scorer

    def _logit(self, rows: Rows) -> np.ndarray:
        if isinstance(self.model_, Combination):
            return self.model_.logit(rows)
        return self.model_.logit(rows.numeric, rows.codes)

    def _read(self, X: object, y: object = None, *, fitting: bool = False) -> tuple[pa.Table, np.ndarray]:
        """X as a table. Arrays go through scikit-learn's checks; frames keep their categories and missing values."""
        if isinstance(X, pd.DataFrame) and len(X) and X.shape[1] and (y is not None or not fitting):
            target = np.asarray(y) if fitting else np.empty(0)
            if fitting:
                check_consistent_length(X, target)
                _check_n_features(self, X, reset=True)
                _check_feature_names(self, X, reset=True)
            return table_from_frame(X, where="X"), target
        options = {"dtype": np.float32, "ensure_all_finite": "allow-nan", "reset": fitting}
        if fitting:
            array, target = validate_data(self, X, y, **options)
        else:
            array, target = validate_data(self, X, **options), np.empty(0)
        names = getattr(self, "columns_", None)
        names = names.names if names is not None and not fitting else [f"x{i}" for i in range(array.shape[1])]
        return pa.table({name: pa.array(array[:, i]) for i, name in enumerate(names)}), target

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags


def _parts(target: np.ndarray, used: np.ndarray, *, seed: int) -> np.ndarray:
    """The part of each row: train, and a tenth each for validation and calibration where there are enough rows."""
    parts = np.full(len(target), "train", dtype="<U11")
    if np.bincount(target[used], minlength=2).min() < ENOUGH:
        return parts
    rest = np.flatnonzero(used)
    _, held = train_test_split(rest, test_size=0.2, stratify=target[rest], random_state=seed)
    validation, calibration = train_test_split(held, test_size=0.5, stratify=target[held], random_state=seed)
    parts[validation], parts[calibration] = "validation", "calibration"
    return parts


@cache
def _settings(seed: int, epochs: int | None, combine: tuple[Member, ...]) -> Credit:
    """What `lepton run finance/credit` would use: the scorer has no hyperparameters of its own."""
    asked = [f"seed={seed}", f"fit.epochs={'null' if epochs is None else epochs}", f"combine=[{','.join(combine)}]"]
    return read_settings(PIPELINE, asked, Credit)
