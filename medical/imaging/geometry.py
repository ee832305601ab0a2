"""Where slices lie in the body: their order, the gaps between them, and the one axis order of all volumes.

Directions are DICOM's: x to the patient's left, y to the back, z to the head. A volume is [channels, z, y, x]. Axes are
turned and swapped to the nearest of these, never resampled: an oblique scan stays oblique.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from lepton_solutions.errors import UserError

PLANES = {0: "sagittal", 1: "coronal", 2: "axial"}  # by the axis that the slices are stacked along
LOOSE_MM = 0.1  # scanners round positions to a tenth of a millimetre
LOOSE = 0.05  # share of the gap by which gaps may differ, for large gaps


def turned(
    volume: np.ndarray, directions: np.ndarray, spacing: Sequence[float]
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """A volume [channels, a, b, c] as [channels, z, y, x], and its spacing likewise.

    directions: [3, 3], for each of the axes a, b, c the direction (x, y, z) in which its index rises.
    """
    # Of the six ways to name three axes, the one that is nearest: greedy choices fail at 45 degrees.
    best = max(permutations(range(3)), key=lambda axes: sum(abs(directions[a, axes[a]]) for a in range(3)))
    source = [best.index(world) for world in (2, 1, 0)]  # our z, y, x come from these axes
    flips = [directions[axis, best[axis]] < 0 for axis in source]
    result = volume.transpose(0, *(1 + axis for axis in source))
    result = result[(slice(None), *(slice(None, None, -1 if flip else 1) for flip in flips))]
    z, y, x = (float(spacing[axis]) for axis in source)
    return np.ascontiguousarray(result), (z, y, x)


def normal(orientation: np.ndarray) -> np.ndarray:
    """The direction in which slices are stacked, length 1. orientation: DICOM's six cosines."""
    return np.cross(orientation[:3], orientation[3:])


def is_orientation(cosines: np.ndarray) -> bool:
    """Two directions of length 1 at a right angle, within what scanners round."""
    if cosines.shape != (6,) or not np.isfinite(cosines).all():
        return False
    row, column = cosines[:3], cosines[3:]
    return bool(abs(row @ row - 1) < 0.02 and abs(column @ column - 1) < 0.02 and abs(row @ column) < 0.02)


def plane(orientation: np.ndarray) -> str:
    """axial, coronal or sagittal, whichever is nearest."""
    return PLANES[int(np.abs(normal(orientation)).argmax())]


def order(place: str, positions: np.ndarray, orientation: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, float]:
    """The slices from first to last along their normal, and the gap between them in mm.

    positions: [slices, 3], mm. names: of the slices, for messages. Raises UserError for slices that are there twice,
    are missing in between, or lie at uneven distances.
    """
    along = positions @ normal(orientation)
    rising = np.argsort(along, kind="stable")
    gaps = np.diff(along[rising])
    gap = float(np.median(gaps))
    loose = max(LOOSE_MM, LOOSE * gap)

    def between(number: int) -> str:
        return f"`{names[rising[number]]}` and `{names[rising[number + 1]]}`"

    twice = np.flatnonzero(gaps < min(0.01, 0.1 * gap) if gap > 0 else gaps <= 0)
    if len(twice):
        raise UserError(
            f"{place}: found {len(twice)} slices at the place of another, such as {between(int(twice[0]))}, "
            "expected each place once",
            hint="remove the copies; a series of several volumes (echoes, times, phases) needs a folder for each",
        )
    missing = np.flatnonzero(gaps > 1.5 * gap)
    if len(missing):
        first = int(missing[0])
        raise UserError(
            f"{place}: found a gap of {gaps[first]:.2f} mm between {between(first)}, expected {gap:.2f} mm as between "
            f"most slices: {max(round(gaps[first] / gap) - 1, 1)} missing",
            hint="fetch the series again; a volume with holes is not read",
        )
    uneven = np.abs(gaps - gap)
    if uneven.max() > loose:
        worst = int(uneven.argmax())
        raise UserError(
            f"{place}: found {gaps[worst]:.2f} mm between {between(worst)} and {gap:.2f} mm between most, expected one "
            "spacing in a series",
        )
    return rising, float(along[rising[-1]] - along[rising[0]]) / len(gaps)


def tilt(positions: np.ndarray, orientation: np.ndarray) -> float:
    """Degrees between the slices' normal and the line on which they lie, in order: 0 but for a tilted gantry."""
    line = positions[-1] - positions[0]
    length = float(np.linalg.norm(line))
    return float(np.degrees(np.arccos(np.clip(abs(line @ normal(orientation)) / length, 0, 1)))) if length else 0.0
