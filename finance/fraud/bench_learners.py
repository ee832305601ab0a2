"""Who is fitted in `lepton bench fraud`, one after another: networks with trees, and rivals."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from finance.fraud.detectors import telling
from finance.fraud.forest import fit_forest
from finance.fraud.members import combine, fit_members, thinned
from finance.fraud.settings import Fraud
from lepton_solutions.data.columns import Columns, Rows
from lepton_solutions.data.prepare import Sample

FOREST, COMBINED, PLAIN = "random forest", "combination", "MLP without anomaly scores"


def networks(
    settings: Fraud, columns: Columns, train: Sample, test: Rows, stake: NDArray[np.float64], *, plain: bool
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Each model's name and what it says of the test rows, in the order in which they are trained. plain: also of a
    network that reads no anomaly scores.
    """
    fit = partial(fit_members, settings, columns, Columns(()), train, None, stake=stake)
    _, detectors = fit(names=())
    for kind, detector in detectors.items():
        yield kind, detector.logit(test)
    if plain:
        alone, _ = fit(names=("mlp",), detectors={})
        yield PLAIN, alone["mlp"].logit(test)
    network, _ = fit(names=("mlp",), detectors=detectors)
    yield "mlp", network["mlp"].logit(test)
    trees, _ = fit(names=("lightgbm",), detectors={})
    yield "lightgbm", trees["lightgbm"].logit(test)
    yield COMBINED, combine(network | trees, None).logit(test)


def rivals(
    settings: Fraud, columns: Columns, train: Sample, test: Rows, stake: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """As `networks`."""
    good = train.rows.numeric[train.target == 0]
    yield "isolation_forest", fit_forest(good, telling(columns.names, ()), seed=settings.seed).logit(test)
    few, weight = thinned(train, settings.seed)
    forest = RandomForestClassifier(n_estimators=100, random_state=settings.seed, n_jobs=1)
    forest.fit(np.nan_to_num(train.rows.numeric[few], nan=-1.0), train.target[few], weight)
    yield FOREST, forest.predict_proba(np.nan_to_num(test.numeric, nan=-1.0))[:, 1]
    logistic = LogisticRegression(max_iter=1000, solver="newton-cholesky")
    linear = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), logistic)
    linear.fit(train.rows.numeric, train.target)
    yield "logistic", linear.predict_proba(test.numeric)[:, 1]
