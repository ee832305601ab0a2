"""What is in an image file: PNG, JPEG, TIFF, BMP and WebP as arrays, with every grey level that the file holds.

    picture = read_picture(Path("scan.png"))
    picture.pixels      # uint8 [1, height, width]; uint16 from a file of 16 bits

`Picture` is what every reader of images answers with, those of the verticals too. Nothing here is resized or scaled.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lepton_solutions.errors import UserError

MOST_BYTES = 4 * 2**30  # of one picture; a tomosynthesis of 70 frames of 2,500 x 3,300 pixels takes 1.2 GB
STACKS = {"TIFF"}  # formats whose pages are slices; the frames of others are an animation
FIRST_FRAME = {"MPO"}  # a photograph by a telephone: the frames after the first are previews
# What libraries raise on bytes that do not keep their format's promises; their own errors derive from these.
BROKEN = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(SyntaxError, TypeError, ValueError, struct.error, zlib.error),
)


@dataclass(frozen=True)
class Picture:
    """pixels: [channels, *space], uint8, uint16, int16 or float32, in the file's own units; space is [height, width] or
    [depth, height, width]. spacing: mm between centres, one a dimension of space, or None where the file does not say.
    facts: what else the file tells of how it was made, never of whom.
    """

    pixels: np.ndarray
    spacing: tuple[float, ...] | None = None
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, ...]:
        """The pixels along each dimension of space."""
        return self.pixels.shape[1:]


@contextmanager
def opened(file: Path) -> Iterator[Image.Image]:
    """A file as Pillow's image, not decoded yet. Whatever fails inside becomes a UserError that names the file."""
    try:
        with Image.open(file) as image:
            yield image
    except UnidentifiedImageError as error:
        what = "an empty file" if file.stat().st_size == 0 else "no image that Pillow knows"
        raise UserError(f"{file}: cannot be read as an image: found {what}") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{file}: found too many pixels to be safe: {error}") from error
    except BROKEN as error:
        raise UserError(f"{file}: cannot be read as an image: {short(error)}") from error


def short(error: BaseException) -> str:
    """The first line of what another library said."""
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def read_picture(file: Path) -> Picture:
    """One image file. Grey: one channel; colour and palettes: three, transparency dropped; a TIFF of pages: a volume.

    8 bits become uint8, 16 bits uint16, floats and 32 bits float32; a rotation noted by the camera is carried out.
    Raises UserError, which names the file, for what cannot be read, is an animation, or would lose bits.
    """
    with opened(file) as image:
        frames = getattr(image, "n_frames", 1)
        if frames == 1 or image.format in FIRST_FRAME:
            pixels = _page(file, image)
        elif image.format in STACKS:
            pixels = _stack(file, image, frames)
        else:
            raise UserError(f"{file}: found an animation of {frames} frames, expected one image")
        facts = {"format": str(image.format).lower(), "mode": image.mode}
    return Picture(pixels, None, facts)


def plain(file: Path, values: np.ndarray) -> np.ndarray:
    """Contiguous, of a type that `Picture` has: whole numbers of 8 and 16 bits as they are, all others float32."""
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    if values.dtype == np.int8:
        values = values.astype(np.int16)
    if values.dtype.newbyteorder("=") in (np.uint8, np.uint16, np.int16):
        return np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(values, np.float32)
    wrong = numbers.size - int(np.isfinite(numbers).sum())
    if wrong:
        raise UserError(
            f"{file}: found {wrong:,} of {numbers.size:,} pixels that are no numbers (NaN or infinite)",
            hint="replace them with a number, such as that of air",
        )
    return numbers


def _stack(file: Path, image: Image.Image, frames: int) -> np.ndarray:
    """[channels, pages, height, width]."""
    if frames * image.width * image.height * 4 > MOST_BYTES:
        raise UserError(f"{file}: found {frames} pages of {image.width} x {image.height} pixels, expected fewer")
    pages: list[np.ndarray] = []
    for number in range(frames):
        image.seek(number)
        pages.append(_page(file, image))
        if pages[-1].shape != pages[0].shape or pages[-1].dtype != pages[0].dtype:
            raise UserError(
                f"{file}, page {number + 1}: found {_named(pages[-1])}, expected {_named(pages[0])} as on page 1",
                hint="a file of pages is read as one volume; save previews and other pictures apart",
            )
    return np.stack(pages, axis=1)


def _page(file: Path, image: Image.Image) -> np.ndarray:
    """[channels, height, width]."""
    if image.width == 0 or image.height == 0:
        raise UserError(f"{file}: found an image without pixels")
    # Both are told by what Pillow forgets once it has decoded the image.
    deep, white_is_zero = "16" in str(getattr(image, "tile", "")), _white_is_zero(image)
    if image.format not in STACKS or getattr(image, "n_frames", 1) == 1:
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode in {"1", "L", "LA", "La"}:
        return np.array(image if image.mode == "L" else image.convert("L"))[None]
    if image.mode.startswith("I;16"):
        grey = np.array(image).astype(np.uint16)
        return (np.iinfo(np.uint16).max - grey if white_is_zero else grey)[None]
    if image.mode in {"I", "F"}:
        return plain(file, np.array(image))[None]
    if image.mode in {"RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr"}:
        if deep:
            raise UserError(
                f"{file}: found 16 bits in each of three colours, expected 8 bits, or 16 bits of grey",
                hint="Pillow would cut them to 8 bits; save the image with 8 bits a colour",
            )
        return np.ascontiguousarray(np.asarray(_coloured(image)).transpose(2, 0, 1))
    raise UserError(f"{file}: found an image of mode {image.mode}, expected grey levels or colours")


def _coloured(image: Image.Image) -> Image.Image:
    if image.mode in {"P", "PA", "RGBa"}:  # by way of RGBA, as Pillow else warns of transparency kept as bytes
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def _white_is_zero(image: Image.Image) -> bool:
    """Pillow turns such TIFFs round at 8 bits, but not at 16."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and tags.get(262) == 0


def _named(pixels: np.ndarray) -> str:
    channels, height, width = pixels.shape
    return f"{height} x {width} pixels of {channels} channel{'s' * (channels > 1)}, {pixels.dtype}"
