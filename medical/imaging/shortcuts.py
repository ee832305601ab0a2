"""Can the label be told without looking at the anatomy: from the file, its size, its brightness, its edges?

A network finds such a way too, and does well on every test image of the same source. Each way is tried by a small model
on images that it was not fitted on; what it reaches is an AUC with its interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from lepton_solutions.data.findings import Finding
from medical.imaging.looks import SIDE, Look

# AUC whose lower end calls for a warning: how a file was made should tell nothing, brightness and edges show anatomy.
TELLING, BRIGHT = 0.65, 0.85
FEWEST = 20  # images of the rarer class: with fewer, the interval spans everything
MOST = 20_000  # images looked at: more do not move an AUC
FOLDS = 3
CORNER = SIDE // 6


def shortcuts(
    looks: Sequence[Look],
    target: NDArray[np.int64] | NDArray[np.floating],
    labels: Sequence[str],
    owners: NDArray[np.int64],
) -> list[Finding]:
    """A warning for each way that tells a label.

    target: int64 [n], -1 unknown, or float [n, labels], NaN unknown. owners: [n], whose image it is: an owner's images
    are never learned from and judged on at once.
    """
    found = []
    outcomes = list(_outcomes(target, labels))
    for name, features, mark in _ways(looks):
        best: tuple[float, float, str] | None = None
        for label, outcome in outcomes:
            area = _told(features, outcome, owners)
            if area is None:
                continue
            value, low = area
            if low >= mark and (best is None or value > best[0]):
                best = value, low, label
        if best is not None:
            value, low, label = best
            message = f"`{label}` can be told by {name} alone: AUC {value:.2f}, at least {low:.2f}"
            hint = "a network may learn this instead of the disease; test on images of another source"
            found.append(Finding("warning", "shortcut", message, columns=(name,), hint=hint))
    return found


def _outcomes(
    target: NDArray[np.int64] | NDArray[np.floating], labels: Sequence[str]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Label by label 1 where it is, 0 where not, NaN where unknown; of two classes the second only."""
    if target.ndim == 2:
        yield from zip(labels, target.T.astype(np.float64), strict=True)
        return
    known = np.where(target < 0, np.nan, target.astype(np.float64))
    for code in range(1 if len(labels) == 2 else 0, len(labels)):
        yield labels[code], np.where(np.isnan(known), np.nan, known == code)


def _ways(looks: Sequence[Look]) -> Iterator[tuple[str, NDArray[np.float64], float]]:
    """Name, features [n, p], and the AUC from which it is worth a warning."""
    size = np.array([[*one.size[-2:], one.size[-2] / one.size[-1], one.size[0], one.channels] for one in looks])
    yield "the image size", size.astype(np.float64), TELLING
    tags = sorted({tag for one in looks for tag in one.facts} - {"sex", "age", "window", "Rows", "Columns"})
    for tag in tags:
        yield f"the tag `{tag}`", _coded([one.facts.get(tag) for one in looks]), TELLING
    numbers = np.array([[one.low, one.high, one.mean, one.spread] for one in looks])
    yield "the brightness", numbers, BRIGHT
    thumbnails = np.stack([one.thumbnail for one in looks])
    yield "the outermost pixels", _edges(thumbnails), BRIGHT
    yield "what stands in the corners", _corners(thumbnails), BRIGHT


def _coded(values: Sequence[str | None]) -> NDArray[np.float64]:
    """A tag as numbers, [n, 1]: its own where all are, else codes of the values in order of their name; NaN missing."""
    try:
        plain = [np.nan if value is None else float(value) for value in values]
    except ValueError:
        codes = {value: float(code) for code, value in enumerate(sorted({value for value in values if value}))}
        plain = [codes.get(value or "", np.nan) for value in values]
    return np.where(np.isfinite(plain), plain, np.nan)[:, None]


def _edges(thumbnails: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean and spread of the frame one pixel wide, side by side."""
    sides = [thumbnails[:, 0], thumbnails[:, -1], thumbnails[:, :, 0], thumbnails[:, :, -1]]
    return np.stack([side.mean(axis=1) for side in sides] + [side.std(axis=1) for side in sides], axis=1)


def _corners(thumbnails: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of each corner, where marks and text are burnt in: mean, brightest pixel, and how much it changes."""
    near, far = slice(0, CORNER), slice(-CORNER, None)
    columns = []
    for rows, across in ((near, near), (near, far), (far, near), (far, far)):
        corner = thumbnails[:, rows, across].astype(np.float64)
        columns += [
            corner.mean(axis=(1, 2)),
            corner.max(axis=(1, 2)),
            np.abs(np.diff(corner, axis=2)).mean(axis=(1, 2)),
        ]
    return np.stack(columns, axis=1)


def _told(
    features: NDArray[np.float64], outcome: NDArray[np.float64], owners: NDArray[np.int64]
) -> tuple[float, float] | None:
    """AUC on images that were not learned from, and the lower end of its 95 % interval; None with too few images."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = np.flatnonzero(~np.isnan(outcome))
    rows = rows[:: max(1, len(rows) // MOST)]
    y, x, owner = outcome[rows].astype(int), features[rows], owners[rows]
    varied = np.array([len(np.unique(column[~np.isnan(column)])) > 1 or np.isnan(column).any() for column in x.T])
    if not varied.any() or min(y.sum(), len(y) - y.sum()) < FEWEST:
        return None
    # The golden ratio scatters the owners over the folds, whatever the order of the files.
    codes = np.unique(owner, return_inverse=True)[1]
    fold = (codes * 0.6180339887498949 % 1 * FOLDS).astype(int)
    areas = []
    for number in range(FOLDS):
        held = fold == number
        if len(np.unique(y[held])) < 2 or len(np.unique(y[~held])) < 2:
            return None
        model = HistGradientBoostingClassifier(
            max_iter=20, max_leaf_nodes=8, min_samples_leaf=10, learning_rate=0.2, early_stopping=False, random_state=0
        )
        model.fit(x[~held][:, varied], y[~held])
        areas.append(_area(model.predict_proba(x[held][:, varied])[:, 1], y[held]))
    area, positive, negative = float(np.mean(areas)), len(np.unique(owner[y == 1])), len(np.unique(owner[y == 0]))
    return area, area - 1.96 * _standard_error(area, positive, negative)


def _area(score: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    wins = rankdata(score)[y == 1].sum() - y.sum() * (y.sum() + 1) / 2
    return float(wins / (y.sum() * (len(y) - y.sum())))


def _standard_error(area: float, positive: int, negative: int) -> float:
    """Of an AUC, by Hanley and McNeil 1982; what counts is owners, since their images are alike."""
    one, two = area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
    variance = (area * (1 - area) + (positive - 1) * one + (negative - 1) * two) / (positive * negative)
    return float(np.sqrt(max(variance, 0)))
