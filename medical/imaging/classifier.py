"""`ImageClassifier`: the imaging model for notebooks and programs of the user's own.

classifier = ImageClassifier(size=(64, 64)).fit("manifest.csv")         # or a folder a class, or fit(images, labels)
classifier.predict_proba(["scan.dcm"])
classifier.save("bundle"); ImageClassifier.load("bundle")

A shell around the stages of `lepton run medical/imaging`: the same split, training, calibration and exported network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from lepton_solutions import bundle
from lepton_solutions.config import read_settings
from lepton_solutions.data.images import Picture
from lepton_solutions.engines import Engine
from lepton_solutions.errors import UserError
from lepton_solutions.progress import Progress
from medical.imaging.decision import Answer, ImageDecision
from medical.imaging.inputs import Inputs
from medical.imaging.items import items_in
from medical.imaging.predictor import PIPELINE, Given, ImagePredictor
from medical.imaging.settings import Imaging
from medical.imaging.sources import Collection, index_table

Names = Sequence[str] | np.ndarray


class ImageClassifier:
    """size: pixels that reach the network, an axis each; None: the images' own. spacing: mm to resample to.

    model, members, epochs: as `model.name`, `model.members` and `fit.epochs` of the pipeline. task: `auto` takes it
    from the labels. random_state: seed. overrides: any further keys of `conf/medical/imaging.yaml`, such as
    `("augment.rotate=10", "decision.min_sensitivity=0.95")`.
    """

    def __init__(
        self,
        *,
        model: str = "small",
        task: str = "auto",
        size: tuple[int, ...] | None = None,
        spacing: tuple[float, ...] | None = None,
        members: int = 1,
        epochs: int | None = None,
        random_state: int = 0,
        overrides: Sequence[str] = (),
    ) -> None:
        self.model = model
        self.task = task
        self.size = size
        self.spacing = spacing
        self.members = members
        self.epochs = epochs
        self.random_state = random_state
        self.overrides = overrides
        self._predictor: ImagePredictor | None = None
        self._kept: TemporaryDirectory[str] | None = None

    def fit(
        self,
        images: str | Path | np.ndarray | Sequence[np.ndarray],
        labels: Names | None = None,
        *,
        patients: Names | None = None,
        image_spacing: Sequence[float] | None = None,
    ) -> ImageClassifier:
        """Learn from a manifest or a folder a class, or from arrays [n, (channels,) *space] with a label each.

        labels: [n] names or numbers, the greater of two being the positive one, or 0 and 1 in [n, findings]. patients:
        whose image each is; they are never separated. image_spacing: mm between the pixels of arrays. Raises UserError
        for what the pipeline refuses, such as leaking parts or a class of too few images.
        """
        from medical.imaging.exported import graph, load
        from medical.imaging.prepare import prepare
        from medical.imaging.store import Store
        from medical.imaging.train import train

        collection = None
        if isinstance(images, str | Path):
            if labels is not None:
                raise UserError("labels: given beside a path, expected none: the manifest or the folders name them")
            settings = self._settings("data=own_images", path=Path(images).expanduser())
        else:
            if labels is None:
                raise UserError("labels: found none, expected one for each image")
            settings = self._settings()
            collection = _collection(images, np.asarray(labels), patients, image_spacing)
        kept = TemporaryDirectory(prefix="lepton-")
        run, quiet = Path(kept.name), Progress(quiet=True)
        prepare(settings, run, run, quiet, collection)
        train(settings, run, run, quiet)
        content = graph(load(run))
        (run / "model.onnx").write_bytes(content)
        self._predictor = ImagePredictor(
            name=hashlib.sha256(content).hexdigest()[:12],
            inputs=Inputs.of(Store.read(run).facts),
            decision=_learned(run),
            engine=Engine(content),
        )
        self._kept = kept
        return self

    @property
    def classes_(self) -> np.ndarray:
        """Names of the labels, in the order of the columns of `predict_proba`."""
        return np.array(self._fitted().inputs.labels)

    def predict_proba(self, images: str | Path | Given, *, spacing: Sequence[float] | None = None) -> np.ndarray:
        """Calibrated probabilities [n, labels]; of several findings each by itself."""
        return np.array([answer.probability for answer in self.decide(images, spacing=spacing)])

    def predict(self, images: str | Path | Given, *, spacing: Sequence[float] | None = None) -> np.ndarray:
        """The label of each image [n], above the threshold that training chose; of several findings 0 and 1."""
        predictor, answers = self._fitted(), self.decide(images, spacing=spacing)
        if predictor.inputs.task != "multilabel":
            return np.array([answer.label for answer in answers])
        found = [answer.label.split("|") for answer in answers]
        return np.array([[int(name in names) for name in predictor.inputs.labels] for names in found])

    def decide(self, images: str | Path | Given, *, spacing: Sequence[float] | None = None) -> list[Answer]:
        """All that is said about each image: also what is not ruled out, and whether a person has to read it."""
        predictor = self._fitted()
        outputs = predictor.outputs(predictor.read(_listed(images, predictor), spacing=spacing))
        return predictor.decide(outputs, [str(row) for row in range(len(outputs.logit))])

    def explain(self, images: str | Path | Given, *, spacing: Sequence[float] | None = None) -> list[np.ndarray]:
        """What spoke for each decision, on the image's own pixels [*space], from 0 to 1."""
        predictor, listed = self._fitted(), _listed(images, self._fitted())
        pictures = [predictor.picture(image, spacing) for image in listed]
        return [
            predictor.heat(picture, answer)[0]
            for picture, answer in zip(pictures, self.decide(listed, spacing=spacing), strict=True)
        ]

    def save(self, folder: str | Path) -> None:
        """Write a bundle, which `lepton predict` reads too. Raises UserError where something is there."""
        from medical.imaging.networks import MEMBERS
        from medical.imaging.release import write_model

        predictor = self._fitted()
        if self._kept is None:
            raise UserError("a loaded classifier holds the exported model only; copy its bundle instead of saving it")
        place, run = bundle.place_for(folder), Path(self._kept.name)
        content = (run / "model.onnx").read_bytes()
        write_model(place, content, inputs=predictor.inputs, decision=predictor.decision, weights=run / MEMBERS)
        bundle.seal(place, pipeline=PIPELINE)

    @classmethod
    def load(cls, folder: str | Path) -> ImageClassifier:
        """A classifier that answers with a bundle. Raises UserError when a file was changed."""
        loaded = cls()
        loaded._predictor = ImagePredictor.open(folder)
        return loaded

    def _fitted(self) -> ImagePredictor:
        if self._predictor is None:
            raise UserError("this ImageClassifier has learned nothing yet", hint="call fit, or ImageClassifier.load")
        return self._predictor

    def _settings(self, *more: str, path: Path | None = None) -> Imaging:
        asked = [f"seed={self.random_state}", f"model.name={self.model}", f"model.task={self.task}"]
        asked.append(f"model.members={self.members}")
        if self.epochs is not None:
            asked.append(f"fit.epochs={self.epochs}")
        sizes = {key: value for key, value in (("size", self.size), ("spacing", self.spacing)) if value}
        data = {"path": None if path is None else str(path), **sizes}
        return read_settings("medical/imaging", [*more, *asked, *self.overrides], Imaging, data=data)


