"""What a file of MedMNIST holds: images and labels of three parts; large files are mapped, not held in memory."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from lepton_solutions.data.splits import TEST, TRAIN, VALIDATION
from lepton_solutions.errors import UserError
from medical.imaging.medmnist import HOME

NAMED_PARTS = (("train", TRAIN), ("val", VALIDATION), ("test", TEST))
LARGE = 200 * 2**20  # bytes; a larger file is unpacked once and mapped, not held in memory


def arrays(path: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images and labels of the three parts, in the order of `NAMED_PARTS`."""
    try:
        if path.stat().st_size > LARGE:
            return [_unpacked(path, f"{text}_images") for text, _ in NAMED_PARTS], _labels(path)
        with np.load(path, allow_pickle=False) as file:
            return [file[f"{text}_images"] for text, _ in NAMED_PARTS], _labels(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: cannot be read as a MedMNIST file: {error}",
            hint=f"delete it to have it fetched again, or get it from {HOME}",
        ) from error


def _labels(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return [file[f"{text}_labels"].astype(np.int64) for text, _ in NAMED_PARTS]


def _unpacked(path: Path, name: str) -> np.ndarray:
    from lepton_solutions.data.cache import cached

    def unpack(folder: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            archive.extract(f"{name}.npy", folder)

    with zipfile.ZipFile(path) as archive:
        need = archive.getinfo(f"{name}.npy").file_size
    found = path.stat()
    folder = cached(f"unpacked-{path.stem}-{name}-{found.st_size}-{found.st_mtime_ns}", unpack, need=need)
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)


def channels_first(pixels: np.ndarray, dims: int) -> np.ndarray:
    """[*space] or [*space, 3] to [channels, *space]."""
    return pixels[None] if pixels.ndim == dims else np.moveaxis(pixels, -1, 0)


def check(path: Path, images: list[np.ndarray], label: np.ndarray, classes: int, *, several: bool, dims: int) -> None:
    n, shape = sum(len(part) for part in images), images[0].shape[1:]
    highest, columns = (1, classes) if several else (classes - 1, 1)
    if label.shape != (n, columns) or any(part.shape[1:] != shape for part in images):
        raise UserError(
            f"{path}: found {n:,} images and labels of shape {list(label.shape)}, expected [{n}, {columns}]"
        )
    if len(shape) not in (dims, dims + 1) or images[0].dtype != np.uint8:
        raise UserError(f"{path}: found {images[0].dtype} images of shape {list(shape)}, expected bytes in {dims}-D")
    if label.min() < 0 or label.max() > highest:
        raise UserError(f"{path}: found labels from {label.min()} to {label.max()}, expected 0 to {highest}")
