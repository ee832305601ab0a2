"""Who learns in `lepton bench fraud`, one after another: networks and trees, readers of last payments, rivals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from finance.fraud.detectors import telling
from finance.fraud.features import Definition, last_columns, names
from finance.fraud.forest import fit_forest
from finance.fraud.history import histories
from finance.fraud.members import FOREST, LABELS, combine, fit_networks, fit_simple, thinned
from finance.fraud.settings import Fraud
from finance.fraud.transactions import DAY, Transactions
from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.prepare import Sample

# Settings, columns, what is learned from and asked, and stakes, to a name and scores of each model in turn.
Learners = Callable[[Fraud, Columns, Sample, Rows, NDArray[np.float64]], Iterator[tuple[str, NDArray[np.float64]]]]
RANDOM, COMBINED, PLAIN = "random forest", "combination", "MLP without anomaly scores"
# Those that read the last payments too, by their names without.
WITH_LAST = {
    name: f"{label} with the last payments"
    for name, label in {"mlp": "MLP, anomaly scores", "lightgbm": LABELS["lightgbm"], COMBINED: "Combination"}.items()
}
LAST = Definition(("card",), (30 * DAY,), delay=7 * DAY, last=10)  # as far back as the book's windows, and its delay


def networks(
    settings: Fraud, columns: Columns, train: Sample, test: Rows, stake: NDArray[np.float64], *, plain: bool
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Each model's name and what it says of the test rows, in the order in which they are trained. plain: also of a
    network that reads no anomaly scores.
    """
    fit = partial(fit_networks, settings, columns, Columns(()), train, None, stake=stake)
    _, detectors = fit(names=())
    for kind, detector in detectors.items():
        yield kind, detector.logit(test)
    if plain:
        alone, _ = fit(names=("mlp",), detectors={})
        yield PLAIN, alone["mlp"].logit(test)
    network, _ = fit(names=("mlp",), detectors=detectors)
    yield "mlp", network["mlp"].logit(test)
    trees = fit_simple(settings, columns, train, None, threads=1, names=("lightgbm",))
    yield "lightgbm", trees["lightgbm"].logit(test)
    yield COMBINED, combine(network | trees, None).logit(test)


def with_last(
    columns: Columns, numeric: NDArray[np.float32], transactions: Transactions
) -> tuple[Columns, NDArray[np.float32]]:
    """The same with the card's last payments as columns behind."""
    last = last_columns(LAST)
    more = tuple(Column(name, "numeric") for name in names(LAST)[last])
    found = histories(transactions, LAST)[:, last].astype(np.float32)
    return Columns((*columns.columns, *more)), np.hstack([numeric, found])


def readers_of_last(
    settings: Fraud, columns: Columns, train: Sample, test: Rows, stake: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """As `networks`, of rows that `with_last` has made."""
    model = settings.model.model_copy(update={"sequence": LAST.last})
    settings = settings.model_copy(update={"model": model})
    fit = partial(fit_networks, settings, columns, Columns(()), train, None, stake=stake)
    sequence, _ = fit(names=("sequence",), detectors={})
    yield "sequence", sequence["sequence"].logit(test)
    network, _ = fit(names=("mlp",))
    yield WITH_LAST["mlp"], network["mlp"].logit(test)
    trees = fit_simple(settings, columns, train, None, threads=1, names=("lightgbm",))
    yield WITH_LAST["lightgbm"], trees["lightgbm"].logit(test)
    yield WITH_LAST[COMBINED], combine(network | sequence | trees, None).logit(test)


def rivals(
    settings: Fraud, columns: Columns, train: Sample, test: Rows, stake: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """As `networks`."""
    good = train.rows.numeric[train.target == 0]
    yield FOREST, fit_forest(good, telling(columns.names, ()), seed=settings.seed).logit(test)
    few, _ = thinned(train, settings.seed)
    forest = RandomForestClassifier(n_estimators=100, random_state=settings.seed, n_jobs=1)
    forest.fit(np.nan_to_num(few.rows.numeric, nan=-1.0), few.target, few.weight)
    yield RANDOM, forest.predict_proba(np.nan_to_num(test.numeric, nan=-1.0))[:, 1]
    logistic = LogisticRegression(max_iter=1000, solver="newton-cholesky")
    linear = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), logistic)
    linear.fit(train.rows.numeric, train.target)
    yield "logistic", linear.predict_proba(test.numeric)[:, 1]
