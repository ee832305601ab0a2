"""How good are these calls and probabilities of one of several classes, of levels, of several findings at once?

    class_metrics("multiclass", target, probability, called, groups=patient, generator=generator)["auc"]
    Interval(value=0.94, low=0.92, high=0.96)

Throughout, for the tasks of `tasks.py`:
    task         target [n]                       probability         called
    binary       0, 1; -1 unknown                 [n], of a 1         [n], 0 or 1
    multiclass   class from 0; -1 unknown         [n, classes]        [n], class
    ordinal      level from 0; -1 unknown         [n, levels]         [n], level
    multilabel   [n, labels] 0, 1; NaN unknown    [n, labels]         [n, labels], 0 or 1
What is unknown is left out. `groups` [n]: whose row it is; intervals then draw whole groups (None: rows). A metric that
the rows cannot show (the AUC of one class) is absent. Numpy only.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.metrics import BINS, finite, indicators, mass_edges, ranking, wilson
from lepton_solutions.resampling import Array, Interval, interval, resample, resamples

TaskName = Literal["binary", "multiclass", "multilabel", "ordinal"]
Measure = Callable[[Array], dict[str, Array]]
SHARES = ("accuracy", "sensitivity", "specificity")  # of rows that are called rightly: Wilson's interval
_TINY = np.finfo(np.float64).eps


def class_metrics(
    task: TaskName,
    target: np.ndarray,
    probability: np.ndarray,
    called: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    generator: np.random.Generator,
    replicates: int = 1000,
) -> dict[str, Interval]:
    """The metrics of `class_values`, each with its interval.

    Shares of right calls have Wilson's interval with the number of rows that the bootstrap's variance amounts to: it
    keeps a width where all calls are right. A perfect AUC has Newcombe's interval, for the same reason.
    """
    target, probability, called, groups = _known(task, target, probability, called, groups)
    if not len(target):
        return {}
    measure = _measure(task, target, probability, called)
    w = np.ones(len(target))
    drawn = _drawn(measure, w, groups, generator, replicates)
    owners = len(target) if groups is None else len(np.unique(groups))
    found = {}
    for name, values in measure(w[None]).items():
        value = float(values[0])
        if np.isnan(value):
            continue
        if name in SHARES and task != "multilabel":
            found[name] = share_interval(value, drawn[name], _owners_among(name, target, groups, owners))
        elif name == "auc" and value == 1.0:
            found[name] = Interval(1.0, _perfect_auc(*_rarest(task, target, groups)), 1.0)
        else:
            found[name] = interval(value, drawn[name], reflect=name == "ece", top=1.0)
    return found


def class_values(task: TaskName, target: np.ndarray, probability: np.ndarray, called: np.ndarray) -> dict[str, float]:
    """The metrics without intervals, for choosing on validation rows.

    auc, average_precision: binary of the 1, else the mean of the classes (one against the rest) or labels that the rows
    show on both sides. accuracy, f1, brier, log_loss: of several labels their mean; f1 of several classes is the
    unweighted mean too. balanced_accuracy: the mean of the classes' shares of right calls. brier: binary (p - y)^2, of
    several classes the sum over them. ece: mean |observed - predicted| over ten bins of equal mass, of several classes
    for the most probable one. Binary and multilabel: sensitivity, specificity. Ordinal: quadratic_kappa and mae, in
    levels, of the called levels.
    """
    target, probability, called, _ = _known(task, target, probability, called, None)
    if not len(target):
        return {}
    found = _measure(task, target, probability, called)(np.ones((1, len(target))))
    return {name: float(value[0]) for name, value in found.items() if not np.isnan(value[0])}


def metric_difference(
    name: str,
    task: TaskName,
    target: np.ndarray,
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    *,
    groups: np.ndarray | None = None,
    generator: np.random.Generator,
    replicates: int = 1000,
) -> Interval | None:
    """The metric of the `first` (probability, called) minus that of the `second`, on the same resamples; None where the
    rows cannot show it.
    """
    y, p, c, g = _known(task, target, *first, groups)
    _, q, d, _ = _known(task, target, *second, groups)
    if not len(y):
        return None
    one, other = _measure(task, y, p, c), _measure(task, y, q, d)

    def both(weights: Array) -> dict[str, Array]:
        return {name: one(weights)[name] - other(weights)[name]}

    w = np.ones(len(y))
    value = float(both(w[None])[name][0])
    return None if np.isnan(value) else interval(value, _drawn(both, w, g, generator, replicates)[name])


def share_interval(value: float, drawn: Array, owners: int) -> Interval:
    """Wilson's interval of a share whose resamples were `drawn`, with no more rows than `owners`.

    Resamples of independent rows vary by value (1 - value) / rows; patients with several images each vary more, as
    fewer rows would. At 0 and 1 resamples do not vary at all, and the owners count.
    """
    spread = float(np.nanvar(drawn)) if np.isfinite(drawn).any() else 0.0
    rows = owners if spread == 0 else min(float(owners), value * (1 - value) / spread)
    return wilson(value, max(rows, 1.0))


def _known(
    task: TaskName, target: np.ndarray, probability: np.ndarray, called: np.ndarray, groups: np.ndarray | None
) -> tuple[np.ndarray, Array, np.ndarray, np.ndarray | None]:
    """Without rows of which nothing is known. Raises ValueError where shapes do not fit."""
    target, called = np.asarray(target), np.asarray(called)
    p = np.asarray(probability, dtype=np.float64)
    finite("probability", p.ravel())
    n = len(target)
    shape = (n,) if task == "binary" else (n, p.shape[-1])
    if p.shape != shape or called.shape != target.shape or target.shape != (shape if task == "multilabel" else (n,)):
        raise ValueError(f"{task}: found target {target.shape}, probability {p.shape} and called {called.shape}")
    known = ~np.isnan(target).all(axis=1) if task == "multilabel" else target >= 0
    return target[known], p[known], called[known], None if groups is None else np.asarray(groups)[known]


def _drawn(
    measure: Measure, w: Array, groups: np.ndarray | None, generator: np.random.Generator, replicates: int
) -> dict[str, Array]:
    count = resamples(len(w), replicates)
    blocks = [measure(block) for block in resample(w, generator, count, groups=groups)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _measure(task: TaskName, target: np.ndarray, p: Array, called: np.ndarray) -> Measure:
    """What turns row weights [k, n] into the metrics, each [k]; sorts, bins and losses are made once."""
    if task == "binary":
        return _of_label(target.astype(np.float64), p, called)
    if task == "multilabel":
        columns = []
        for y, q, c in zip(target.T, p.T, called.T, strict=True):
            seen = ~np.isnan(y)
            if seen.any():
                columns.append((seen, _of_label(y[seen], q[seen], c[seen])))

        def means(weights: Array) -> dict[str, Array]:
            found = [measure(weights[:, seen]) for seen, measure in columns]
            return {name: _mean([one[name] for one in found]) for name in found[0]}

        return means
    return _of_classes(task, target.astype(np.int64), p, called.astype(np.int64))


def _of_label(y: Array, p: Array, called: np.ndarray) -> Measure:
    rank, calibration = _ranked(y, p), _gaps(y, p)
    clipped = np.clip(p, _TINY, 1 - _TINY)  # as scikit-learn
    losses = np.stack([(y - p) ** 2, -np.where(y == 1, np.log(clipped), np.log1p(-clipped))], axis=1)
    cells = np.eye(4)[(2 * y + called).astype(np.int64)]  # true negative, false positive, false negative, true positive

    def measure(weights: Array) -> dict[str, Array]:
        total = weights.sum(axis=1)
        tn, fp, fn, tp = (weights @ cells).T
        with np.errstate(invalid="ignore", divide="ignore"):
            brier, log_loss = ((weights @ losses) / total[:, None]).T
            sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
            auc, average_precision = rank(weights)
            return {
                "auc": auc,
                "average_precision": average_precision,
                "accuracy": (tp + tn) / total,
                "balanced_accuracy": (sensitivity + specificity) / 2,
                "sensitivity": sensitivity,
                "specificity": specificity,
                "f1": np.where(tp + fn > 0, 2 * tp / (2 * tp + fp + fn), np.nan),
                "brier": brier,
                "ece": calibration(weights) / total,
                "log_loss": log_loss,
            }

    return measure


def _of_classes(task: TaskName, y: NDArray[np.int64], p: Array, called: NDArray[np.int64]) -> Measure:
    n, classes = p.shape
    ranks = [_ranked((y == code).astype(np.float64), p[:, code]) for code in range(classes)]
    calibration = _gaps((p.argmax(axis=1) == y).astype(np.float64), p.max(axis=1))
    truth = np.eye(classes)[y]
    log = -np.log(np.clip(p[np.arange(n), y], _TINY, 1))
    losses = np.stack([((truth - p) ** 2).sum(axis=1), log, np.abs(y - called).astype(np.float64)], axis=1)
    cells = np.eye(classes * classes)[y * classes + called]

    def measure(weights: Array) -> dict[str, Array]:
        total = weights.sum(axis=1)
        confusion = (weights @ cells).reshape(-1, classes, classes)  # [k, true, called]
        right, true, said = np.einsum("kcc->kc", confusion), confusion.sum(axis=2), confusion.sum(axis=1)
        ranked = [rank(weights) for rank in ranks]
        with np.errstate(invalid="ignore", divide="ignore"):
            brier, log_loss, mae = ((weights @ losses) / total[:, None]).T
            found = {
                "auc": _mean([auc for auc, _ in ranked]),
                "average_precision": _mean([average for _, average in ranked]),
                "accuracy": right.sum(axis=1) / total,
                "balanced_accuracy": _mean(list((right / true).T)),
                "f1": _mean(list((2 * right / (true + said)).T)),  # a class neither true nor called is left out
                "brier": brier,
                "ece": calibration(weights) / total,
                "log_loss": log_loss,
            }
            if task == "ordinal":
                found |= {"quadratic_kappa": _kappa(confusion, true, said, total), "mae": mae}
        return found

    return measure


def _ranked(y: Array, p: Array) -> Callable[[Array], tuple[Array, Array]]:
    """AUC and average precision [k] of row weights [k, n]; NaN where a side has no weight."""
    order = np.argsort(-p, kind="stable")
    ends = np.flatnonzero(np.diff(p[order], append=-1.0))

    def rank(weights: Array) -> tuple[Array, Array]:
        auc, _, average_precision = ranking(weights[:, order], y[order], ends)
        return auc, np.where(np.isnan(auc), np.nan, average_precision)

    return rank


def _gaps(y: Array, p: Array) -> Callable[[Array], Array]:
    """The sum over bins of |observed - predicted|, [k] of row weights [k, n]."""
    gap = indicators(p, mass_edges(p, np.ones(len(p)), BINS)) * (y - p)[:, None]
    return lambda weights: np.asarray(np.abs(weights @ gap).sum(axis=1))


def _kappa(confusion: Array, true: Array, said: Array, total: Array) -> Array:
    """Cohen's, with quadratic weights (Cohen 1968)."""
    place = np.arange(confusion.shape[1])
    far = (place[:, None] - place) ** 2.0
    expected = np.einsum("ki,kj,ij->k", true, said, far) / total
    return np.asarray(1 - np.einsum("kij,ij->k", confusion, far) / expected)


