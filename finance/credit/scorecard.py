"""What does a risk officer's own tool say? A scorecard: every answer has its points, the sum decides.

OptBinning finds the bins; weights of evidence and a logistic regression give them their points. Points are whole
numbers and they are the model: who adds them by hand from `points_table` gets the score that decides.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Protocol, TypedDict

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from lepton_solutions.data.columns import FIRST_LEVEL, Column, Columns, Rows
from lepton_solutions.models.linear import Additive, choose_penalty, fit_weights

# The usual scale: 600 points are odds of 50 repaid to 1 defaulted, and 20 points more double them.
BASE_POINTS, BASE_ODDS, DOUBLING = 600.0, 50.0, 20.0
POINTS_PER_LOGIT = DOUBLING / np.log(2)
OFFSET = BASE_POINTS - POINTS_PER_LOGIT * np.log(BASE_ODDS)  # points of an applicant with log-odds 0


class BinPoints(TypedDict):
    """rows: training rows in the bin; bad_rate: their weighted share of defaults, None without rows."""

    bin: str
    points: int
    rows: int
    bad_rate: float | None


class ColumnPoints(TypedDict):
    column: str
    bins: list[BinPoints]


class Bins(Protocol):
    """Finds where the bins of one column begin."""

    def __call__(self, values: npt.NDArray[np.float64], *, trend: str) -> npt.NDArray[np.float32]: ...


@dataclass(frozen=True, eq=False)
class Binned:
    """The bins of one column; the last one, len(edges) + 1, is for missing and unseen values.

    edges: float32, ascending, each opens a bin (of ranks, for categories). groups: int64, the bin of every code, empty
    for numbers. place: int64 [n], the bin of every training row.
    """

    edges: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scorecard:
    """Points per column and bin, with the additive model that is their sum. More points, less risk."""

    additive: Additive
    points: list[ColumnPoints]

    def logit(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Log-odds of default, [n]: (OFFSET - score) / POINTS_PER_LOGIT."""
        return self.additive.logit(rows)

    def score(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Sum of the points, [n]."""
        exact = OFFSET - POINTS_PER_LOGIT * self.logit(rows)
        return np.asarray(np.rint(exact), np.int64)  # whole but for the float32 of the steps

    def points_table(self) -> list[ColumnPoints]:
        """The scorecard to print: per column its bins with points, training rows and bad rate."""
        return self.points

    def graph(self) -> ModelProto:
        return self.additive.graph()

    def save(self, folder: Path) -> None:
        """Writes the additive model and `points.json`; the folder is made if need be."""
        self.additive.save(folder)
        text = json.dumps(self.points, ensure_ascii=False, indent=1)
        (folder / "points.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Scorecard:
        """Raises FileNotFoundError where `save` has not written."""
        return cls(Additive.load(folder), json.loads((folder / "points.json").read_text(encoding="utf-8")))


def fit_scorecard(
    rows: Rows,
    target: npt.NDArray[np.int8],
    weight: npt.NDArray[np.float64],
    *,
    columns: Columns,
    seed: int,
    validation: tuple[Rows, npt.NDArray[np.int8], npt.NDArray[np.float64]] | None = None,
    penalty: float | None = None,
    most_bins: int = 8,
    bin_share: float = 0.05,
) -> Scorecard:
    """Bins whose bad rate goes one way (or one way and back), weights of evidence, logistic regression, points.

    Every bin holds at least `bin_share` of a column's weight, (0, 0.5], and a column has at most `most_bins`. Missing
    values are a bin of their own; where training had none they and unseen levels count as no evidence. A column whose
    coefficient would reverse its own evidence is left out, so points are always ordered like bad rates. penalty: as in
    `fit_logistic`, chosen by folds of the training rows when None; `validation` is left untouched.
    """
    kept = weight > 0
    rows, target, weight = rows.take(kept), target[kept], weight[kept]
    p, bins = rows.numeric.shape[1], partial(_edges, target=target, weight=weight, most=most_bins, share=bin_share)
    numbers = [_bin_numbers(rows.numeric[:, j], bins) for j in range(p)]
    levels = [
        _bin_levels(rows.codes[:, j], len(column.levels), target, weight, bins)
        for j, column in enumerate(columns.categories)
    ]
    binned = [*numbers, *levels]
    evidence = [_evidence(one, target, weight) for one in binned]
    matrix = np.column_stack([woe[one.place] for woe, one in zip(evidence, binned, strict=True)])
    used = np.flatnonzero(np.ptp(matrix, axis=0) > 0)
    if penalty is None:
        penalty = choose_penalty(matrix, target, weight, seed=seed)
    intercept, coefficients = _fit(matrix[:, used], target, weight, penalty)
    while len(used) and coefficients.min() <= 0:
        used = np.delete(used, coefficients.argmin())
        intercept, coefficients = _fit(matrix[:, used], target, weight, penalty)
    base = (OFFSET - POINTS_PER_LOGIT * intercept) / max(len(used), 1)  # every column carries its part of the constant
    points = {
        int(i): np.rint(base - POINTS_PER_LOGIT * coefficient * evidence[i]).astype(np.int64)
        for i, coefficient in zip(used, coefficients, strict=True)
    }
    named = [*columns.numeric, *columns.categories]
    table = [_column_points(named[i], binned[i], points[i], target, weight) for i in sorted(points)]
    return Scorecard(_additive(numbers, levels, points, constant=intercept), table)


def _edges(
    values: npt.NDArray[np.float64],
    *,
    target: npt.NDArray[np.int8],
    weight: npt.NDArray[np.float64],
    most: int,
    share: float,
    trend: str,
) -> npt.NDArray[np.float32]:
    """Where bins begin, ascending; values [n], NaN = missing. Empty when one bin is best or one class is known."""
    from optbinning import OptimalBinning

    known = ~np.isnan(values)
    if len(np.unique(target[known])) < 2 or len(np.unique(values[known])) < 2:
        return np.empty(0, np.float32)
    # OptBinning counts in whole numbers, and its smallest bin is in rows unless the tree is told a share of weight.
    mass = weight[known] * (1e6 / weight[known].sum())
    binning = OptimalBinning(
        monotonic_trend=trend,
        max_n_bins=most,
        min_prebin_size=1e-9,
        min_weight_fraction_leaf=share,
        time_limit=20,
    )
    binning.fit(values[known], target[known], sample_weight=mass)
    splits = np.asarray(binning.splits, np.float64)
    near = splits.astype(np.float32)  # the smallest float32 not below: decides float32 values as the double does
    return np.where(near.astype(np.float64) < splits, np.nextafter(near, np.float32(np.inf)), near)


def _bin_numbers(values: npt.NDArray[np.float32], bins: Bins) -> Binned:
    edges = bins(values.astype(np.float64), trend="auto")
    place = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right"))
    return Binned(edges, np.empty(0, np.int64), place)


def _bin_levels(
    codes: npt.NDArray[np.int64],
    levels: int,
    target: npt.NDArray[np.int8],
    weight: npt.NDArray[np.float64],
    bins: Bins,
) -> Binned:
    """Levels are put in the order of their bad rates, then binned as numbers."""
    size = levels + FIRST_LEVEL
    total = np.bincount(codes, weight, size)
    rate = np.bincount(codes, weight * target, size) / np.maximum(total, 1e-300)
    rank = np.argsort(np.argsort(rate, kind="stable")).astype(np.float64)
    known = codes >= FIRST_LEVEL
    edges = bins(np.where(known, rank[codes], np.nan), trend="ascending")
    groups = np.searchsorted(edges, rank, side="right")
    groups[(total == 0) | (np.arange(size) < FIRST_LEVEL)] = len(edges) + 1
    return Binned(edges, groups, groups[codes])


def _evidence(one: Binned, target: npt.NDArray[np.int8], weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weight of evidence of each bin, ln(share of the bad / share of the good), [bins + 1]; 0 where no row is.

    A thousandth of all rows is added to each bin at the overall bad rate, so a bin of one class stays finite.
    """
    size = len(one.edges) + 2
    bad, good = np.bincount(one.place, weight * target, size), np.bincount(one.place, weight * (1 - target), size)
    evidence = np.log(bad / bad.sum() + 1e-3) - np.log(good / good.sum() + 1e-3)
    return np.asarray(evidence, np.float64)


def _fit(
    matrix: npt.NDArray[np.float64], target: npt.NDArray[np.int8], weight: npt.NDArray[np.float64], penalty: float
) -> tuple[float, npt.NDArray[np.float64]]:
    if matrix.shape[1]:
        return fit_weights(matrix, target, weight, penalty=penalty)
    rate = np.average(target, weights=weight)
    return float(np.log(rate / (1 - rate))), np.empty(0)


def _additive(
    numbers: list[Binned], levels: list[Binned], points: dict[int, npt.NDArray[np.int64]], *, constant: float
) -> Additive:
    """The points as log-odds: steps for numbers, entries for codes, and in the intercept what no row changes."""
    p, q = len(numbers), len(levels)
    zeros = np.zeros(p, np.float32)
    edges = np.full((p, max((len(one.edges) for one in numbers), default=0)), np.inf, np.float32)
    steps, absent = np.zeros(edges.shape), np.zeros(p)
    table = np.zeros((q, max((len(one.groups) for one in levels), default=FIRST_LEVEL)))
    intercept = OFFSET / POINTS_PER_LOGIT if points else constant
    for i, given in points.items():
        risk = -given / POINTS_PER_LOGIT
        if i < p:
            count = len(numbers[i].edges)
            edges[i, :count], steps[i, :count] = numbers[i].edges, np.diff(risk[:-1])
            absent[i] = risk[-1] - risk[0]
            intercept += risk[0]
        else:
            groups = levels[i - p].groups
            table[i - p, : len(groups)] = risk[groups]
    return Additive(
        intercept=np.array([intercept], np.float32),
        center=zeros,
        scale=zeros + 1,
        slope=zeros,
        absent=absent.astype(np.float32),
        edges=edges,
        steps=steps.astype(np.float32),
        table=table.astype(np.float32),
    )


def _column_points(
    column: Column,
    one: Binned,
    points: npt.NDArray[np.int64],
    target: npt.NDArray[np.int8],
    weight: npt.NDArray[np.float64],
) -> ColumnPoints:
    bins: list[BinPoints] = []
    for i, label in enumerate(_labels(column, one)):
        inside = one.place == i
        rate = float(np.average(target[inside], weights=weight[inside])) if inside.any() else None
        bins.append({"bin": label, "points": int(points[i]), "rows": int(inside.sum()), "bad_rate": rate})
    return {"column": column.name, "bins": bins}


def _labels(column: Column, one: Binned) -> list[str]:
    if column.kind == "category":
        groups = one.groups[FIRST_LEVEL:]
        named = [", ".join(np.array(column.levels)[groups == i]) for i in range(len(one.edges) + 1)]
        return [*named, "missing or unseen"]
    edges = [str(edge).removesuffix(".0") for edge in one.edges]
    inner = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [f"below {edges[0]}", *inner, f"{edges[-1]} and above", "missing"] if edges else ["any", "missing"]
