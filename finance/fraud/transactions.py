"""Transactions as arrays in the order of their time: what histories, models and decisions read.

Time is whole microseconds and money whole millionths of a unit, so that counts and sums are exact in whatever order
and portions they are added up; a history that is computed at once and one that grows by a row are then the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.data.columns import Columns, Rows

Whole = NDArray[np.int64]

SECOND = 1_000_000  # of `time`
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86400 * SECOND
UNIT = 1_000_000  # of `amount`: millionths of the currency's unit
GOOD, FRAUD, NO_OUTCOME = 0, 1, -1


@dataclass(frozen=True)
class Transactions:
    """n transactions, sorted by `time` (equal times keep the order in which they came).

    id: [n] text, each once. time: int64 [n], microseconds since 1970 in UTC. seen: int64 [n], from when on a row may be
    used for others (`data.known_at`), never before its own time. amount: int64 [n], millionths of a unit; negative is
    money that went back. entities: of each kind (`card`, `terminal`) int64 codes [n] into `levels[kind]`, the names in
    the data. label: int8 [n], `FRAUD`, `GOOD` or `NO_OUTCOME`. declined: bool [n], refused at the time (`data.action`):
    part of the history, without an outcome. extras: further columns of the data, with `columns` saying which.
    scenario: int8 [n], which known kind of fraud a simulated row is, 0 none; None where nobody knows.
    """

    id: NDArray[np.str_]
    time: Whole
    seen: Whole
    amount: Whole
    entities: Mapping[str, Whole]
    levels: Mapping[str, NDArray[np.str_]]
    label: NDArray[np.int8]
    declined: NDArray[np.bool_]
    extras: Rows
    columns: Columns
    scenario: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.time)

    def take(self, which: NDArray[np.integer] | NDArray[np.bool_] | slice) -> Transactions:
        """The rows at these positions, or where this mask is true; codes keep their levels."""
        changed: dict[str, Any] = {
            field.name: getattr(self, field.name)[which]
            for field in fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        changed["entities"] = {kind: codes[which] for kind, codes in self.entities.items()}
        return replace(self, extras=self.extras.take(which), **changed)
