"""Histories of machines as arrays: life after life, and within a life row after row.

A machine that is repaired starts another life. What is asked of a fleet (remaining life, a failure soon, which fault,
health) reads the same arrays; a table of products is a fleet of lives with one row, a vibration record a life whose
rows are samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.errors import UserError, did_you_mean

Question = Literal["rul", "failure", "diagnosis", "health"]
NOT_GIVEN = -1  # the part of a life that the publisher put into none; the label of a row that nobody knows


@dataclass(frozen=True)
class Fleet:
    """sensors: names of the columns of `values` [rows, sensors], float32 in raw units, NaN where nothing was read; what
    never changes in a life (type, age when new) is a sensor too. time: float64 [rows], rising within a life, in `clock`
    (`cycles`, `hours`, `rows`). starts: int64 [lives + 1]; the rows of life i are starts[i]:starts[i + 1].

    unit: [lives], the machine; lives of one machine share it. failed_at: float64 [lives], on the same clock, NaN where
    the life did not end in a failure that is known. seen_until: float64 [lives]: until then it is known not to have
    failed (a censored life's end; the last row or later). part: int8 [lives], an index into `splits.PARTS`, -1: none.

    label: int64 [rows], an index into `labels`, -1 unknown; None where failures are dates. mode: of a life, what failed
    (an index into `modes`, -1 unknown).
    """

    name: str
    question: Question
    sensors: tuple[str, ...]
    values: NDArray[np.float32]
    time: NDArray[np.float64]
    starts: NDArray[np.int64]
    unit: NDArray[np.str_]
    failed_at: NDArray[np.float64]
    seen_until: NDArray[np.float64]
    part: NDArray[np.int8]
    clock: str = "cycles"
    label: NDArray[np.int64] | None = None
    labels: tuple[str, ...] = ()
    mode: NDArray[np.int64] | None = None
    modes: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()  # sensors that say how the machine is run; regimes are found in them
    published_split: bool = False
    vibration: bool = False  # rows are samples, evenly spaced, read as spectra
    cap: float | None = None  # of the remaining life that is learned, where the protocol of a public set has one
    licence: str | None = None
    cite: str | None = None
    meanings: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def lives(self) -> int:
        return len(self.starts) - 1

    @property
    def single(self) -> bool:
        """Whether each life is one row: products, not histories."""
        return bool((np.diff(self.starts) == 1).all())

    @property
    def rows(self) -> int:
        return len(self.time)

    def life_of_row(self) -> NDArray[np.int64]:
        """int64 [rows]."""
        return np.repeat(np.arange(self.lives), np.diff(self.starts))

    def last_rows(self) -> NDArray[np.int64]:
        """int64 [lives]: where each life's last row stands."""
        return self.starts[1:] - 1

    def remaining(self) -> NDArray[np.float64]:
        """float64 [rows]: time until the failure, NaN in lives whose failure is not known."""
        return np.repeat(self.failed_at, np.diff(self.starts)) - self.time

    def outlived(self) -> NDArray[np.float64]:
        """float64 [rows]: the least the remaining time can be; known for every row."""
        return np.repeat(np.fmax(self.failed_at, self.seen_until), np.diff(self.starts)) - self.time

    def take(self, lives: NDArray[np.int64]) -> Fleet:
        """These lives, whole, in this order."""
        lengths = np.diff(self.starts)[lives]
        rows = (
            np.concatenate([np.arange(self.starts[i], self.starts[i + 1]) for i in lives])
            if len(lives)
            else np.zeros(0, np.int64)
        )
        return replace(
            self,
            values=self.values[rows],
            time=self.time[rows],
            starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            unit=self.unit[lives],
            failed_at=self.failed_at[lives],
            seen_until=self.seen_until[lives],
            part=self.part[lives],
            label=None if self.label is None else self.label[rows],
            mode=None if self.mode is None else self.mode[lives],
        )

    def reading(self, sensors: Sequence[str]) -> Fleet:
        """With these sensors only, and the settings. Raises UserError for a name that it does not have."""
        for name in sensors:
            if name not in self.sensors:
                raise UserError(f"data.sensors: {self.name} has no `{name}`; {did_you_mean(name, self.sensors)}")
        names = tuple(name for name in self.sensors if name in {*sensors, *self.settings})
        places = [self.sensors.index(name) for name in names]
        return replace(self, sensors=names, values=np.ascontiguousarray(self.values[:, places]))

    def of_part(self, code: int) -> Fleet:
        """The lives of one part."""
        return self.take(np.flatnonzero(self.part == code))
