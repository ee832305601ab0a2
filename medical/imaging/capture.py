"""The picture that goes back to the reader: the image, what spoke for the decision, and the decision, as RGB pixels.

    show(pixels, spacing, heat, window=(-160, 240), lines=("RESEARCH USE ONLY", ...))

A volume is shown as the three planes through the hottest place, in equal millimetres. Imports numpy and Pillow; never
torch or matplotlib.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 512  # pixels of a panel's longer side: small images are enlarged, so that the text beneath them can be read
LARGEST = 1536  # and large ones are reduced
WARM = np.array([213, 94, 0], np.float32)  # vermillion and yellow of Okabe and Ito, told apart by colour-blind eyes
EDGE = np.array([240, 228, 66], np.float32)
OPACITY = 0.5
OUTLINED = 0.5  # of the map's maximum: where the outline runs
_MARGIN, _TEXT = 10, 18


@dataclass(frozen=True)
class Grid:
    """What `regrid` of lepton_solutions/models/resample.py makes of an image: `size` steps of `spacing` mm an axis."""

    spacing: tuple[float, ...]
    size: tuple[int, ...]

    def places(self, axis: int, length: int, spacing: float) -> np.ndarray:
        """Where the centres of an axis of `length` pixels lie on the grid's, whose edges are 0 and 1."""
        step, goal = self.spacing[axis], self.size[axis]
        points = round(round((length - 1) * spacing / step + 1, 4))
        first = points // 2 - goal // 2 if points >= goal else -((goal - points) // 2)
        return (np.arange(length) * spacing / step - first + 0.5) / goal


def show(
    pixels: np.ndarray,
    spacing: Sequence[float] | None,
    heat: np.ndarray | None,
    *,
    window: tuple[float, float],
    lines: Sequence[str],
) -> np.ndarray:
    """RGB uint8 [height, width, 3]: the image with its map, above the lines of text.

    pixels: [channels, *space] in raw units; three channels are shown in colour. spacing: mm, None: square pixels.
    heat: [*space], from 0 to 1; None: without. window: raw values shown black and white.
    """
    space = pixels.shape[1:]
    mm = np.ones(len(space)) if spacing is None else np.asarray(spacing, float)
    grey = _grey(pixels, window)
    panels = [
        _panel(_cut(grey, place, axis), None if heat is None else _cut(heat, place, axis), sides)
        for place, axis, sides in _planes(space, mm, heat)
    ]
    height = max(panel.shape[0] for panel in panels)
    padded = [np.pad(panel, ((0, height - panel.shape[0]), (0, 0), (0, 0))) for panel in panels]
    return _captioned(np.concatenate(padded, axis=1), lines)


def placed(
    heat: np.ndarray, space: Sequence[int], *, spacing: Sequence[float] | None = None, grid: Grid | None = None
) -> np.ndarray:
    """A map of the network, spread over the image's own pixels: [*space], from 0 to 1 of its own maximum.

    heat: [*map], evidence; what is below 0 speaks against and is not shown. spacing: of the image, mm. grid: what the
    network resampled the image to, where it did so in mm; None: it saw the whole image. Outside the grid the map is 0.
    """
    found = np.maximum(np.nan_to_num(heat.astype(np.float32)), 0)
    for axis, length in enumerate(space):
        if grid is None or spacing is None:
            place = (np.arange(length) + 0.5) / length  # of the network's image, from 0 to 1
        else:
            place = grid.places(axis, length, spacing[axis])
        at = place * found.shape[axis] - 0.5
        found = _interpolated(found, axis, at, (place >= 0) & (place <= 1))
    top = float(found.max(initial=0))
    return found / top if top > 0 else found


def _interpolated(array: np.ndarray, axis: int, at: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Linear along one axis at fractional places, the ends held; 0 where not seen."""
    last = array.shape[axis] - 1
    at = np.clip(at, 0, last)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, last)
    shape = [1] * array.ndim
    shape[axis] = -1
    part = (at - low).astype(np.float32).reshape(shape)
    mixed = np.take(array, low, axis) * (1 - part) + np.take(array, high, axis) * part
    return mixed * seen.astype(np.float32).reshape(shape)


def _grey(pixels: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """[*space, 3] from 0 to 255."""
    low, high = window
    chosen = pixels if pixels.shape[0] == 3 else np.repeat(pixels[:1], 3, axis=0)
    shown = (chosen.astype(np.float32) - low) / max(high - low, 1e-6)
    return np.moveaxis(np.clip(np.nan_to_num(shown), 0, 1) * 255, 0, -1)


def _planes(
    space: Sequence[int], mm: np.ndarray, heat: np.ndarray | None
) -> list[tuple[int, int | None, tuple[float, float]]]:
    """What is shown: the place cut at, the axis it is cut across, and the height and width in mm."""
    extent = np.asarray(space) * mm
    if len(space) == 2:
        return [(0, None, (extent[0], extent[1]))]
    if heat is None or not heat.max() > 0:
        centre = tuple(size // 2 for size in space)
    else:
        centre = tuple(int(i) for i in np.unravel_index(int(heat.argmax()), heat.shape))
    rest = [[other for other in range(3) if other != axis] for axis in range(3)]
    return [(centre[axis], axis, (extent[rest[axis][0]], extent[rest[axis][1]])) for axis in range(3)]


def _cut(array: np.ndarray, place: int, axis: int | None) -> np.ndarray:
    """A plane of a volume [z, y, x, ...]; z rises to the head, which belongs at the top."""
    if axis is None:
        return array
    plane = np.take(array, place, axis)
    return plane if axis == 0 else plane[::-1]


def _panel(grey: np.ndarray, heat: np.ndarray | None, sides: tuple[float, float]) -> np.ndarray:
    """RGB uint8 with the image's proportions in mm."""
    longest = min(max(max(grey.shape[:2]), SIDE), LARGEST)
    scale = longest / max(sides)
    size = (max(round(sides[1] * scale), 1), max(round(sides[0] * scale), 1))
    image = np.asarray(Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR), np.float32)
    if heat is None:
        return image.astype(np.uint8)
    warm = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))[..., None]
    mixed = image * (1 - OPACITY * warm) + WARM * OPACITY * warm
    inside = warm[..., 0] >= OUTLINED
    inner = inside.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(inside, step, axis)
    mixed[inside & ~inner] = EDGE
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _captioned(image: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """The image above a black field with the lines, broken where they are longer than the image is wide."""
    font = ImageFont.load_default(size=_TEXT)
    broken = [part for line in lines for part in _broken(line, font, image.shape[1] - 2 * _MARGIN)]
    step = _TEXT + 6
    field = Image.new("RGB", (image.shape[1], len(broken) * step + 2 * _MARGIN))
    draw = ImageDraw.Draw(field)
    for i, line in enumerate(broken):
        draw.text((_MARGIN, _MARGIN + i * step), line, fill="white", font=font)
    return np.concatenate([image, np.asarray(field)])


def _broken(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    done, current = [], ""
    for word in line.split():
        longer = f"{current} {word}".strip()
        if current and font.getlength(longer) > width:
            done.append(current)
            current = word
        else:
            current = longer
    return [*done, current]
