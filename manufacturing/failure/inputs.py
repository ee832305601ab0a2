"""From a raw row to what the network sees of it, one row after another: part of the graph, exported with it.

A reading is standardised within the regime the machine runs in; beside it stand its backward exponential average, that
average less the mean since the life began, and the age. The state between two rows is the last readings, the averages
and the count: nothing looks ahead, and a life alone gives what it gives among others, bit for bit.

    scaling = fit_scaling(train, settings.inputs)
    features = features_of(Steps(scaling), fleet)          # float32 [rows, F]
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from manufacturing.failure.fleet import Fleet
from manufacturing.failure.settings import Inputs

AGE = 200.0  # rows of a life that count as 1: of the order of a life of C-MAPSS
FAR = 10.0  # standard deviations at which a reading is cut: a broken sensor must not drown the others
MOST_REGIMES = 8
EXPLAINED = 0.999  # share of the settings' variance that regimes must explain, or there is one: noise has none
STILL = 1e-5  # of the largest reading: a spread below it is rounding
ROWS = 20_000  # that regimes are looked for in


@dataclass(frozen=True)
class Scaling:
    """sensors: of a raw row, in order. kept: places of those that are inputs; dropped: why others are not. settings:
    places of those that say the regime. centres: [k, settings], regimes in raw units. mean, std: [k, kept]. low, high:
    [sensors], what train rows ranged over. smoothing: share of a new row in the averages; 0: there are none.
    """

    sensors: tuple[str, ...]
    kept: tuple[int, ...]
    dropped: dict[str, str]
    settings: tuple[int, ...]
    centres: tuple[tuple[float, ...], ...]
    spread: tuple[float, ...]
    mean: tuple[tuple[float, ...], ...]
    std: tuple[tuple[float, ...], ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    smoothing: float

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, saved: dict) -> Scaling:
        """The inverse of `to_json`."""
        tuples = {name: value for name, value in saved.items() if isinstance(value, list)}
        flat = {name: tuple(tuple(x) if isinstance(x, list) else x for x in value) for name, value in tuples.items()}
        return cls(**(saved | flat))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the kept sensors."""
        return tuple(self.sensors[place] for place in self.kept)

    @property
    def features(self) -> int:
        """Columns of a row of features: a block a kind, the age last."""
        return len(self.kept) * (3 if self.smoothing else 1) + 1


def fit_scaling(train: Fleet, settings: Inputs) -> Scaling:
    """On the rows of the train part alone. Settings are no inputs: what is left of them within a regime is noise."""
    values = train.values.astype(np.float64)
    places = tuple(train.sensors.index(name) for name in train.settings)
    centres, spread = _regimes(values[:, places], settings.regimes)
    regime = _nearest(values[:, places], centres, spread)
    dropped: dict[str, str] = {}
    for place, name in enumerate(train.sensors):
        column = values[:, place]
        if np.isnan(column).all():
            dropped[name] = "never read in the train part"
        elif place in places:
            dropped[name] = f"says which of {len(centres)} regimes; readings are standardised within each"
        elif not _moves(column, regime):
            dropped[name] = "carries nothing: constant in the train part" + (" in every regime" * (len(centres) > 1))
    kept = tuple(place for place, name in enumerate(train.sensors) if name not in dropped)
    mean, std = _moments(values[:, kept], regime, len(centres))
    with np.errstate(all="ignore"):
        low, high = np.nanmin(_or_zero(values), axis=0), np.nanmax(_or_zero(values), axis=0)
    return Scaling(
        sensors=train.sensors,
        kept=kept,
        dropped=dropped,
        settings=places,
        centres=_rows(centres),
        spread=tuple(spread.tolist()),
        mean=_rows(mean),
        std=_rows(std),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        smoothing=0.0 if train.single or train.vibration else settings.smoothing,
    )


def without(scaling: Scaling, **changes: object) -> Scaling:
    """The same with other values, for an ablation."""
    return replace(scaling, **changes)  # type: ignore[arg-type]


