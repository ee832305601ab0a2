"""What a DICOM header says of the numbers in it: where a frame lies, how large its pixels are, what they measure.

Plain files keep it at the top, enhanced ones in groups for all frames and for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medical.imaging.geometry import is_orientation

if TYPE_CHECKING:
    from pydicom import Dataset


def in_plane(dataset: Dataset, frame: int) -> tuple[float, float] | None:
    """mm between rows and between columns."""
    measures = group_of(dataset, "PixelMeasuresSequence", frame)
    for place, name in ((measures, "PixelSpacing"), (dataset, "PixelSpacing"), (dataset, "ImagerPixelSpacing")):
        pair = None if place is None else numbers(place.get(name), 2)
        if pair is not None and (pair > 0).all():
            return float(pair[0]), float(pair[1])
    regions = dataset.get("SequenceOfUltrasoundRegions") or []
    if len(regions) == 1 and regions[0].get("PhysicalUnitsXDirection") == 3 == regions[0].get(
        "PhysicalUnitsYDirection"
    ):
        down, along = number(regions[0].get("PhysicalDeltaY")), number(regions[0].get("PhysicalDeltaX"))
        if down and along:  # unit 3: centimetres a pixel
            return abs(down) * 10, abs(along) * 10
    return None


def orientation_of(dataset: Dataset, frame: int) -> np.ndarray | None:
    """The six cosines: along a row, and down a column."""
    place = group_of(dataset, "PlaneOrientationSequence", frame) or dataset
    cosines = numbers(place.get("ImageOrientationPatient"), 6)
    return cosines if cosines is not None and is_orientation(cosines) else None


def position_of(dataset: Dataset, frame: int) -> np.ndarray | None:
    """mm: of the centre of the first pixel. A file of several frames has one only where each frame does."""
    place = group_of(dataset, "PlanePositionSequence", frame)
    if place is None and int(dataset.get("NumberOfFrames", 1) or 1) > 1:
        return None
    return numbers((place or dataset).get("ImagePositionPatient"), 3)


def group_of(dataset: Dataset, name: str, frame: int) -> Dataset | None:
    """A functional group of an enhanced file: the frame's own, else that shared by all."""
    own = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for groups in (own[frame : frame + 1], dataset.get("SharedFunctionalGroupsSequence") or []):
        for group in groups:
            if group.get(name):
                return group[name].value[0]
    return None


def line_of(dataset: Dataset, frame: int) -> tuple[float, float]:
    """Slope and intercept."""
    place = group_of(dataset, "PixelValueTransformationSequence", frame) or dataset
    slope, intercept = place.get("RescaleSlope"), place.get("RescaleIntercept")
    if slope is None or intercept is None:
        return 1.0, 0.0
    return (float(slope) or 1.0), float(intercept)  # a slope of 0, which some writers leave, would blank the image


def stored_range(dataset: Dataset) -> tuple[float, float]:
    """Least and greatest value that the pixels can hold."""
    bits = int(dataset.get("BitsStored", None) or dataset.get("BitsAllocated", 16))
    if int(dataset.get("PixelRepresentation", 0) or 0):
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1


def number(value: object) -> float | None:
    """The first of the numbers, or None."""
    found = numbers(value, None)
    return None if found is None else float(found[0])


def numbers(value: object, count: int | None) -> np.ndarray | None:
    """Finite numbers, as many as asked for, or None."""
    try:
        found = np.atleast_1d(np.array(value, np.float64))
    except (TypeError, ValueError):
        return None
    fits = found.ndim == 1 and found.size > 0 and (count is None or found.size == count)
    return found if fits and np.isfinite(found).all() else None
