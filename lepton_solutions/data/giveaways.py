"""Does a column know the answer, or has it moved between the parts? The audit's checks of single columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, rankdata
from sklearn.tree import DecisionTreeClassifier

from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.findings import Finding
from lepton_solutions.data.splits import TEST, TRAIN

Values: TypeAlias = NDArray[np.float32] | NDArray[np.int64]  # one column: numbers, NaN where missing, or codes


def drift(rows: Rows, columns: Columns, parts: NDArray[np.int8]) -> list[Finding]:
    """Columns whose distribution differs between train and test: PSI above .25, the customary mark of a large shift.

    Small parts differ by chance, by about chi-square (1/n + 1/m); what that explains is not reported.
    """
    train, test = parts == TRAIN, parts == TEST
    found: list[Finding] = []
    if not train.any() or not test.any():
        return found
    for column, values in _each(rows, columns):
        bins = _deciles(values, values[train]) if column.kind == "numeric" else values.astype(np.int64)
        size = int(bins.max()) + 1
        before, after = np.bincount(bins[train], minlength=size), np.bincount(bins[test], minlength=size)
        shift, compared = stability(before, after)
        chance = chi2.ppf(0.999, max(compared - 1, 1)) * (1 / train.sum() + 1 / test.sum())
        if shift > max(0.25, chance):
            message = f"column `{column.name}` differs between train and test: PSI {shift:.2f}, above .25"
            found.append(Finding(level="warning", check="drift", message=message, columns=(column.name,)))
    return found


def stability(before: NDArray[np.int64], after: NDArray[np.int64]) -> tuple[float, int]:
    """Population stability index of two histograms, and the number of bins compared.

    Bins that promise fewer than 3 rows of the smaller histogram are taken as one: levels seen a few times say nothing
    about drift. An empty bin counts as a share of 0.0001, as in `metrics.psi`.

    >>> shift, bins = stability(np.array([50, 50]), np.array([80, 20]))  # .3 ln(.8 / .5) - .3 ln(.2 / .5) = .3 ln 4
    >>> round(float(shift / np.log(4)), 9), bins
    (0.3, 2)
    """
    shares = np.stack([before / before.sum(), after / after.sum()])
    pooled = (before + after) / (before + after).sum()
    rare = pooled * min(before.sum(), after.sum()) < 3
    shares = np.hstack([shares[:, ~rare], shares[:, rare].sum(axis=1, keepdims=True)])
    shares = np.maximum(shares[:, shares.sum(axis=0) > 0], 1e-4)
    old, new = shares
    return float(np.sum((new - old) * np.log(new / old))), shares.shape[1]


def giveaways(
    rows: Rows, columns: Columns, target: NDArray[np.int8], *, target_name: str, classes: tuple[str, str] = ("0", "1")
) -> list[Finding]:
    """Columns that alone separate the classes, by the AUC of each column on rows that its score was not fitted on.

    From .999 a column fails, with what it looks like; from .98 it is a warning, where chance does not explain it.
    With fewer than 10 rows of a class only a column of two values fails, and with fewer than 5 nothing is said.
    """
    rarer = int(np.bincount(target, minlength=2).min())
    if rarer < _FEWEST_IN_A_COPY:
        return []
    sample, fold = _two_folds(target)
    outcome = target[sample].astype(np.int64)
    # Noise: the standard error of an honest, strong column's AUC (Hanley and McNeil 1982), at AUC .9.
    suspicious = max(0.98, 0.9 + 3.5 * _standard_error(0.9, int(outcome.sum()), int(len(outcome) - outcome.sum())))
    found = []
    for column, values in _each(rows.take(sample), columns):
        views = list(_views(column, values, outcome, fold))
        best = max(views, key=lambda view: view.auc)
        perfect = [view for view in views if view.auc >= _PERFECT and rarer >= view.fewest]
        if perfect:
            looks = _looks(perfect[0], outcome, target_name, classes)
            message = f"column `{column.name}` gives `{target_name}` away: {looks}"
            hint = f"`data.kinds.{column.name}=ignore` leaves it out"
            found.append(Finding(level="fail", check="giveaway", message=message, columns=(column.name,), hint=hint))
        elif best.auc >= min(suspicious, _PERFECT):
            message = f"column `{column.name}` alone reaches AUC {best.auc:.3f}: was it known before `{target_name}`?"
            found.append(Finding(level="warning", check="strong", message=message, columns=(column.name,)))
    return found


# An honest column separates a handful of rows by luck: in 60 rows with 5 positives, one of AUC .9 did so in 1 of 400
# simulated tables as three levels, with 10 positives in none. That two values match the target row by row is rarer.
_FEWEST_IN_A_COPY, _FEWEST = 5, 10
_PERFECT = 0.999
_CODED = 50  # a number with at most so many distinct values may be a code
_ROWS_PER_CLASS = 20_000  # AUC compares the classes: a sample of each does not move it


@dataclass(frozen=True)
class _View:
    """One way to read a column. levels: [n] dense codes, `names` their values; None where it is read as ordered."""

    auc: float
    fewest: int
    levels: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()


def _views(column: Column, values: Values, outcome: NDArray[np.int64], fold: NDArray[np.int64]) -> Iterator[_View]:
    """The readings of a column, the most telling first, so that a copy is not called a threshold."""

    def by_level(levels: NDArray[np.int64], names: Sequence[str]) -> _View:
        fewest = _FEWEST_IN_A_COPY if len(names) == 2 else _FEWEST
        return _View(_level_auc(levels, outcome, fold), fewest, levels, tuple(names))

    distinct, levels = np.unique(values, return_inverse=True)
    if column.kind == "category":
        known = ("unseen", _MISSING, *column.levels)
        yield by_level(levels, [known[code] for code in distinct.astype(np.int64)])
        return
    missing = np.isnan(values)
    if len(distinct) <= _CODED:
        yield by_level(levels, [_MISSING if np.isnan(value) else f"{value:.9g}" for value in distinct])
    elif missing.any():
        yield by_level(missing.astype(np.int64), ["present", _MISSING])
    present = values[~missing]
    # float32 tells neighbouring whole numbers apart up to 2^24.
    if len(distinct) > 10 and np.all(present == np.round(present)) and np.all(np.abs(present) < 2**24):
        digit = np.where(missing, 10, np.nan_to_num(values) % 10).astype(np.int64)
        yield by_level(digit % 2 + 2 * (digit == 10), ["even", "odd", _MISSING])
        yield by_level(digit, [*(f"last digit {number}" for number in range(10)), _MISSING])
    for extreme in (-np.inf, np.inf):
        area = _auc(np.where(missing, extreme, values), outcome)
        yield _View(max(area, 1 - area), _FEWEST)
    yield _View(_tree_auc(values, outcome, fold), _FEWEST)


_MISSING = "missing"


def _looks(view: _View, outcome: NDArray[np.int64], target_name: str, classes: tuple[str, str]) -> str:
    """What a perfect column looks like, in the words of the file."""
    if view.levels is None:
        return f"it alone separates the classes (AUC {view.auc:.4f})"
    count = np.bincount(view.levels, minlength=len(view.names))
    positive = np.bincount(view.levels, weights=outcome, minlength=len(view.names))
    held = [[view.names[i] for i in np.flatnonzero((count > 0) & (positive == whole))] for whole in (0 * count, count)]
    if sum(map(len, held)) < np.count_nonzero(count):
        return f"its values separate the classes (AUC {view.auc:.4f})"
    for names, label in zip(held, classes, strict=True):
        if names == [_MISSING]:
            return f"it is missing exactly where `{target_name}` is `{label}`"
    if all(len(names) == 1 and _same(names[0], label) for names, label in zip(held, classes, strict=True)):
        return "a copy of it"
    told = [f"{_few(names)} where it is `{label}`" for names, label in zip(held, classes, strict=True)]
    return f"a code of it ({told[1]}, {told[0]})"


def _few(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _same(name: str, label: str) -> bool:
    try:
        return float(name) == float(label)
    except ValueError:
        return name.casefold() == label.casefold()


def _two_folds(target: NDArray[np.int8]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Positions of at most `_ROWS_PER_CLASS` rows of each class, evenly spaced, and the fold of each, 0 or 1.

    The golden ratio scatters neighbours over the folds without a period that a column could share, and without chance.
    """
    chosen, fold = [], []
    for label in (0, 1):
        rows = np.flatnonzero(target == label)
        size = min(len(rows), _ROWS_PER_CLASS)
        chosen.append(rows[np.arange(size) * len(rows) // size])
        fold.append((np.arange(size) * 0.6180339887498949 % 1 < 0.5).astype(np.int64))
    return np.concatenate(chosen), np.concatenate(fold)


def _level_auc(levels: NDArray[np.int64], outcome: NDArray[np.int64], fold: NDArray[np.int64]) -> float:
    """Mean AUC, over two folds, of the positive rate of each level in the other fold."""
    size, areas = int(levels.max()) + 1, []
    for held in (fold == 0, fold == 1):
        count = np.bincount(levels[~held], minlength=size)
        positive = np.bincount(levels[~held], weights=outcome[~held], minlength=size)
        rate = (positive + 2 * outcome[~held].mean()) / (count + 2)  # two rows' worth of the overall rate
        areas.append(_auc(rate[levels[held]], outcome[held]))
    return float(np.mean(areas))


def _tree_auc(values: Values, outcome: NDArray[np.int64], fold: NDArray[np.int64]) -> float:
    """The same for a small tree, which finds intervals, and treats missing as a value of its own."""
    areas = []
    for held in (fold == 0, fold == 1):
        tree = DecisionTreeClassifier(max_leaf_nodes=16, min_samples_leaf=5, random_state=0)
        tree.fit(values[~held, None], outcome[~held])
        areas.append(_auc(tree.predict_proba(values[held, None])[:, 1], outcome[held]))
    return float(np.mean(areas))


def _auc(score: NDArray[np.floating], outcome: NDArray[np.int64]) -> float:
    positive = int(outcome.sum())
    ranks = float(rankdata(score)[outcome == 1].sum())
    return (ranks - positive * (positive + 1) / 2) / (positive * (len(outcome) - positive))


def _standard_error(auc: float, positive: int, negative: int) -> float:
    first, second = auc / (2 - auc) - auc**2, 2 * auc**2 / (1 + auc) - auc**2
    variance = (auc * (1 - auc) + (positive - 1) * first + (negative - 1) * second) / (positive * negative)
    return float(np.sqrt(variance))


def _each(rows: Rows, columns: Columns) -> Iterator[tuple[Column, Values]]:
    yield from zip(columns.numeric, rows.numeric.T, strict=True)
    yield from zip(columns.categories, rows.codes.T, strict=True)


def _deciles(values: Values, train: Values) -> NDArray[np.int64]:
    """Bin of each value by the deciles of the train rows; missing is bin 0."""
    known = train[~np.isnan(train)]
    edges = np.unique(np.quantile(known, np.linspace(0.1, 0.9, 9))) if len(known) else np.zeros(0)
    return np.where(np.isnan(values), 0, 1 + np.searchsorted(edges, values)).astype(np.int64)
