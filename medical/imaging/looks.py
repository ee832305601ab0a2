"""What the audit has to know of an image, in 4 KB: a thumbnail, a digest of the pixels, size, brightness, edges.

Taken once while an image is decoded, from the pixels as the file holds them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.data.images import Picture

SIDE = 64  # pixels of a thumbnail
BLANK = 0.005  # share of pixels that must differ from the commonest value, or there is nothing to see


@dataclass(frozen=True)
class Look:
    """thumbnail: uint8 [SIDE, SIDE], grey, stretched to a square and to the image's own range; of a volume the slice in
    the middle of its first axis. digest: equal for equal pixels. size, channels: as in the file. low, high:
    of the raw pixels; mean, spread: of at most 65,536 of them, evenly spaced. varied: share of those that differ from
    the commonest value. facts: `Picture.facts`.
    """

    thumbnail: NDArray[np.uint8]
    digest: str
    size: tuple[int, ...]
    channels: int
    low: float
    high: float
    mean: float
    spread: float
    varied: float
    facts: dict[str, str]

    @property
    def blank(self) -> bool:
        """Whether one value fills the image."""
        return self.varied < BLANK


def look(picture: Picture) -> Look:
    """What the audit reads of an image. picture: as it was decoded, [channels, *space]."""
    pixels = picture.pixels
    digest = hashlib.sha256(repr((pixels.shape, pixels.dtype.str)).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    plane = pixels[:, pixels.shape[1] // 2] if pixels.ndim == 4 else pixels
    grey = plane[0].astype(np.float32) if len(plane) == 1 else plane.mean(axis=0, dtype=np.float32)
    if pixels.dtype.kind == "f":
        grey = np.nan_to_num(grey)
    some = _sample(pixels).astype(np.float64)
    return Look(
        thumbnail=_levels(_resized(grey)),
        digest=digest.hexdigest()[:32],
        size=picture.size,
        channels=len(pixels),
        low=float(np.nan_to_num(pixels.min())),
        high=float(np.nan_to_num(pixels.max())),
        mean=float(some.mean()),
        spread=float(some.std()),
        varied=_varied(grey),
        facts=dict(picture.facts),
    )


def twins(looks: Sequence[Look]) -> NDArray[np.int64]:
    """int64 [n]: images of equal pixels share a code."""
    return np.unique([one.digest for one in looks], return_inverse=True)[1].astype(np.int64).ravel()


def write_looks(looks: Sequence[Look], folder: Path) -> None:
    """Keep them in `looks.npz` and `looks.jsonl` of this folder."""
    thumbnails = np.stack([one.thumbnail for one in looks]) if looks else np.zeros((0, SIDE, SIDE), np.uint8)
    np.savez(folder / "looks.npz", thumbnails=thumbnails)
    with (folder / "looks.jsonl").open("w", encoding="utf-8") as file:
        for one in looks:
            plain = {name: value for name, value in vars(one).items() if name != "thumbnail"}
            file.write(json.dumps(plain) + "\n")


def read_looks(folder: Path) -> list[Look]:
    """The inverse of `write_looks`."""
    with np.load(folder / "looks.npz", allow_pickle=False) as kept:
        thumbnails = kept["thumbnails"]
    lines = (folder / "looks.jsonl").read_text(encoding="utf-8").splitlines()
    found = []
    for thumbnail, line in zip(thumbnails, lines, strict=True):
        plain = json.loads(line)
        found.append(Look(thumbnail=thumbnail, **(plain | {"size": tuple(plain["size"])})))
    return found


def _resized(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """[SIDE, SIDE], the mean of the pixels under each where the image is larger, linear where it is smaller."""
    rows, columns = (_averaging(side) for side in grey.shape)
    return np.asarray(rows @ grey @ columns.T, np.float32)


def _averaging(side: int) -> NDArray[np.float32]:
    """Weights [SIDE, side] of a hat as wide as a thumbnail's pixel, or as the image's where that is wider."""
    step = side / SIDE
    centre = (np.arange(SIDE) + 0.5) * step - 0.5
    hat = np.maximum(0, 1 - np.abs(np.clip(centre, 0, side - 1)[:, None] - np.arange(side)) / max(step, 1.0))
    return (hat / hat.sum(axis=1, keepdims=True)).astype(np.float32)


def _levels(grey: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Stretched to 0..255 between the .5th and 99.5th percentile, so that CT and 16-bit images can be compared."""
    low, high = np.percentile(grey, [0.5, 99.5])
    if high <= low:
        low, high = float(grey.min()), float(grey.max())
    if high <= low:
        return np.zeros(grey.shape, np.uint8)
    return np.round(np.clip((grey - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def _varied(grey: NDArray[np.float32]) -> float:
    _, counts = np.unique(_sample(grey), return_counts=True)
    return float(1 - counts.max() / counts.sum())


def _sample(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """At most 65,536 pixels; a step without factors of 2 or 5 does not fall into the columns' rhythm."""
    flat = np.ascontiguousarray(pixels).reshape(-1)
    step = max(1, -(-flat.size // 2**16))
    while step > 1 and (step % 2 == 0 or step % 5 == 0):
        step += 1
    some = flat[::step]
    return np.nan_to_num(some) if some.dtype.kind == "f" else some