def _mean(columns: list[Array]) -> Array:
    """Over the classes that have a value, NaN where none has."""
    values = np.stack(columns)
    seen = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(seen, values, 0.0).sum(axis=0) / seen.sum(axis=0))


def _owners_among(name: str, target: np.ndarray, groups: np.ndarray | None, owners: int) -> int:
    """How many owners the rows have that a share is of."""
    if name == "accuracy":
        return owners
    among = target == (1 if name == "sensitivity" else 0)
    return int(among.sum()) if groups is None else len(np.unique(groups[among]))


def _rarest(task: TaskName, target: np.ndarray, groups: np.ndarray | None) -> tuple[int, int]:
    """Owners of the rarest class or label and of its rest."""
    columns = target.T if task == "multilabel" else [target == code for code in np.unique(target)]
    owner = np.arange(len(target)) if groups is None else groups
    sides = [tuple(len(np.unique(owner[column == side])) for side in (1, 0)) for column in columns]
    ones, zeros = min((pair for pair in sides if min(pair) > 0), key=min)
    return ones, zeros


def _perfect_auc(positives: int, negatives: int) -> float:
    """The lower end for an AUC of 1: where 1 - auc is 1.96 of its standard errors there.

    A bootstrap of perfectly separated rows never sees an error. Source: Newcombe 2006, part 2, method 5, with the
    variance of Hanley and McNeil 1982 and the mean of both counts in place of each.
    """
    z2, half = 3.841458820694124, (positives + negatives) / 2 - 1

    def excess(auc: float) -> float:
        variance = auc * (1 - auc) / (positives * negatives)
        return (1 - auc) ** 2 - z2 * variance * (1 + half * ((1 - auc) / (2 - auc) + auc / (1 + auc)))

    low, high = 0.0, 1.0 - 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return low
