"""The predictor: opens a bundle and turns images, as files or arrays in raw units, into decisions.

    predictor = ImagePredictor.open("runs/medical/imaging/...")
    predictor.predict(["scan.dcm"])        # [{"probability": {...}, "decision": "lesion", "set": [...], ...}]

Imports numpy, ONNX Runtime and what reads the files; never torch, pandas or scikit-learn. Resampling, window and
scaling are layers of the network, so that no step of training has a second version here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lepton_solutions import bundle
from lepton_solutions.data.images import Picture
from lepton_solutions.engines import CHUNK_BYTES, Engine
from lepton_solutions.errors import UserError
from medical.imaging.capture import Grid, placed
from medical.imaging.decision import Answer, ImageDecision
from medical.imaging.inputs import Inputs

PIPELINE = "medical/imaging"
Given = Sequence[Path | str | np.ndarray | Picture] | np.ndarray


@dataclass(frozen=True)
class Outputs:
    """Of the network, an image a row. logit: [n] or [n, outputs], float64. distance: [n], how foreign it looks."""

    logit: np.ndarray
    distance: np.ndarray


@dataclass(frozen=True)
class ImagePredictor:
    """A verified bundle, ready to answer. name: the start of its manifest's hash, which tells it from any other."""

    name: str
    inputs: Inputs
    decision: ImageDecision
    engine: Engine

    @classmethod
    def open(cls, path: str | Path, *, threads: int = 0) -> ImagePredictor:
        """Open a bundle, or the run folder that holds one. Raises UserError when a file is missing or was changed."""
        folder = bundle.find(Path(path))
        pipeline = bundle.verify(folder)
        if pipeline != PIPELINE:
            raise UserError(f"{folder}: a bundle of `{pipeline}`, expected one of `{PIPELINE}`")
        return cls(
            name=hashlib.sha256((folder / bundle.MANIFEST).read_bytes()).hexdigest()[:12],
            inputs=Inputs.from_json(json.loads((folder / "inputs.json").read_text(encoding="utf-8"))),
            decision=ImageDecision.from_json(json.loads((folder / "decision.json").read_text(encoding="utf-8"))),
            engine=Engine(folder / "model.onnx", threads=threads),
        )

    def predict(
        self, images: Given, *, spacing: Sequence[float] | None = None, units: Sequence[str] | None = None
    ) -> list[dict[str, object]]:
        """Per unit, in the order they first appear: `probability` of each label, `decision`, `set` of what is not ruled
        out, `refer` (a person has to read it) and `refused` (it looks foreign).

        images: files or folders, or arrays [*space] or [channels, *space] in raw units, or one array of all. spacing:
        mm between the pixels of arrays. units: whose image each is, where studies or patients are decided about; left
        out, each image is decided by itself. Raises UserError for a file that cannot be read or a wrong size.
        """
        if not len(images):
            return []
        names = [str(number) for number in range(len(images))] if units is None else list(units)
        if len(names) != len(images):
            raise UserError(f"units: {len(names)} names for {len(images)} images, expected one an image")
        outputs = self.outputs(self.read(images, spacing=spacing))
        return [self.told(answer) for answer in self.decide(outputs, names)]

    def outputs(self, arrays: Iterable[Mapping[str, np.ndarray]]) -> Outputs:
        """The network's answers, in the order given; images of one size that follow each other go together.

        arrays: of each image, as `inputs.arrays` makes them.
        """
        logits, distances = [np.empty(0)], [np.empty(0)]
        for batch in _alike(arrays):
            found = self.engine.answers(**batch)
            logits.append(found["logit"].astype(np.float64))
            distances.append(found["distance"].astype(np.float64))
        return Outputs(np.concatenate(logits[1:] or logits), np.concatenate(distances))

    def decide(self, outputs: Outputs, units: Sequence[str]) -> list[Answer]:
        """An answer a unit, in the order in which the units first appear. units: the name of each row's."""
        code = {name: number for number, name in enumerate(dict.fromkeys(units))}
        return self.decision.decide(outputs.logit, outputs.distance, np.array([code[name] for name in units]))

    def told(self, answer: Answer) -> dict[str, object]:
        """An answer in plain words and numbers."""
        return {
            "probability": dict(zip(self.inputs.labels, answer.probability, strict=True)),
            "label": answer.label,
            "decision": answer.decision,
            "set": list(answer.possible),
            "refer": answer.refer,
            "refused": answer.refused,
        }

    def heat(self, picture: Picture, answer: Answer) -> tuple[np.ndarray, str]:
        """What spoke for the decision, on the picture's own pixels, from 0 to 1; and the label it spoke for."""
        batch = {name: array[None] for name, array in self.inputs.arrays(picture).items()}
        maps = self.engine.answers(**batch)["map"][0]
        place, label = self.mapped(answer)
        wanted = self.inputs.spacing
        grid = None if wanted is None else Grid(wanted, self.inputs.size)
        return placed(maps[place], picture.size, spacing=picture.spacing, grid=grid), label

    def mapped(self, answer: Answer) -> tuple[int, str]:
        """Which map to show, and what it speaks for: the likeliest label; of two classes always the positive."""
        labels = self.inputs.labels
        if self.inputs.task == "binary":
            return 0, labels[1]
        if self.inputs.task == "ordinal":  # one map of all levels, which speaks for a higher one
            return 0, f"more than {labels[0]}"
        likeliest = int(np.argmax(answer.probability))
        return likeliest, labels[likeliest]

    def read(self, images: Given, *, spacing: Sequence[float] | None = None) -> Iterator[dict[str, np.ndarray]]:
        """Each image as `outputs` takes it."""
        for number, image in enumerate(images, 1):
            named = str(image) if isinstance(image, Path | str) else f"image {number}"
            yield self.inputs.arrays(self.picture(image, spacing), where=named)

    def picture(self, image: Path | str | np.ndarray | Picture, spacing: Sequence[float] | None = None) -> Picture:
        """A file decoded, an array with its spacing."""
        if isinstance(image, Picture):
            return image
        if isinstance(image, np.ndarray):
            pixels = image[None] if image.ndim == self.inputs.dims else image
            return Picture(pixels, None if spacing is None else tuple(float(step) for step in spacing))
        from medical.imaging.reading import read

        return read(Path(image), self.inputs.space)


def _alike(images: Iterable[Mapping[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Batches of images of one shape, in order, none larger than the engine takes at once."""
    held: list[Mapping[str, np.ndarray]] = []
    for image in images:
        full = held and (len(held) + 1) * image["pixels"].nbytes > CHUNK_BYTES
        if held and (full or held[0]["pixels"].shape != image["pixels"].shape):
            yield {name: np.stack([one[name] for one in held]) for name in held[0]}
            held = []
        held.append(image)
    if held:
        yield {name: np.stack([one[name] for one in held]) for name in held[0]}
