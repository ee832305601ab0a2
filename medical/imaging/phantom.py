"""Simulated CT: a body with organs and bones, noise, and in half of the patients a lesion of known place and size.

Images are drawn when they are read, each from its own seed, so that a set of any size takes no memory.

>>> phantoms = Phantoms(side=64)
>>> phantoms.image(0).shape, phantoms.image(0).dtype.name
((1, 64, 64), 'int16')
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter

PATIENTS = 600
FIELD_MM = 320.0  # side of the field of view
# Hounsfield units, textbook means.
_AIR, _FAT, _MUSCLE, _LIVER, _BONE, _VESSEL = -1000.0, -90.0, 45.0, 65.0, 420.0, 210.0


@dataclass(frozen=True)
class Phantoms:
    """A set of phantoms: one to three images a patient, 1,200 in all by default, of two scanners.

    side: pixels along every axis. dims: 2 (slices) or 3 (volumes). A patient has a lesion in every image or in none.
    """

    side: int
    dims: int = 2
    patients: int = PATIENTS
    seed: int = 0

    @property
    def spacing(self) -> tuple[float, ...]:
        """Millimetres between pixels, the same along every axis."""
        return (FIELD_MM / self.side,) * self.dims

    @cached_property
    def patient(self) -> np.ndarray:
        """int64 [images]: whose image it is."""
        return np.repeat(np.arange(self.patients), np.resize([1, 2, 3], self.patients))

    @cached_property
    def label(self) -> np.ndarray:
        """int64 [images]: 1 with a lesion."""
        sick = np.random.default_rng((self.seed, 1)).permutation(self.patients) < self.patients // 2
        return sick[self.patient].astype(np.int64)

    @cached_property
    def site(self) -> np.ndarray:
        """int64 [images]: scanner 0 or 1; the second is noisier."""
        return np.random.default_rng((self.seed, 2)).integers(0, 2, self.patients)[self.patient]

    @cached_property
    def sex(self) -> np.ndarray:
        """int64 [images]: 0 female, 1 male."""
        return np.random.default_rng((self.seed, 3)).integers(0, 2, self.patients)[self.patient]

    @cached_property
    def age(self) -> np.ndarray:
        """int64 [images], years."""
        return np.random.default_rng((self.seed, 4)).integers(25, 90, self.patients)[self.patient]

    @cached_property
    def lesions(self) -> np.ndarray:
        """float64 [images, dims + 1]: centre and radius in pixels; NaN where there is none."""
        places = np.full((len(self.patient), self.dims + 1), np.nan)
        for row in np.flatnonzero(self.label):
            places[row] = self._lesion(int(row))
        return places

    def image(self, row: int) -> np.ndarray:
        """int16 [1, *space], Hounsfield units."""
        draw = np.random.default_rng((self.seed, 10, row))
        grid = self._grid()
        shape = self._body(int(self.patient[row]))
        body = _ellipsoid(grid, np.zeros(self.dims), shape)
        hu = np.full(grid.shape[1:], _FAT)
        hu = _filled(hu, _ellipsoid(grid, np.zeros(self.dims), shape - 12.0), _MUSCLE)
        spine = np.zeros(self.dims)
        spine[-2] = 0.62 * shape[-2]  # the back is down in an axial image, y rises to it
        hu = _filled(hu, _ellipsoid(grid, spine, np.full(self.dims, 17.0), along=self.dims - 2), _BONE)
        # No two images are alike in their organs, or a copy could not be told from another patient.
        for value, most, low, high in ((_LIVER, 3, 35.0, 60.0), (_FAT, 6, 10.0, 28.0)):
            for _ in range(int(draw.integers(2, most + 1))):
                hu = _filled(
                    hu, _ellipsoid(grid, self._inside(draw, shape, 0.7), draw.uniform(low, high, self.dims)), value
                )
        for _ in range(int(draw.integers(0, 3))):  # contrast-filled vessels: brightness alone tells nothing
            place = self._inside(draw, shape, 0.75)
            hu = _filled(hu, _ellipsoid(grid, place, np.full(self.dims, draw.uniform(3.0, 6.0))), _VESSEL)
        hu = _filled(np.full_like(hu, _AIR), body, hu)
        if self.label[row]:
            *centre, radius = self._lesion(row)
            place = (np.array(centre) - (self.side - 1) / 2) * self.spacing[0]
            value = _MUSCLE + np.random.default_rng((self.seed, 12, row)).uniform(100.0, 160.0)
            hu = _filled(hu, _ellipsoid(grid, place, np.full(self.dims, radius * self.spacing[0])), value)
        strength = (16.0, 22.0)[int(self.site[row])]
        noise = gaussian_filter(draw.standard_normal(hu.shape), 0.6)  # reconstruction smooths a scanner's noise
        hu += strength * noise / noise.std()
        return np.clip(np.round(hu), -1024, 3071).astype(np.int16)[None]

    def _grid(self) -> np.ndarray:
        """Millimetres from the middle, [dims, *space]."""
        axis = (np.arange(self.side) - (self.side - 1) / 2) * self.spacing[0]
        return np.stack(np.meshgrid(*[axis] * self.dims, indexing="ij"))

    def _body(self, patient: int) -> np.ndarray:
        """Half axes in mm, [dims]: in an axial slice wider than deep."""
        draw = np.random.default_rng((self.seed, 11, patient))
        y, x = draw.uniform(92.0, 112.0), draw.uniform(122.0, 146.0)
        return np.array([y, x] if self.dims == 2 else [170.0, y, x])

    def _lesion(self, row: int) -> np.ndarray:
        """Centre and radius in pixels, [dims + 1]."""
        draw = np.random.default_rng((self.seed, 13, row))
        radius = draw.uniform(14.0, 24.0) * (1.0 if self.dims == 2 else 1.5)
        place = self._inside(draw, self._body(int(self.patient[row])), 0.6)
        pixels = place / self.spacing[0] + (self.side - 1) / 2
        return np.append(pixels, radius / self.spacing[0])

    def _inside(self, draw: np.random.Generator, shape: np.ndarray, reach: float) -> np.ndarray:
        """A place in mm within `reach` of the body's half axes, in front of the spine."""
        direction = draw.standard_normal(self.dims)
        direction /= np.linalg.norm(direction)
        place = direction * shape * reach * draw.uniform() ** (1 / self.dims)
        place[-2] = min(place[-2], 0.25 * shape[-2])
        return place


def _ellipsoid(grid: np.ndarray, centre: np.ndarray, half_axes: np.ndarray, *, along: int | None = None) -> np.ndarray:
    """Share of each pixel that is inside, [*space], with an edge about a pixel wide. along=1 of three axes: a column
    that runs the whole length of the first."""
    offset = grid - centre.reshape(-1, *[1] * (grid.ndim - 1))
    if along == 1:
        offset[0] = 0
    distance = np.sqrt(((offset / half_axes.reshape(-1, *[1] * (grid.ndim - 1))) ** 2).sum(axis=0))
    pixel = float(grid[-1].ravel()[1] - grid[-1].ravel()[0])
    return np.clip(0.5 + (1 - distance) * half_axes.min() / pixel, 0, 1)


def _filled(hu: np.ndarray, inside: np.ndarray, value: float | np.ndarray) -> np.ndarray:
    return hu + inside * (value - hu)
