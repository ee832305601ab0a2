"""A decoded picture as the network was trained to see it: channels, bit depth, and where asked the file's own window.

    conform(read(path), channels=1, dims=2, kind="bytes", file_window=False)     # uint8 [1, height, width]

Used when a set is prepared and when a model serves, so that both see the same numbers. Imports numpy; never torch.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from lepton_solutions.data.images import Picture
from lepton_solutions.errors import UserError

Kind = Literal["bytes", "words", "units"]
_SAID = {"bytes": "8 bits", "words": "16 bits", "units": "measured units, such as HU"}


def kind_of(pixels: np.ndarray) -> Kind:
    """What a file's numbers are: grey levels of 8 bits, of 16 bits, or anything else, such as Hounsfield units."""
    return "bytes" if pixels.dtype == np.uint8 else "words" if pixels.dtype == np.uint16 else "units"


def is_coloured(pixels: np.ndarray) -> bool:
    """Whether three channels say more than one: many grey images are stored as RGB. pixels: [channels, *space]."""
    if len(pixels) == 1:
        return False
    return not all(np.array_equal(pixels[0], other) for other in pixels[1:])


def conform(picture: Picture, *, channels: int, dims: int, kind: Kind, file_window: bool) -> np.ndarray:
    """[channels, *space]: uint8 where `kind` is bytes and no window is asked for, else float32.

    Grey becomes three equal channels where colour was learned, and three equal channels become one. file_window: the
    window that the file states becomes 0 to 255. Raises UserError for what the network cannot be given: another number
    of dimensions, colour where grey was learned, another bit depth, a file that states no window.
    """
    pixels = picture.pixels
    if pixels.ndim != dims + 1:
        found, wanted = (f"{n}-D image ({'a volume' if n == 3 else 'a plane'})" for n in (pixels.ndim - 1, dims))
        raise UserError(f"found a {found}, expected a {wanted}")
    if kind_of(pixels) != kind and not file_window:
        raise UserError(f"found pixels of {_SAID[kind_of(pixels)]}, expected {_SAID[kind]}")
    if len(pixels) != channels:
        pixels = _channels(pixels, channels)
    if file_window:
        low, high = _window(picture)
        return (np.clip(pixels.astype(np.float32), low, high) - np.float32(low)) * np.float32(255 / (high - low))
    return pixels if kind == "bytes" else pixels.astype(np.float32)


def _channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    if len(pixels) == 1:
        return np.repeat(pixels, channels, axis=0)
    if channels == 1 and not is_coloured(pixels):
        return pixels[:1]
    raise UserError(f"found an image of {len(pixels)} different channels, expected {channels}")


def _window(picture: Picture) -> tuple[float, float]:
    stated = picture.facts.get("window")
    if stated is None:
        raise UserError("the file states no window, which data.window=file asks for")
    low, high = (float(text) for text in stated.split(","))
    if not low < high:
        raise UserError(f"the file states a window from {low:g} to {high:g}, expected a range")
    return low, high
