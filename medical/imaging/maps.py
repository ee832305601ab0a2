"""What the network looked at, as the report shows it: chosen images, their maps, and how far these can be believed.

A map holds evidence: above 0 a place speaks for a class, below 0 against it. Imports neither torch nor matplotlib.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.errors import UserError
from lepton_solutions.metrics import Interval, wilson

Floats = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class Maps:
    """explained.npz: n chosen cases, and two checks of the maps. Classes are codes of the labels.

    `label`: the class whose evidence `heat` is; binary: the positive one; ordinal: the highest, and `heat` speaks for
    more of it. `truth`, `said`: class codes; of several findings 0 or 1 of the finding `label`. `place`: the slice of a
    volume, -1 of an image. `lesion`: row, column and radius in pixels of the picture, NaN where none is known.
    `hits`: whether the map's maximum lies in the lesion, of each lesion of the test part, `hits_shuffled` the same
    under shuffled weights, and `chance` the share of the image that would have counted. `likeness`: rank correlation
    of a case's map with that under shuffled weights. Shuffles are rows.
    """

    picture: NDArray[np.uint8]  # [n, h, w, 3]
    heat: NDArray[np.float32]  # [n, rows, columns], as coarse as the network's map
    label: NDArray[np.int64]
    truth: NDArray[np.int64]
    said: NDArray[np.int64]
    probability: NDArray[np.float64]  # [n], of what was said
    unit: NDArray[np.int64]  # row of predictions.parquet
    refer: NDArray[np.bool_]
    place: NDArray[np.int64]
    slices: int
    lesion: NDArray[np.float32]  # [n, 3]
    likeness: NDArray[np.float64]  # [shuffles, n]
    hits: NDArray[np.bool_]  # [lesions]
    hits_shuffled: NDArray[np.bool_]  # [shuffles, lesions]
    chance: NDArray[np.float64]  # [lesions]

    @property
    def right(self) -> NDArray[np.bool_]:
        return self.truth == self.said

    @property
    def pointing(self) -> Interval | None:
        """Share of lesions that the map points at."""
        return wilson(float(self.hits.mean()), len(self.hits)) if len(self.hits) else None

    def write(self, file: Path) -> None:
        """All of it or nothing; no pickle inside."""
        held = io.BytesIO()
        np.savez_compressed(
            held, allow_pickle=False, **{field.name: getattr(self, field.name) for field in fields(self)}
        )
        aside = file.with_name(f".{file.name}.partial")
        aside.write_bytes(held.getvalue())
        aside.replace(file)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Raises UserError where the file is absent or is no such file."""
        if not file.is_file():
            raise UserError(
                f"{file}: no such file, expected what a finished run writes", hint="the same command resumes it"
            )
        try:
            with np.load(file, allow_pickle=False) as saved:
                found = {field.name: saved[field.name] for field in fields(cls)}
        except (ValueError, OSError, KeyError, EOFError) as error:
            raise UserError(
                f"{file}: no maps of this version: {error}", hint="start the run afresh: `run.new=true`"
            ) from error
        return cls(**found | {"slices": int(found["slices"])})


def enlarged(maps: Floats, size: Sequence[int]) -> NDArray[np.float32]:
    """Maps [n, *coarse] spread linearly over the pixels they were computed from, [n, *size]; the ends are held."""
    from scipy.ndimage import zoom

    scale = [1.0, *(wanted / had for wanted, had in zip(size, maps.shape[1:], strict=True))]
    return zoom(np.asarray(maps, np.float32), scale, order=1, mode="nearest", grid_mode=True)


def pointing_game(maps: Floats, lesions: Floats, *, tolerance: float = 0.0) -> NDArray[np.bool_]:
    """Whether the maximum of each map lies within the lesion: no further from its centre than radius + tolerance.

    maps: [n, *size], at the size of the images (see `enlarged`). lesions: [n, dims + 1], centre along each axis and
    radius, all in pixels. The game is Zhang et al. 2018, "Top-down neural attention by excitation backprop".

    >>> pointing_game(np.eye(9).reshape(1, 9, 9)[:, ::-1] * [0, 0, 1, 0, 0, 0, 0, 0, 0], np.array([[6.0, 2.0, 1.0]]))
    array([ True])
    """
    flat = maps.reshape(len(maps), -1).argmax(axis=1)
    at = np.stack(np.unravel_index(flat, maps.shape[1:]), axis=1)
    away = np.linalg.norm(at - lesions[:, :-1], axis=1)
    return away <= lesions[:, -1] + tolerance


def chance_of_hitting(lesions: Floats, size: Sequence[int], *, tolerance: float = 0.0) -> NDArray[np.float64]:
    """The share of pixels that would count as a hit for each lesion: what pointing blindly scores."""
    grid = np.stack(np.meshgrid(*(np.arange(side) for side in size), indexing="ij"), axis=-1).reshape(-1, len(size))
    return np.array([
        float((np.linalg.norm(grid - lesion[:-1], axis=1) <= lesion[-1] + tolerance).mean()) for lesion in lesions
    ])  # fmt: skip


def likeness(one: Floats, other: Floats) -> NDArray[np.float64]:
    """Rank correlation of pairs of maps, [n, ...] each: 1 where both order the places alike, 0 unrelated. A map that is
    the same everywhere is like none."""
    from scipy.stats import rankdata

    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (one, other)]
    first, second = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    length = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.divide((first * second).sum(axis=1), length, out=np.zeros(len(one)), where=length > 0)


def display(pixels: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    """Pixels [c, h, w] in raw units as RGB [h, w, 3], black at `low` and white at `high`; the first channel as grey
    where there are not three."""
    shown = pixels if len(pixels) == 3 else np.repeat(pixels[:1], 3, axis=0)
    share = (np.nan_to_num(shown.astype(np.float32)) - low) / max(high - low, 1e-6)
    return np.moveaxis(np.rint(255 * share.clip(0, 1)).astype(np.uint8), 0, -1)


WARM = np.array([213, 94, 0], np.float32)  # vermillion and yellow of Okabe and Ito, as in the secondary captures
EDGE = np.array([240, 228, 66], np.float32)
OPACITY, OUTLINED = 0.55, 0.5  # at the top of the scale; the share of the scale where the outline runs
SHORTEST, LONGEST = 112, 320  # pixels of the longer side in the report


def fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB [h, w, 3], enlarged or reduced to what the page shows of it."""
    from PIL import Image

    longest = max(picture.shape[:2])
    scale = min(max(longest, SHORTEST), LONGEST) / longest
    size = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def overlaid(picture: NDArray[np.uint8], heat: Floats, *, top: float) -> NDArray[np.uint8]:
    """The picture, warmer where more evidence lies; outlined where it is above half of `top`, the end of the scale."""
    warm = (enlarged(heat[None], picture.shape[:2])[0] / max(top, 1e-9)).clip(0, 1)[..., None]
    mixed = picture * (1 - OPACITY * warm) + WARM * OPACITY * warm
    inside = np.pad(warm[..., 0] >= OUTLINED, 1, mode="edge")
    inner = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    mixed[inside[1:-1, 1:-1] & ~inner] = EDGE
    return np.rint(mixed).clip(0, 255).astype(np.uint8)


def tops_of_scale(maps: Maps) -> NDArray[np.float64]:
    """[n]: where each map's scale ends. Maps of one class share it, so that a weak map looks weak: what one in ten of
    their maxima exceeds. Evidence of different classes does not compare."""
    highest = maps.heat.reshape(len(maps.heat), -1).max(axis=1, initial=0.0)
    return np.array([np.quantile(highest[maps.label == label], 0.9) for label in maps.label], np.float64)