class Steps(nn.Module):
    """row [n, sensors], raw, NaN where nothing was read, and state [n, D] to features [n, F] and the next state.

    What is missing counts as read last, before the first reading as the mean of the train part.
    """

    kept: Tensor
    settings: Tensor
    centres: Tensor
    spread: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        self.scaling = scaling
        kept, places = list(scaling.kept), list(scaling.settings)
        self.register_buffer("kept", torch.tensor(kept, dtype=torch.int64))
        self.register_buffer("settings", torch.tensor(places, dtype=torch.int64))
        self.register_buffer(
            "centres", torch.tensor(scaling.centres, dtype=torch.float32).view(len(scaling.centres), len(places))
        )
        self.register_buffer("spread", torch.tensor(scaling.spread, dtype=torch.float32))
        self.register_buffer("mean", torch.tensor(scaling.mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(scaling.std, dtype=torch.float32))

    def first(self, n: int) -> Tensor:
        """The state before the first row: last reading, exponential average and mean of each sensor, the count."""
        return torch.zeros(n, (3 if self.scaling.smoothing else 1) * len(self.scaling.kept) + 1)

    def forward(self, row: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        k = len(self.scaling.kept)
        count = state[:, -1:] + 1
        mean, std = self._regime(row)
        z = ((row[:, self.kept] - mean) / std).clamp(-FAR, FAR)
        z = torch.where(z.isnan(), state[:, :k], z)
        age = count / AGE
        if not self.scaling.smoothing:
            return torch.cat([z, age], 1), torch.cat([z, count], 1)
        average, so_far = state[:, k : 2 * k], state[:, 2 * k : 3 * k]
        share = torch.where(count == 1, 1.0, self.scaling.smoothing)
        average = average + share * (z - average)
        so_far = so_far + (z - so_far) / count
        return torch.cat([z, average, average - so_far, age], 1), torch.cat([z, average, so_far, count], 1)

    def _regime(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation [n, kept] of the nearest regime; a setting that was not read counts as the first's."""
        if len(self.scaling.centres) == 1:
            return self.mean, self.std
        found = row[:, self.settings].unsqueeze(1)
        found = torch.where(found.isnan(), self.centres[:1], found)
        nearest = (((found - self.centres) / self.spread) ** 2).sum(2).argmin(1)
        return self.mean[nearest], self.std[nearest]


@torch.no_grad()
def features_of(steps: Steps, fleet: Fleet) -> Tensor:
    """float32 [rows, F]: all lives side by side, one row after another; at once where nothing is averaged."""
    values = torch.from_numpy(fleet.values)
    if not steps.scaling.smoothing:
        return _at_once(steps, values, fleet)
    found = torch.empty(fleet.rows, steps.scaling.features)
    lengths = np.diff(fleet.starts)
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = torch.from_numpy(fleet.starts[:-1][order]), lengths[order]
    state = steps.first(fleet.lives)
    for step in range(int(lengths[0]) if len(lengths) else 0):
        alive = int(np.searchsorted(-lengths, -step, side="left"))  # lives with more rows than `step`
        rows = starts[:alive] + step
        features, state = steps(values[rows], state[:alive])
        found[rows] = features
    return found


def _at_once(steps: Steps, values: Tensor, fleet: Fleet) -> Tensor:
    """The state is then what was read last, and the count."""
    first = torch.from_numpy(first_rows(fleet))
    row = torch.arange(fleet.rows)
    state = torch.full((fleet.rows, steps.first(0).shape[1]), torch.nan)
    state[:, -1] = (row - first).float()
    found, _ = steps(values, state)
    unread = found.isnan()
    if bool(unread.any()):
        last = torch.where(unread, -1, row.unsqueeze(1)).cummax(0).values
        before = found.gather(0, last.clamp(min=0))
        found = torch.where(last >= first.unsqueeze(1), before, 0.0)
    return found


def first_rows(fleet: Fleet) -> NDArray[np.int64]:
    """int64 [rows]: where the life of each row begins."""
    return np.repeat(fleet.starts[:-1], np.diff(fleet.starts))


def _regimes(settings: NDArray[np.float64], asked: int | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres [k, s] in raw units and the spread [s] they are measured by."""
    from sklearn.cluster import KMeans

    known = settings[~np.isnan(settings).any(1)]
    if not settings.shape[1] or not len(known):
        return np.zeros((1, settings.shape[1])), np.ones(settings.shape[1])
    spread = np.where(known.std(0) > STILL * np.abs(known).max(0), known.std(0), 1.0)
    few = np.random.default_rng(0).permutation(len(known))[:ROWS]
    scaled = known[few] / spread
    total = ((scaled - scaled.mean(0)) ** 2).sum()
    distinct = len(np.unique(scaled.round(6), axis=0))
    for k in [asked] if asked else range(2, min(MOST_REGIMES, distinct) + 1):
        found = KMeans(min(k, distinct), n_init=10, random_state=0).fit(scaled)
        if asked or found.inertia_ <= (1 - EXPLAINED) * total:
            return found.cluster_centers_ * spread, spread
    return known.mean(0, keepdims=True), spread


def _nearest(
    settings: NDArray[np.float64], centres: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.int64]:
    if len(centres) == 1:
        return np.zeros(len(settings), np.int64)
    found = np.where(np.isnan(settings), centres[:1], settings)
    distance = np.stack([(((found - centre) / spread) ** 2).sum(1) for centre in centres], 1)
    return distance.argmin(1)


def _moves(column: NDArray[np.float64], regime: NDArray[np.int64]) -> bool:
    """Whether a sensor changes inside a regime."""
    largest = np.nanmax(np.abs(column))
    for one in np.unique(regime):
        inside = column[(regime == one) & ~np.isnan(column)]
        if len(inside) and inside.std() > STILL * max(largest, 1e-300):
            return True
    return False


def _moments(
    values: NDArray[np.float64], regime: NDArray[np.int64], regimes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each regime; where a sensor does not move there, it has the deviation of all rows."""
    with np.errstate(all="ignore"):
        overall = np.nan_to_num(np.nanmean(_or_zero(values), 0)), np.nanstd(_or_zero(values), 0)
        pairs = [
            (np.nanmean(_or_zero(values[regime == k]), 0), np.nanstd(_or_zero(values[regime == k]), 0))
            for k in range(regimes)
        ]
    mean = np.stack([np.where(np.isnan(m), overall[0], m) for m, _ in pairs])
    whole = np.where(overall[1] > 0, overall[1], 1.0)
    size = np.nanmax(np.abs(_or_zero(values)), 0, initial=1e-300)
    std = np.stack([np.where(np.nan_to_num(s) > STILL * size, s, whole) for _, s in pairs])
    return mean, std


def _or_zero(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns without any reading as zeros, so that numpy does not warn of an empty mean."""
    return np.where(np.isnan(values).all(0), 0.0, values) if len(values) else np.zeros((1, values.shape[1]))


def _rows(matrix: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
