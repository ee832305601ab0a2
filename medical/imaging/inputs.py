"""What reaches the exported network: which images it takes, as `inputs.json` says it, checked before it runs.

    {"task": "binary", "labels": ["none", "lesion"], "channels": 1, "dims": 2, "size": [64, 64], "spacing": null, ...}

The pixels are the file's own values (HU for CT); everything after that is a layer of the network.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Literal

import numpy as np

from lepton_solutions.data.images import Picture
from lepton_solutions.errors import UserError
from medical.imaging.conform import Kind, conform
from medical.imaging.pooling import TaskName

if TYPE_CHECKING:
    from medical.imaging.store import Facts

LARGEST = 2**31 - 1  # values of one image, 8 GB as float32


@dataclass(frozen=True)
class Inputs:
    """size, spacing: what the network resamples to, a number an axis; spacing None: stretched, whatever the mm.

    resized: images of any size are taken; otherwise only those of `size`. kind, file_window: as `conform` takes them.
    low, high: the window in raw units, shown black and white.
    """

    task: TaskName
    labels: tuple[str, ...]
    channels: int
    dims: int
    size: tuple[int, ...]
    spacing: tuple[float, ...] | None
    resized: bool
    kind: Kind
    file_window: bool
    low: float
    high: float
    modality: str | None

    @classmethod
    def of(cls, facts: Facts) -> Inputs:
        """From what `prepare` found."""
        found = {field.name: getattr(facts, field.name) for field in fields(cls)}
        return cls(**found | {"labels": tuple(facts.labels), "spacing": facts.spacing if facts.resized else None})

    @property
    def space(self) -> Literal[2, 3]:
        """Dimensions, as the readers take them."""
        return 3 if self.dims == 3 else 2

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> Inputs:
        """Raises UserError where keys are missing."""
        known = [field.name for field in fields(cls)]
        if absent := [name for name in known if name not in values]:
            raise UserError(f"inputs.json: expected the keys {', '.join(known)}; missing: {', '.join(absent)}")
        read = {name: tuple(value) if isinstance(value := values[name], list) else value for name in known}
        return cls(**read)  # type: ignore[arg-type]

    def arrays(self, picture: Picture, *, where: str = "the image") -> dict[str, np.ndarray]:
        """What the engine takes, without the axis of rows: `pixels` float32 [channels, *space] and, where the network
        resamples in mm, `spacing` float32 [dims]. Raises UserError for an image of another kind than the model's.
        """
        if 0 in picture.pixels.shape or picture.pixels.size > LARGEST:
            raise UserError(f"{where}: found {_sizes(picture.pixels.shape)} values, expected an image")
        try:
            pixels = conform(
                picture, channels=self.channels, dims=self.dims, kind=self.kind, file_window=self.file_window
            ).astype(np.float32)
        except UserError as error:
            raise UserError(f"{where}: {error.message}", hint=error.hint) from error
        if not self.resized and pixels.shape[1:] != self.size:
            raise UserError(
                f"{where}: found {_sizes(pixels.shape[1:])} pixels, expected {_sizes(self.size)}",
                hint="a model trained with `data.size` takes images of any size",
            )
        if not np.isfinite(pixels).all():
            raise UserError(f"{where}: found pixels that are no numbers, expected finite values")
        arrays = {"pixels": pixels}
        if self.spacing is not None:
            if picture.spacing is None:
                raise UserError(
                    f"{where}: found no spacing, expected millimetres between pixels: the model resamples to "
                    f"{_sizes(self.spacing)} mm",
                    hint="DICOM and NIfTI files hold it; of arrays it is `spacing=`",
                )
            if len(picture.spacing) != self.dims or not all(step > 0 for step in picture.spacing):
                raise UserError(f"{where}: found a spacing of {picture.spacing}, expected {self.dims} numbers above 0")
            arrays["spacing"] = np.asarray(picture.spacing, np.float32)
        return arrays


def _sizes(numbers: tuple[int, ...] | tuple[float, ...]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
