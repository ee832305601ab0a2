"""Any medical image as a picture: the one way from a file to pixels, in training and in serving.

    read(Path("scan.nii.gz"))        a volume, as are a folder with the slices of a DICOM series or with numbered images
    found_in(Path("images"))         what can be read below a folder

The kind is told by content, so DICOM files need no ending. No torch is needed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

import numpy as np

from lepton_solutions.data.images import Picture, read_picture
from lepton_solutions.data.readers import IMAGES
from lepton_solutions.errors import UserError
from medical.imaging.dicom import is_dicom, read_alone, read_dicom, read_series, series_of
from medical.imaging.nifti import is_nifti, read_nifti

NIFTI = (".nii", ".nii.gz")
PASSED_OVER = {"__MACOSX", "DICOMDIR", "Thumbs.db"}
Dims = Literal[2, 3]


def read(path: Path, dims: Dims | None = None) -> Picture:
    """A file, or a folder whose files are the slices of one volume. dims 3: a slice of a DICOM series stands for the
    whole series beside it. Raises UserError, which names the path, for what is not there or cannot be read.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise UserError(f"{path}: found no such file or folder")
    try:
        if is_dicom(path):
            return _slice_or_series(path) if dims == 3 else read_dicom(path)
        return read_nifti(path) if is_nifti(path) else read_picture(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def found_in(path: Path, dims: Dims | None = None) -> list[Path]:
    """What `read` can read below a folder, sorted; a file is found as itself.

    A folder whose DICOM files are the slices of one series counts as one volume. dims 2: every file by itself; 3: where
    a folder holds several series, the first file of each stands for it, and folders of nothing but images are volumes.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: found no such file or folder")
    found: list[Path] = []
    for folder, inner, names in os.walk(path):
        inner[:] = sorted(name for name in inner if name[0] != "." and name not in PASSED_OVER)
        files = [Path(folder, name) for name in sorted(names) if name[0] != "." and name not in PASSED_OVER]
        pictures = [file for file in files if file.suffix.lower() in IMAGES]
        stack = dims == 3 and len(pictures) > 1 and len(pictures) == len(files) and not inner
        found += [Path(folder)] if stack else pictures
        rest = [file for file in files if file.suffix.lower() not in IMAGES]
        volumes = [file for file in rest if file.name.lower().endswith(NIFTI)]
        found += volumes
        found += _dicom(Path(folder), [file for file in rest if file not in set(volumes) and is_dicom(file)], dims)
    return sorted(found)


def _dicom(folder: Path, files: list[Path], dims: Dims | None) -> list[Path]:
    if not files:
        return []
    series = [one for one in series_of(files) if one.files]
    volumes = [one for one in series if one.volume]
    singles = [file for one in series if not one.volume for file in one.files]
    if dims == 2:
        return [*singles, *(file for one in volumes for file in one.files)]
    if len(volumes) == 1 and not singles:
        return [folder]
    if dims == 3:
        return [*singles, *(one.files[0] for one in volumes)]
    if volumes:
        raise UserError(
            f"{folder}: found {len(volumes)} series and {len(singles)} single images in a folder, expected one series",
            hint="give each series a folder, or say what an image is by data.size: two numbers a file, three a series",
        )
    return singles


def _folder(folder: Path) -> Picture:
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name[0] != ".")
    alone, everything = read_alone([file for file in files if is_dicom(file)])
    series = [one for one in everything if one.files]
    left_out = [pair for one in everything for pair in one.left_out]
    images = [file for file in files if file.suffix.lower() in IMAGES]
    if alone is not None and not images:
        return _with_left_out(alone, series[0].left_out)
    if not series and left_out and not images:
        named = "; ".join(f"{name}: {why}" for name, why in left_out[:3])
        raise UserError(f"{folder}: found no slices of a volume ({named}), expected those of one DICOM series")
    if series or not images:
        raise UserError(
            f"{folder}: found {len(series)} DICOM series and {len(images)} other images, expected the slices of one "
            "volume"
        )
    return _stack(folder, sorted(images, key=_number))


def _slice_or_series(file: Path) -> Picture:
    beside = [other for other in sorted(file.parent.iterdir()) if other.is_file() and is_dicom(other)]
    for one in series_of(beside):
        if file in one.files and one.volume:
            return _with_left_out(read_series(one.files), one.left_out)
    return read_dicom(file)


def _with_left_out(picture: Picture, left_out: tuple[tuple[str, str], ...]) -> Picture:
    if not left_out:
        return picture
    named = "; ".join(f"{name}: {why}" for name, why in left_out)
    return Picture(picture.pixels, picture.spacing, picture.facts | {"left_out": named})


def _stack(folder: Path, files: list[Path]) -> Picture:
    """Numbered images as slices, from the first to the last."""
    slices = [read_picture(file) for file in files]
    for file, picture in zip(files, slices, strict=True):
        if picture.pixels.shape != slices[0].pixels.shape or picture.pixels.dtype != slices[0].pixels.dtype:
            raise UserError(
                f"{file}: found {picture.pixels.dtype} {' x '.join(map(str, picture.pixels.shape))}, expected "
                f"{slices[0].pixels.dtype} {' x '.join(map(str, slices[0].pixels.shape))} as in {files[0].name}"
            )
    if len(slices) == 1:
        return slices[0]
    return Picture(np.stack([picture.pixels for picture in slices], axis=1), None, slices[0].facts)


def _number(file: Path) -> list[tuple[int, str]]:
    """Sorts `slice10` after `slice9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", file.name)]