def _learned(run: Path) -> ImageDecision:
    learned = json.loads((run / "learned.json").read_text(encoding="utf-8"))
    return ImageDecision.from_json(learned["decisions"]["trained"])


def _listed(images: str | Path | Given, predictor: ImagePredictor) -> Given:
    if isinstance(images, str | Path):
        return [item.path for item in items_in(Path(images).expanduser(), dims=predictor.inputs.space)]
    return images


def _collection(
    images: np.ndarray | Sequence[np.ndarray],
    labels: np.ndarray,
    patients: Names | None,
    spacing: Sequence[float] | None,
) -> Collection:
    """Arrays as the pipeline takes images."""
    n = len(images)
    if len(labels) != n or (patients is not None and len(patients) != n):
        raise UserError(f"labels, patients: expected one for each of {n} images")
    if n == 0:
        raise UserError("images: found none")
    dims = 3 if spacing is not None and len(spacing) == 3 else _dims(images[0])
    between = None if spacing is None else tuple(float(step) for step in spacing)

    def read(row: int) -> Picture:
        pixels = np.asarray(images[row])
        return Picture(pixels[None] if pixels.ndim == dims else pixels, between, {})

    digest = hashlib.sha256()
    for image in images:
        digest.update(repr((np.shape(image), np.asarray(image).dtype)).encode())
        digest.update(np.ascontiguousarray(image).data)
    names: tuple[str, ...]
    if labels.ndim == 2:
        names = tuple(f"finding {place}" for place in range(labels.shape[1]))
        column: pa.Array | list[pa.Array] = [pa.array(one.astype(float)) for one in labels.T]
    else:
        classes, codes = np.unique(labels, return_inverse=True)
        names, column = tuple(str(one) for one in classes.tolist()), pa.array(codes.astype(np.int64))
    owners: list[str | None] = [None] * n if patients is None else [str(one) for one in np.asarray(patients).tolist()]
    return Collection(
        name="arrays",
        task=None,
        labels=names,
        index=index_table([f"image {row}" for row in range(n)], column, patient=owners),
        read=read,
        identity=f"arrays-{digest.hexdigest()[:32]}-{between}",
    )


def _dims(image: np.ndarray) -> int:
    """[height, width], [1 or 3, height, width], [depth, height, width] or [channels, depth, height, width]."""
    shape = np.shape(image)
    if len(shape) not in (2, 3, 4):
        raise UserError(f"images: found arrays of {len(shape)} axes, expected [(channels,) height, width] or a volume")
    return {2: 2, 4: 3}.get(len(shape), 2 if shape[0] in (1, 3) else 3)
