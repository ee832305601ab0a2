"""What a stream keeps of each unit: the state of the step layer, the last W rows of features, the open cell.

Arrays over all units, a slot each; they double when they are full. A unit's share does not depend on how long it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

FIRST_SLOTS = 16
NEVER = -np.inf  # the time of a unit's last row before its first


@dataclass
class Memory:
    """state: float32 [slots, D]. ring: float32 [slots, W, F], the next row goes to `place`. time: of the last row.
    rows: taken in of this life. steps: of the layer, since a row of a grid may be several rows.

    origin, cell: when the first cell began, and the number of the open one. total, count: [slots, S], the sum and the
    number of readings in it. All four are of use with a grid only, and have no size without one.
    """

    state: NDArray[np.float32]
    ring: NDArray[np.float32]
    place: NDArray[np.int64]
    time: NDArray[np.float64]
    rows: NDArray[np.int64]
    steps: NDArray[np.int64]
    origin: NDArray[np.float64]
    cell: NDArray[np.int64]
    total: NDArray[np.float64]
    count: NDArray[np.int32]

    @classmethod
    def empty(cls, slots: int, *, state: int, window: int, features: int, sensors: int) -> Memory:
        """sensors: whose sums are kept for the open cell; 0 without a grid."""
        return cls(
            state=np.zeros((slots, state), np.float32),
            ring=np.zeros((slots, window, features), np.float32),
            place=np.zeros(slots, np.int64),
            time=np.full(slots, NEVER),
            rows=np.zeros(slots, np.int64),
            steps=np.zeros(slots, np.int64),
            origin=np.zeros(slots),
            cell=np.zeros(slots, np.int64),
            total=np.zeros((slots, sensors)),
            count=np.zeros((slots, sensors), np.int32),
        )

    def __len__(self) -> int:
        return len(self.time)

    @property
    def bytes_per_unit(self) -> int:
        """Of all arrays, a slot."""
        return sum(array[:1].nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """By name, as they are saved."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def hold(self, slots: int) -> None:
        """Room for so many, by doubling, so that taking in n units one by one copies each at most twice."""
        size = len(self)
        if slots <= size:
            return
        while size < slots:
            size = max(FIRST_SLOTS, 2 * size)
        for name, array in self.arrays().items():
            larger = np.zeros((size, *array.shape[1:]), array.dtype)
            larger[: len(array)] = array
            setattr(self, name, larger)

    def clear(self, slots: NDArray[np.int64], first: NDArray[np.float32]) -> None:
        """A life begins in these slots. first: [D], the state before any row."""
        self.state[slots] = first
        self.time[slots] = NEVER
        for array in (self.place, self.rows, self.steps, self.cell, self.count, self.total):
            array[slots] = 0

    def move(self, source: int, target: int) -> None:
        """One unit's share to another slot."""
        for array in self.arrays().values():
            array[target] = array[source]

    def push(self, slots: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        """A row of features [n, F] for each slot, every slot once; the first of a life fills the window."""
        first = self.steps[slots] == 0
        if first.any():
            self.ring[slots[first]] = features[first, None]
        self.ring[slots, self.place[slots]] = features
        self.place[slots] = (self.place[slots] + 1) % self.ring.shape[1]
        self.steps[slots] += 1

    def window(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 [n, W, F], the oldest row first."""
        _, length, features = self.ring.shape
        within = (self.place[slots, None] + np.arange(length)) % length
        flat = (slots[:, None] * length + within).ravel()
        return self.ring.reshape(-1, features)[flat].reshape(len(slots), length, features)


def ranks(slots: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows of the same slot stand before each, int64 [n].

    >>> ranks([7, 2, 7, 7, 2]).tolist()
    [0, 0, 1, 2, 1]
    """
    slots = np.asarray(slots, np.int64)
    order = np.argsort(slots, kind="stable")
    ordered = slots[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(slots) else np.zeros(0, np.int64)
    lengths = np.diff(np.append(starts, len(slots)))
    found = np.empty(len(slots), np.int64)
    found[order] = np.arange(len(slots)) - np.repeat(starts, lengths)
    return found
