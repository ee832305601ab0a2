"""What does a picture look like, whichever way it is turned? Descriptions of discs that turning and mirroring keep.

A disc is read along rings. Turning it shifts every ring by the same angle: the sizes of the rings' harmonics stay, and
so do the angles between the harmonics of two rings, of which mirroring only changes the sign. Zooming and shearing are
met by reading smaller discs and ellipses, the `VIEWS`. What a duplicate is, `near_duplicates.py` decides.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pictures: TypeAlias = NDArray[np.float32]  # [n, side, side]
Spectra: TypeAlias = NDArray[np.complex64]  # [n, RINGS, ANGLES // 2 + 1], the harmonics of each ring

RINGS, ANGLES = 10, 64
HARMONICS = 12  # of 32: what is finer differs between a picture and its copy, which was interpolated
FLAT = 0.25  # grey levels of 255: what rounding to whole levels leaves


def _ellipse(longest: float, ratio: float, angle: float) -> NDArray[np.float64]:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    drawn: NDArray[np.float64] = longest * turn @ np.diag([1 / ratio, 1.0]) @ turn.T
    return drawn


# The parts of a picture that a copy may show, as maps from the disc to the picture: discs down to .55 of the radius,
# and ellipses of axes 1 : 1.35, which is a shear by .3. The first is the whole disc.
VIEWS: Final = (
    *(_ellipse(share, 1.0, 0.0) for share in (1.0, 0.86, 0.74, 0.64, 0.55)),
    *(_ellipse(share, 1.35, k * np.pi / 4) for share in (1.0, 0.8, 0.64) for k in range(4)),
)


def band(thumbnails: NDArray[np.uint8], *, fine: float, coarse: float = 8.0) -> Pictures:
    """Only what is between `fine` and `coarse` pixels wide (standard deviations of two Gaussians): neither the
    brightness of the whole nor the noise of single pixels. [n, side, side] of unit variance, zeros where flat.
    """
    side = thumbnails.shape[1]
    grey = thumbnails.astype(np.float32)
    kept, removed = _gaussian(side, fine), _gaussian(side, coarse)
    made = kept @ grey @ kept.T - removed @ grey @ removed.T
    spread = made.std(axis=(1, 2), keepdims=True)
    return np.where(spread > FLAT, made / np.maximum(spread, FLAT), 0).astype(np.float32)


def rings(pictures: Pictures, view: NDArray[np.float64]) -> Spectra:
    """Harmonics of one view of each picture, brought to zero mean and unit size.

    `sum(a * b.conj())` over the rings, transformed back, is then the correlation of two views at every turn.
    """
    middle = (pictures.shape[1] - 1) / 2
    radii = (middle - 0.5) * np.sqrt((np.arange(RINGS) + 0.5) / RINGS)  # rings of equal area
    turn = 2 * np.pi * np.arange(ANGLES) / ANGLES
    x, y = np.einsum("ab,brt->art", view, np.stack([np.outer(radii, np.cos(turn)), np.outer(radii, np.sin(turn))]))
    read = _sampled(pictures, middle + y, middle + x)
    read -= read.mean(axis=(1, 2), keepdims=True)
    read /= np.sqrt(np.square(read).sum(axis=(1, 2), keepdims=True)) + 1e-6
    return np.fft.rfft(read, axis=2).astype(np.complex64)


def description(spectra: Spectra) -> NDArray[np.float32]:
    """What turning and mirroring leave of a view, [n, features]."""
    waves = spectra[:, :, 1 : HARMONICS + 1]
    parts = [spectra[:, :, :1].real / np.sqrt(2), np.abs(waves)]
    for apart in (1, 2):
        product = waves[:, apart:] * waves[:, :-apart].conj()
        parts.append((product / np.sqrt(np.abs(product) + 1e-12)).real)
    return np.concatenate([part.reshape(len(spectra), part.shape[1] * part.shape[2]) for part in parts], axis=1).astype(
        np.float32
    )


def turned(first: Spectra, second: Spectra) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Pair by pair: the best correlation over all turns with and without mirroring, that turn, and whether mirrored.

    turn: radians from a point of the first view, about its middle, to where the second, mirrored left to right if it
    must be, shows the same.
    """
    best = np.full(len(first), -2.0, dtype=np.float32)
    turn = np.zeros(len(first), dtype=np.float32)
    mirrored = np.zeros(len(first), dtype=bool)
    for mirror in (False, True):
        # A mirrored ring runs backwards, which is the conjugate spectrum.
        product = np.einsum("nrh,nrh->nh", first, second if mirror else second.conj())
        agreement = np.fft.irfft(product, n=ANGLES, axis=1)
        place = agreement.argmax(axis=1)
        found = agreement[np.arange(len(first)), place].astype(np.float32)
        better = found > best
        best[better], mirrored[better] = found[better], mirror
        shift = (2 * np.pi / ANGLES * place[better]).astype(np.float32)
        turn[better] = np.pi - shift if mirror else -shift
    return best, turn, mirrored


def corners(
    y: NDArray[np.floating], x: NDArray[np.floating], side: int
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.float32]]]:
    """The four pixels around each coordinate, as positions in a flat picture, and their weights; edges are repeated."""
    y, x = np.clip(y, 0, side - 1), np.clip(x, 0, side - 1)
    top, left = np.minimum(y.astype(np.int64), side - 2), np.minimum(x.astype(np.int64), side - 2)
    down, right = (y - top).astype(np.float32), (x - left).astype(np.float32)
    start = top * side + left
    index = [start, start + 1, start + side, start + side + 1]
    return index, [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right]


def _sampled(pictures: Pictures, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float32]:
    """Linear interpolation at pixel coordinates that all pictures share, [n, *y.shape]."""
    side = pictures.shape[1]
    index, weight = corners(y, x, side)
    flat = pictures.reshape(len(pictures), side * side)
    read = flat[:, index[0]] * weight[0]
    for corner in range(1, 4):
        read += flat[:, index[corner]] * weight[corner]
    return read


def _gaussian(side: int, width: float) -> NDArray[np.float32]:
    """A blur of one axis as a matrix, [side, side]; its rows sum to 1, so that edges do not darken."""
    apart = np.arange(side)[:, None] - np.arange(side)
    kernel = np.exp(-0.5 * (apart / width) ** 2)
    return (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
