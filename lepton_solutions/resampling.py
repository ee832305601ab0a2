"""How sure is a number that was measured on these rows? 95 % intervals from resamples of rows, or of groups of rows,
and of several such numbers.

A resample is a vector of row weights, so that one sort of the rows serves all of them, and equal generators give equal
resamples of equally many rows. Where several rows come from one owner (images of a patient), whole owners are drawn:
rows that resemble each other would else count as more than they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_CHUNK = 1_000_000  # cells of one block of resamples: 8 MB, and about ten such blocks are alive at once


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % interval; low <= value <= high."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def student(values: Sequence[float]) -> Interval:
    """The mean of what was measured several times, on folds, periods or seeds, by Student's t; of one value itself.

    >>> found = student([1.0, 2.0, 3.0])
    >>> round(found.low, 3), found.value, round(found.high, 3)
    (-0.484, 2.0, 4.484)
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, mean, mean)
    from scipy import stats  # here because it takes half a second

    reach = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return Interval(mean, mean - reach, mean + reach)


def resamples(rows: int, replicates: int) -> int:
    """How many resamples are drawn: `replicates` up to 20,000 rows, above that as many as equal work allows, 200 or so.

    >>> resamples(30_000, 1000)
    666
    """
    return min(replicates, max(200, replicates * 20_000 // max(rows, 1)))


def resample(
    weight: Array, generator: np.random.Generator, count: int, *, groups: np.ndarray | None = None
) -> Iterator[Array]:
    """`count` resamples as row weights, [k, n] a block: how often a row was drawn, times its own weight.

    groups: [n], whose row it is; as many groups as there are are drawn, each with all its rows. None: each row by
    itself.
    """
    n = len(weight)
    member = None if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    owners = n if member is None else int(member.max(initial=-1)) + 1
    if owners == n:  # the same draws whether or not it is said that nobody owns two rows
        member = None
    size = max(1, _CHUNK // max(n, 1))
    for start in range(0, count, size):
        k = min(size, count - start)
        drawn = generator.integers(owners, size=(k, owners)) + owners * np.arange(k)[:, None]
        times = np.bincount(drawn.ravel(), minlength=k * owners).reshape(k, owners)
        yield (times if member is None else times[:, member]) * weight


def interval(value: float, drawn: Array, *, reflect: bool = False, top: float = np.inf) -> Interval:
    """From resampled values: their 2.5 and 97.5 % quantiles, or those reflected at the value and kept in [0, top].

    Resamples without a value are NaN and left out; without any the interval is the value.
    """
    seen = drawn[~np.isnan(drawn)]
    if not len(seen):
        return Interval(value, value, value)
    low, high = (float(end) for end in np.quantile(seen, (0.025, 0.975)))
    if reflect:
        low, high = max(0.0, 2 * value - high), min(top, 2 * value - low)
    return Interval(value, min(low, value), max(high, value))
