"""What is scored: the images below a path, what each is called in the answers, whose it is, and its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lepton_solutions.errors import UserError
from medical.imaging.decision import Level
from medical.imaging.dicom import Series, is_dicom, series_of
from medical.imaging.dicom_file import header
from medical.imaging.reading import Dims, found_in

if TYPE_CHECKING:
    from pydicom import Dataset

IDENTITY = ["StudyInstanceUID", "PatientID", "IssuerOfPatientID"]


@dataclass(frozen=True)
class Item:
    """An image: what `reading.read` takes. name: its path below what was given, or the file's name.

    files: it was decoded from; one, or the slices of a series. root: what was given.
    """

    path: Path
    name: str
    files: tuple[Path, ...]
    root: Path

    def unit(self, level: Level) -> str:
        """Whose image it is, to be compared and never written: of DICOM the study or patient that the header names.

        Other files are grouped by folder: those of one folder are a study, those below one folder of the root a
        patient. What lies directly in the root is by itself.
        """
        if level == "image":
            return self.name
        if is_dicom(self.files[0]):
            head = header(self.files[0], IDENTITY)
            study = str(head.get("StudyInstanceUID") or "")
            patient = str(head.get("PatientID") or "")
            if level == "patient" and patient:
                return f"patient {head.get('IssuerOfPatientID') or ''} {patient}"
            return f"study {study}" if study else f"file {self.name}"
        parts = Path(self.name).parts[:-1]
        if not parts:
            return f"file {self.name}"
        return "folder " + (parts[0] if level == "patient" else "/".join(parts))

    def first_header(self) -> Dataset:
        """Of its first file, without the pixels. Raises UserError where that is no DICOM."""
        return _header(self.files[0])

    def headers(self) -> list[Dataset]:
        """Of all its files."""
        return [_header(file) for file in self.files]


def _header(file: Path) -> Dataset:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        return dcmread(file, stop_before_pixels=True)
    except (InvalidDicomError, OSError) as error:
        raise UserError(
            f"{file}: is no DICOM file with a header, so that it belongs to no study",
            hint="without --dicom the answers are written as a table",
        ) from error


def items_in(path: Path, *, dims: Dims) -> list[Item]:
    """The images at a path, sorted. dims: of the network; for a 3-D one the slices of a series are one image.

    Raises UserError where there are none.
    """
    paths = found_in(path, dims)
    if not paths:
        raise UserError(f"{path}: found no image", hint="PNG, JPEG, TIFF, DICOM or NIfTI")
    root = path if path.is_dir() else path.parent
    series: dict[Path, list[Series]] = {}
    return [Item(one, _name(one, root), _files(one, dims, series), root) for one in paths]


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path != root else path.resolve().name


def _files(path: Path, dims: Dims, known: dict[Path, list[Series]]) -> tuple[Path, ...]:
    """known: the series of each folder, so that a folder of many is looked at once."""
    if path.is_file() and (dims == 2 or not is_dicom(path)):
        return (path,)
    folder = path if path.is_dir() else path.parent
    if folder not in known:
        inside = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name[0] != "."]
        known[folder] = series_of([file for file in inside if is_dicom(file)])
    if path.is_dir():
        files = [file for series in known[folder] for file in series.files]
        return tuple(files) or _pictures(folder)
    for series in known[folder]:
        if path in series.files and series.volume:
            return series.files
    return (path,)


def _pictures(folder: Path) -> tuple[Path, ...]:
    """Of a folder of numbered images."""
    return tuple(file for file in sorted(folder.iterdir()) if file.is_file() and file.name[0] != ".")
