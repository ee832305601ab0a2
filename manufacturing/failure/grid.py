"""Readings brought to one row a cycle, or to one row a cell of a grid; vectorised, and one row after another the same.

A cell holds the mean of the readings that fell into it, NaN for a sensor that was silent. Cells count from the first
reading of a life; one in which nothing was read is a row of NaN.

>>> values, time = np.array([[1.0], [3.0], [5.0]], np.float32), np.array([10.0, 10.5, 12.25])
>>> found = to_grid(values, time, np.array([0, 3]), 1.0, where="pump.csv")
>>> found.values.ravel().tolist(), found.time.tolist()
([2.0, nan, 5.0], [10.5, 11.0, 12.25])
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.errors import UserError

MOST_EMPTY = 20  # cells for each reading from which a grid is finer than the readings can mean
FEW, OF_A_LIFE = 1_000_000, 100_000  # cells of a table, and of a life, that are no burden, whatever their share


@dataclass(frozen=True)
class Cells:
    """values: float32 [cells, sensors]. time: of the last reading in each; of an empty one its start. starts: [lives +
    1]. last: int64 [cells], the row whose reading was the last, -1 where empty.
    """

    values: NDArray[np.float32]
    time: NDArray[np.float64]
    starts: NDArray[np.int64]
    last: NDArray[np.int64]


def to_grid(
    values: NDArray[np.float32], time: NDArray[np.float64], starts: NDArray[np.int64], width: float, *, where: str
) -> Cells:
    """values [rows, sensors], time [rows] rising in each life, starts [lives + 1]; width in the unit of the clock.

    Raises UserError where almost all cells would be empty, of the table or of a life up to one of its readings.
    """
    length = np.diff(starts)
    begin = np.repeat(time[starts[:-1]], length)
    number = np.arange(len(time)) - np.repeat(starts[:-1], length)
    passed = np.floor((time - begin) / width)
    alone = np.flatnonzero(almost_empty(passed + 1, number + 1))
    if len(alone):
        raise UserError(
            f"data.grid={width:g}: a life of {where} would become {passed[alone[0]] + 1:,.0f} rows by its reading "
            f"{number[alone[0]] + 1:,}, almost all empty",
            hint=f"a time that is wrong, or a wider grid: the readings are {float(np.median(np.diff(time))):g} apart",
        )
    cell = passed.astype(np.int64)
    cells = cell[starts[1:] - 1] + 1
    total = int(cells.sum())
    if total > max(FEW, MOST_EMPTY * len(time)):
        raise UserError(
            f"data.grid={width:g}: {len(time):,} readings of {where} would become {total:,} rows, almost all empty",
            hint=f"the readings are {float(np.median(np.diff(time))):g} apart; a grid of that width or more",
        )
    first = np.concatenate([[0], np.cumsum(cells)]).astype(np.int64)
    of_row = np.repeat(first[:-1], length) + cell
    number = np.arange(total) - np.repeat(first[:-1], cells)
    found, last = _means(values, of_row, total)
    when = np.repeat(time[starts[:-1]], cells) + number * width
    when[last >= 0] = time[last[last >= 0]]
    return Cells(found, when, first, last)


def almost_empty(cells: NDArray[np.float64], readings: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether so many cells of a life, at its reading of that number, are more than can be meant, bool [n].

    >>> almost_empty(np.array([100_000.0, 100_001.0, 100_001.0]), np.array([2, 2, 10_000])).tolist()
    [False, True, False]
    """
    return cells > np.maximum(OF_A_LIFE, MOST_EMPTY * readings)


def to_cycles(
    values: NDArray[np.float32], time: NDArray[np.float64], starts: NDArray[np.int64], cycle: NDArray[np.float64]
) -> Cells:
    """One row for each run of equal `cycle` [rows] within a life."""
    begins = np.append(True, cycle[1:] != cycle[:-1])
    begins[starts[:-1]] = True
    of_row = np.cumsum(begins) - 1
    found, last = _means(values, of_row, int(of_row[-1]) + 1)
    return Cells(found, time[last], np.append(of_row[starts[:-1]], len(found)).astype(np.int64), last)


def _means(
    values: NDArray[np.float32], cell: NDArray[np.int64], cells: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Means [cells, sensors], and the last row of each cell. cell: [rows], rising."""
    found = np.empty((cells, values.shape[1]), np.float32)
    for sensor, column in enumerate(values.T):
        known = ~np.isnan(column)
        count = np.bincount(cell[known], minlength=cells)
        # `bincount` adds one reading after another, in float64, exactly as a stream does.
        total = np.bincount(cell[known], weights=column[known], minlength=cells)
        found[:, sensor] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    last = np.full(cells, -1, np.int64)
    last[cell] = np.arange(len(cell))
    return found, last
