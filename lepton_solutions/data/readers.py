"""Sets of rows that stay on the disk: Parquet files, memory-mapped arrays, folders of images.

A `Reader` hands out any range of its rows as arrays, and says where ranges start that it reads cheaply.
`lepton_solutions.data.streaming` makes batches of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from PIL import Image, ImageOps

from lepton_solutions.data.images import opened
from lepton_solutions.errors import UserError

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"}


class Piece(NamedTuple):
    """Rows as arrays that PyTorch takes over: inputs, each [n, ...]; target [n, ...]; weight float32 [n] or None."""

    inputs: tuple[np.ndarray, ...]
    target: np.ndarray
    weight: np.ndarray | None


class Reader(Protocol):
    """rows: of the set. row_bytes: of one row in a `Piece`. reading_bytes: what a read takes beside its result.

    It travels to other processes, and so holds no open file.
    """

    @property
    def rows(self) -> int: ...

    @property
    def row_bytes(self) -> int: ...

    @property
    def reading_bytes(self) -> int: ...

    def cuts(self, most: int) -> np.ndarray:
        """int64, from 0 to `rows`, rising: ranges of about `most` rows or fewer that are read at no extra cost."""

    def read(self, start: int, stop: int) -> Piece:
        """Rows start..stop. Raises UserError for what cannot be read, naming file and row."""

    def labels(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Target and weight alone."""


class MappedRows:
    """Rows in `.npy` files, one an input (as `numpy.save` writes them), and one for the target and the weight.

    Raises UserError for a file that is no such array, and for lengths that differ. Floats become float32, whole numbers
    int64, except bytes, which stay uint8.
    """

    def __init__(self, inputs: tuple[Path, ...], target: Path, weight: Path | None = None) -> None:
        self.inputs, self.target, self.weight = inputs, target, weight
        files = [*inputs, target, *([] if weight is None else [weight])]
        arrays = [_mapped(file) for file in files]
        self.rows = len(arrays[0])
        for file, array in zip(files, arrays, strict=True):
            if len(array) != self.rows or self.rows == 0:
                raise UserError(f"{file}: found {len(array)} rows, expected {self.rows or 'some'} as in {inputs[0]}")
        self.row_bytes = sum(int(np.prod(a.shape[1:])) * _plain(a[:1]).itemsize for a in arrays)

        self.reading_bytes = 0

    def cuts(self, most: int) -> np.ndarray:
        return np.append(np.arange(0, self.rows, most), self.rows)

    def read(self, start: int, stop: int) -> Piece:
        # Opened anew each time: a mapping that stays open keeps every page ever read in the memory of the process.
        return Piece(tuple(_plain(_mapped(file)[start:stop]) for file in self.inputs), *self.labels(start, stop))

    def labels(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        weight = None if self.weight is None else _plain(_mapped(self.weight)[start:stop])
        return _plain(_mapped(self.target)[start:stop]), weight


@dataclass(frozen=True)
class ImageFolder:
    """One sub-folder a class, in alphabetical order 0, 1, ...: the layout of torchvision's ImageFolder.

    Images become uint8 [channels, height, width], resized to one size; networks scale them in their first layer. Other
    files are left aside. Made by `image_folder`.
    """

    files: tuple[Path, ...]
    codes: np.ndarray  # int64 [files]
    classes: tuple[str, ...]
    size: tuple[int, int]  # height, width
    channels: Literal[1, 3]

    @property
    def rows(self) -> int:
        return len(self.files)

    @property
    def row_bytes(self) -> int:
        return self.channels * self.size[0] * self.size[1] + 8

    @property
    def reading_bytes(self) -> int:
        return 64 * 2**20  # a photograph of 16 megapixels before it is resized

    def cuts(self, most: int) -> np.ndarray:
        return np.arange(self.rows + 1)  # a file each: nothing is gained by neighbours

    def read(self, start: int, stop: int) -> Piece:
        images = [decoded(file, self.size, self.channels) for file in self.files[start:stop]]
        return Piece((np.stack(images),), *self.labels(start, stop))

    def labels(self, start: int, stop: int) -> tuple[np.ndarray, None]:
        return self.codes[start:stop], None


def image_folder(folder: Path, size: tuple[int, int], channels: Literal[1, 3] = 3) -> ImageFolder:
    """Find the images below a folder; size: height and width, pixels. Raises UserError where there are none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: found no folder, expected one with a sub-folder of images for each class")
    classes = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))
    found = [
        (file, code)
        for code, name in enumerate(classes)
        for file in sorted((folder / name).rglob("*"))
        if file.suffix.lower() in IMAGES and file.name[0] != "."
    ]
    empty = [name for code, name in enumerate(classes) if code not in {code for _, code in found}]
    if empty or not classes:
        what = f"no image in the sub-folder `{empty[0]}`" if empty else "no sub-folder"
        raise UserError(
            f"{folder}: found {what}, expected one sub-folder of images for each class",
            hint=f"images end in {', '.join(sorted(IMAGES))}",
        )
    codes = np.array([code for _, code in found])
    return ImageFolder(tuple(file for file, _ in found), codes, classes, size, channels)


def decoded(file: Path, size: tuple[int, int], channels: Literal[1, 3]) -> np.ndarray:
    """One image, uint8 [channels, height, width]. Raises UserError that names the file."""
    with opened(file) as image:
        if image.mode[0] in "IF":  # 16 and 32 bits: to cut them to 8 would clip what a scanner saw
            raise UserError(f"{file}: found an image of mode {image.mode}, expected 8 bits a channel")
        upright = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
        pixels = np.asarray(upright.resize((size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=2.0))
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _mapped(file: Path) -> np.ndarray:
    try:
        return np.load(file, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read as an array of numbers: {error}") from error


def _plain(array: np.ndarray) -> np.ndarray:
    """A copy in memory, of a type that networks take."""
    kind = np.uint8 if array.dtype == np.uint8 else np.float32 if array.dtype.kind == "f" else np.int64
    return np.array(array, dtype=kind, order="C")
