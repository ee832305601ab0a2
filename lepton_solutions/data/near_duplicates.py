"""Which pictures are copies of one another: resized, recompressed, turned, mirrored, zoomed, sheared, shifted a little?

    copies = near_duplicates(thumbnails)     # uint8 [n, 64, 64]
    copies.groups                            # one code for each set of copies

Three steps, each on what the one before let through. Descriptions that turning and mirroring keep (`discs.py`) propose
pairs; the best turn gives a first correlation; laid over one another (`alignment.py`), copies agree pixel by pixel. How
far pictures of this set agree that are no copies is measured on such pairs: chest X-rays, which are all alike, need a
better agreement than tissue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.stats import norm

from lepton_solutions.data.alignment import agreement
from lepton_solutions.data.discs import VIEWS, Pictures, band, description, rings, turned

BUDGET = 16  # pairs proposed by chance for each picture; the copies come on top
FEATURES = 64  # principal components of a description that are compared
CELL = 2000  # pictures compared at once; of a larger set each picture looks into the nearest cells only
VISITED = 6
LEAST, MOST = 0.7, 0.9999  # the agreement that makes a copy lies between these, whatever the set
FALSE_PAIRS = 0.01  # expected among all pairs of the set
SPARED = 0.2  # the correlation of the discs may lie so far below the agreement that is asked for, and is aligned
COMPARED = 400  # pairs of unlike pictures on which chance is measured
ALIGNED = 3  # pairs a picture that are aligned although their discs agree less than is asked for
FEW, FEW_GATE, FEW_LIMIT = 20, 0.3, 0.9  # sets too small to measure chance on: every pair is aligned
CHUNK, AT_ONCE = 2048, 256  # pictures described, pairs aligned, in one go: some 100 MB


@dataclass(frozen=True)
class Copies:
    """pairs: [m, 2], positions of pictures, the smaller first. agreement: [m], correlation after alignment. limit: the
    agreement from which a pair is one of copies. groups: [n], 0.., pictures linked by pairs share a code.
    """

    pairs: NDArray[np.int64]
    agreement: NDArray[np.float32]
    limit: float
    groups: NDArray[np.int64]


def near_duplicates(thumbnails: NDArray[np.uint8]) -> Copies:
    """The copies among square grey thumbnails, [n, side, side]; of sides other than 64 the same holds in proportion.

    A picture without contrast is nobody's copy. A pair may be missed of which one shows less than half of what the
    other does, or whose middles lie apart by more than the grain of the picture: 2 % of the side in fine tissue, 4 % in
    coarse. (Zoomed about another point than the middle, a copy is shifted too.)
    """
    n = len(thumbnails)
    scale = thumbnails.shape[1] / 64
    smooth = np.empty(thumbnails.shape, dtype=np.float32)
    for rows in _chunks(n):
        smooth[rows] = band(thumbnails[rows], fine=1.2 * scale, coarse=8 * scale)
    usable = np.flatnonzero(smooth.any(axis=(1, 2)))
    if len(usable) < 2:
        return Copies(np.zeros((0, 2), np.int64), np.zeros(0, np.float32), LEAST, np.arange(n))
    # Of 100,000 thumbnails `smooth` takes 1.6 GB: copied only where some are left out.
    smooth, small = (smooth, thumbnails) if len(usable) == n else (smooth[usable], thumbnails[usable])
    index = _Index.of(smooth)
    gate, limit = _chance(small, smooth, index)
    pairs, views = _proposed(smooth, index)
    found = _agreed(small, smooth, pairs, views, gate=gate, asked=limit)
    kept = found >= limit
    named = np.sort(usable[pairs[kept]], axis=1)
    link = coo_matrix((np.ones(len(named)), (named[:, 0], named[:, 1])), shape=(n, n))
    groups = connected_components(link, directed=False)[1].astype(np.int64)
    return Copies(named, found[kept], limit, groups)


@dataclass(frozen=True)
class _Index:
    """Descriptions of the whole discs, [n, FEATURES] of unit length, sorted into cells of pictures that look alike."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    whole: NDArray[np.float32]
    centres: NDArray[np.float32]
    cells: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, smooth: Pictures) -> _Index:
        raw = np.concatenate([description(rings(smooth[rows], VIEWS[0])) for rows in _chunks(len(smooth))])
        if len(raw) < FEW:
            same = np.eye(raw.shape[1], dtype=np.float32)
            return cls(np.zeros_like(raw[0]), same, _unit(raw), _unit(raw[:1]), (np.arange(len(raw)),))
        sample = raw[:: max(1, len(raw) // 5000)]
        mean = sample.mean(axis=0)
        _, sizes, directions = np.linalg.svd(sample - mean, full_matrices=False)
        # Half whitened: the strong directions still count for more, as they are measured better.
        axes = (directions[:FEATURES].T / np.sqrt(np.maximum(sizes[:FEATURES], 1e-6))).astype(np.float32)
        whole = _unit((raw - mean) @ axes)
        centres = whole[np.linspace(0, len(whole) - 1, max(1, len(whole) // CELL)).astype(int)]
        for _ in range(5):
            nearest = (whole @ centres.T).argmax(axis=1)
            sums = np.zeros_like(centres)
            np.add.at(sums, nearest, whole)
            centres = _unit(sums)
        nearest = (whole @ centres.T).argmax(axis=1)
        return cls(mean, axes, whole, centres, tuple(np.flatnonzero(nearest == k) for k in range(len(centres))))

    def seen(self, smooth: Pictures, view: int) -> NDArray[np.float32]:
        """Descriptions of one view of each picture, to be compared with `whole`."""
        return _unit((description(rings(smooth, VIEWS[view])) - self.mean) @ self.axes)


def _proposed(smooth: Pictures, index: _Index) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs whose descriptions are closer than chance makes most, [m, 2]: the whole of the first looks like a view of
    the second; and that view, [m].
    """
    closest = _closest_by_chance(smooth, index)
    visited = min(VISITED, len(index.centres))
    found = []
    for view in range(len(VIEWS)):
        for rows in _chunks(len(smooth)):
            seen = index.seen(smooth[rows], view)
            near = np.argpartition(-(seen @ index.centres.T), visited - 1, axis=1)[:, :visited]
            for number, cell in enumerate(index.cells):
                visitors = np.flatnonzero((near == number).any(axis=1))
                likeness = seen[visitors] @ index.whole[cell].T
                at, of = np.nonzero(likeness > closest)
                first, second = cell[of], rows.start + visitors[at]
                apart = first != second
                one = np.stack([first, second, np.full(len(first), view)], axis=1)[apart]
                found.append((one, likeness[at, of][apart]))
    named = np.concatenate([one for one, _ in found])
    # Of the ways in which the two pictures of a pair were proposed, the likeliest.
    order = np.argsort(-np.concatenate([likeness for _, likeness in found]), kind="stable")
    low, high = named[order, :2].min(axis=1), named[order, :2].max(axis=1)
    _, best = np.unique(low * len(smooth) + high, return_index=True)
    named = named[order[best]]
    return named[:, :2], named[:, 2]


def _closest_by_chance(smooth: Pictures, index: _Index) -> float:
    """The likeness that `BUDGET` pairs a picture reach, over all views."""
    if len(smooth) < FEW:
        return -1.0
    rows = np.unique(np.linspace(0, len(smooth) - 1, 20 * len(VIEWS)).astype(int))
    likeness = []
    for view in range(len(VIEWS)):
        some = rows[view :: len(VIEWS)]
        one = index.seen(smooth[some], view) @ index.whole.T
        one[np.arange(len(some)), some] = -1
        likeness.append(one.ravel())
    together = np.concatenate(likeness)
    wanted = max(1, round(len(together) * BUDGET / (len(smooth) * len(VIEWS))))
    return float(np.partition(together, -wanted)[-wanted]) if wanted < len(together) else -1.0


def _agreed(
    small: NDArray[np.uint8],
    smooth: Pictures,
    pairs: NDArray[np.int64],
    views: NDArray[np.int64],
    *,
    gate: float,
    asked: float,
) -> NDArray[np.float32]:
    """The agreement of each pair, [m]. Not aligned, and -1, are pairs whose discs correlate below `gate`, and of those
    below `asked` all but the best `ALIGNED` a picture.
    """
    best, guess, mirrored = _turned(smooth, pairs, views)
    doubtful = np.sort(best[(best >= gate) & (best < asked)])[::-1]
    if len(doubtful) > ALIGNED * len(small):
        gate = float(doubtful[ALIGNED * len(small)])
    passed = np.flatnonzero(best >= gate)
    found = np.full(len(pairs), -1.0, dtype=np.float32)
    for start in range(0, len(passed), AT_ONCE):
        some = passed[start : start + AT_ONCE]
        found[some] = agreement(small, pairs[some], guess[some], mirrored[some], asked=asked)
    return found


def _turned(
    smooth: Pictures, pairs: NDArray[np.int64], views: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Pair by pair the best correlation of the discs, the guess that it gives for the alignment, and mirrored."""
    best, guess = np.zeros(len(pairs), np.float32), np.zeros((len(pairs), 2, 2), np.float32)
    mirrored = np.zeros(len(pairs), dtype=bool)
    for view in np.unique(views):
        of_view = np.flatnonzero(views == view)
        for rows in _chunks(len(of_view)):
            some = of_view[rows]
            first, second = pairs[some].T
            best[some], turn, mirrored[some] = turned(
                rings(smooth[first], VIEWS[0]), rings(smooth[second], VIEWS[view])
            )
            flip = np.where(mirrored[some, None, None], np.array([[-1, 0], [0, 1]]), np.eye(2))
            cos, sin = np.cos(turn), np.sin(turn)
            guess[some] = flip @ VIEWS[view] @ flip @ np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)
    return best, guess, mirrored


def _chance(small: NDArray[np.uint8], smooth: Pictures, index: _Index) -> tuple[float, float]:
    """What unlike pictures reach: the correlation of discs that 2 % of them exceed, and the agreement from which fewer
    than `FALSE_PAIRS` are expected among all pairs.

    Partners are drawn from the tenth of the set that looks most alike, so that heads are compared with heads where the
    set holds heads and chests. Fisher's z of their agreement is close to normal.
    """
    n = len(small)
    if n < FEW:
        return FEW_GATE, FEW_LIMIT
    first = np.unique(np.linspace(0, n - 1, min(COMPARED, n)).astype(int))
    likeness = index.whole[first] @ index.whole.T
    likeness[np.arange(len(first)), first] = -2
    order = np.argsort(-likeness, axis=1)[:, : max(1, min(n - 1, max(n // 10, 40)))]
    # The golden ratio scatters the ranks evenly, and without chance.
    rank = (np.arange(len(first)) * 0.6180339887498949 % 1 * order.shape[1]).astype(int)
    second = order[np.arange(len(first)), rank]
    alike = [np.einsum("nf,nf->n", index.whole[first], index.seen(smooth[second], v)) for v in range(len(VIEWS))]
    pairs, views = np.stack([first, second], axis=1), np.argmax(alike, axis=0)
    discs = _turned(smooth, pairs, views)[0]
    reached = _agreed(small, smooth, pairs, views, gate=-2.0, asked=-1.0)
    reached = np.arctanh(np.clip(reached, -0.99999, 0.99999))
    usual, seldom = np.quantile(reached, [0.5, 0.9])
    far = norm.isf(FALSE_PAIRS / (n * (n - 1) / 2)) / norm.isf(0.1)
    limit = float(np.clip(np.tanh(usual + far * (seldom - usual)), LEAST, MOST))
    return min(float(np.quantile(discs, 0.98)), limit - SPARED), limit


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)).astype(np.float32)


def _chunks(n: int) -> Iterator[slice]:
    yield from (slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK))
