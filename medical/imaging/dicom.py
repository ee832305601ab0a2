"""DICOM: single files as images, and the files of a series as one volume in the body's axes.

    read_dicom(Path("chest.dcm")).pixels                    # [1, height, width]
    for series in series_in(Path("study")):
        read_series(series.files).pixels                    # [1, z, y, x], in HU for CT

`dicom_file.py` decodes one file, `dicom_facts.py` says what is kept of its header, `geometry.py` puts slices in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lepton_solutions.data.images import Picture
from lepton_solutions.errors import UserError
from medical.imaging.dicom_facts import facts_of
from medical.imaging.dicom_file import NO_IMAGE, header, is_dicom, naming, read_dicom, units, whole
from medical.imaging.dicom_header import in_plane, orientation_of, position_of
from medical.imaging.geometry import normal, order, plane, tilt, turned

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Series", "is_dicom", "read_alone", "read_dicom", "read_series", "series_in", "series_of"]

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its kinds for several frames, .1 to .4
IDENTIFIERS = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID")
READ = [
    *(*IDENTIFIERS, "SOPClassUID", "Modality", "ImageType", "Rows", "Columns", "NumberOfFrames"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
]


@dataclass(frozen=True)
class Series:
    """The files of one series: slices of a volume in their order, or images of their own (`volume` is false).

    uid, study, patient: the file's identifiers, to group by, and for nothing that leaves the machine. left_out: the
    name of each file that does not belong, and why. A series of nothing but localizers has no files.
    """

    uid: str
    study: str
    patient: str
    files: tuple[Path, ...]
    left_out: tuple[tuple[str, str], ...]
    volume: bool


def series_in(folder: Path) -> list[Series]:
    """The series below a folder, sorted by the name of their first file. Files that are no DICOM are passed over."""
    return series_of([file for file in sorted(folder.rglob("*")) if file.is_file() and is_dicom(file)])


def series_of(files: Sequence[Path]) -> list[Series]:
    """DICOM files by their series. A file whose header is broken is a series of its own, and fails when it is read."""
    return _grouped(files, lambda file: header(file, READ))


def read_alone(files: Sequence[Path]) -> tuple[Picture | None, list[Series]]:
    """The one series among DICOM files, and all series found; no picture unless exactly one of them has files.

    Each file is parsed once, where `series_of` and `read_series` would parse it twice.
    """
    loaded: dict[Path, Dataset] = {}

    def load(file: Path) -> Dataset:
        loaded[file] = whole(file)
        return loaded[file]

    found = _grouped(files, load)
    filled = [series for series in found if series.files]
    return (_read(filled[0].files, loaded) if len(filled) == 1 else None), found


def _grouped(files: Sequence[Path], load: Callable[[Path], Dataset]) -> list[Series]:
    groups: dict[tuple[str, str, str], list[tuple[Path, Dataset]]] = {}
    broken: list[Series] = []
    for file in files:
        try:
            head = load(file)
            if "SOPClassUID" not in head:
                raise UserError(f"{file}: found no DICOM header")
            with naming(file):
                uid, study, patient = (str(head.get(name) or "") for name in IDENTIFIERS)
        except UserError:
            broken.append(Series("", "", "", (file,), (), volume=False))
            continue
        groups.setdefault((uid or str(file), study, patient), []).append((file, head))
    found: list[Series] = []
    for key, members in groups.items():
        with naming(members[0][0].parent):
            found.append(_series(*key, members))
    return sorted([*found, *broken], key=lambda series: str((series.files or (Path(),))[0]))


def read_series(files: Sequence[Path]) -> Picture:
    """The slices of one series as a volume [channels, z, y, x]; a single file as `read_dicom` gives it.

    Raises UserError for slices that are missing, there twice, at uneven distances, or of several kinds.
    """
    return _read(files, {})


def _read(files: Sequence[Path], loaded: dict[Path, Dataset]) -> Picture:
    """loaded: the files that were parsed already."""
    if not files:
        raise UserError("found no files, expected the slices of a DICOM series")
    place = str(files[0].parent)
    if len(files) == 1:
        return read_dicom(files[0])
    datasets = [loaded.get(file) or whole(file) for file in files]
    orientation, spacing, positions = _geometry(files, datasets)
    rising, gap = order(place, positions, orientation, [file.name for file in files])
    # The middle: the ends of a series are often air, and its window says little there.
    facts = facts_of(datasets[rising[len(rising) // 2]]) | {"plane": plane(orientation)}
    tilted = tilt(positions[rising], orientation)
    if tilted > 0.5:
        facts["tilt"] = f"{tilted:.1f}"  # degrees: the gantry's, which is not straightened
    volume = _stacked([(files[number], datasets[number]) for number in rising])
    directions = np.stack([normal(orientation), orientation[3:], orientation[:3]])
    pixels, distances = turned(volume, directions, (gap, *spacing))
    return Picture(pixels, distances, facts)


def _stacked(slices: list[tuple[Path, Dataset]]) -> np.ndarray:
    """[channels, slices, rows, columns], of a wider type where one slice needs it."""
    volume: np.ndarray | None = None
    for number, (file, dataset) in enumerate(slices):
        with naming(file):
            pixels = units(file, dataset)
        if volume is None:
            volume = np.empty((pixels.shape[0], len(slices), *pixels.shape[2:]), pixels.dtype)
        if pixels.shape != (volume.shape[0], 1, *volume.shape[2:]):
            found, expected = (" x ".join(map(str, (array.shape[0], *array.shape[2:]))) for array in (pixels, volume))
            raise UserError(f"{file}: found a slice of {found} (channels x rows x columns), expected {expected}")
        if volume.dtype != pixels.dtype:
            volume = volume.astype(np.result_type(volume, pixels), copy=False)
        volume[:, number] = pixels[:, 0]
        dataset.clear()  # what is unpacked need not be kept packed
    assert volume is not None
    return volume


def _geometry(files: Sequence[Path], heads: list[Dataset]) -> tuple[np.ndarray, tuple[float, float], np.ndarray]:
    """Orientation and spacing that all slices share, and the place of each."""
    place = str(files[0].parent)
    positions: list[np.ndarray] = []
    orientation: np.ndarray | None = None
    spacing: tuple[float, float] | None = None
    for file, head in zip(files, heads, strict=True):
        with naming(file):
            own, mm, position = orientation_of(head, 0), in_plane(head, 0), position_of(head, 0)
            frames = int(head.get("NumberOfFrames", 1) or 1)
        if own is None or mm is None or position is None or frames > 1:
            what = (
                f"{frames} frames" if frames > 1 else "no place in the body (position, orientation and pixel spacing)"
            )
            raise UserError(f"{file}: found {what}, expected one slice of a volume")
        orientation, spacing = (own, mm) if orientation is None or spacing is None else (orientation, spacing)
        if np.abs(own - orientation).max() > 1e-3:
            raise UserError(f"{place}: found `{file.name}` turned against `{files[0].name}`, expected one orientation")
        if np.abs(np.subtract(mm, spacing)).max() > 1e-3 * max(spacing):
            raise UserError(
                f"{place}: found pixels of {mm[0]:g} x {mm[1]:g} mm in `{file.name}`, expected {spacing[0]:g} x "
                f"{spacing[1]:g} mm as in `{files[0].name}`"
            )
        positions.append(position)
    assert orientation is not None
    assert spacing is not None
    return orientation, spacing, np.stack(positions)


def _series(uid: str, study: str, patient: str, members: list[tuple[Path, Dataset]]) -> Series:
    reasons = {file: _no_image(head) for file, head in members}
    captures = {file for file, head in members if str(head.get("SOPClassUID", "")).startswith(SECONDARY_CAPTURE)}
    if len(captures) < len(members):  # a series of captures alone is one of X-rays that were converted
        reasons |= dict.fromkeys(captures, "secondary capture")
    left = [(file, head) for file, head in members if not reasons[file]]
    ways = [(file, _way(head)) for file, head in left]
    if len(left) > 1:
        common = Counter(way for _, way in ways).most_common(1)[0]
        volume = common[0] is not None and common[1] > 1 and 2 * common[1] > len(left)
        if volume:
            reasons |= {file: "a slice of another orientation" for file, way in ways if way != common[0]}
    else:
        volume = False
    kept = [(file, head) for file, head in left if not reasons[file]]
    if volume:
        kept.sort(key=lambda member: _along(*member))
    left_out = tuple((file.name, why) for file, why in reasons.items() if why)
    return Series(uid, study, patient, tuple(file for file, _ in kept), left_out, volume)


def _no_image(head: Dataset) -> str:
    modality = str(head.get("Modality") or "")
    if modality in NO_IMAGE or "Rows" not in head:
        return NO_IMAGE.get(modality, "no image")
    return "localizer" if "LOCALIZER" in str(head.get("ImageType") or "").upper() else ""


def _way(head: Dataset) -> tuple[float, ...] | None:
    """The orientation of a slice, rounded so that slices of one volume agree; None for an image without a place."""
    try:
        if int(head.get("NumberOfFrames", 1) or 1) > 1 or position_of(head, 0) is None:
            return None
        orientation = orientation_of(head, 0)
    except (ValueError, TypeError):
        return None
    return None if orientation is None else tuple((np.round(orientation, 2) + 0.0).tolist())


def _along(file: Path, head: Dataset) -> float:
    orientation, position = orientation_of(head, 0), position_of(head, 0)
    return 0.0 if orientation is None or position is None else float(position @ normal(orientation))
