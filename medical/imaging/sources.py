"""Where images come from: the sets of MedMNIST by name, simulated phantoms, and the user's own.

A source gives a `Collection`: what is known of every image, and a function that decodes one of them. Each function here
is named by the config (`data=breastmnist`) and takes the resolution in pixels.

>>> phantom(64).read(0).pixels.shape
(1, 64, 64)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from lepton_solutions.data.sources import Source
from lepton_solutions.errors import UserError
from medical.imaging import phantom as phantom_module
from medical.imaging.medmnist import CITE, HOME, SETS
from medical.imaging.medmnist_file import NAMED_PARTS, arrays, channels_first, check
from medical.imaging.phantom import Phantoms

if TYPE_CHECKING:
    from lepton_solutions.data.images import Picture

Task = Literal["binary", "multiclass", "multilabel", "ordinal"]
NOT_GIVEN = -1  # the part of an image that the publisher put into none
TEXTS = ("patient", "study", "site", "sex")  # columns of an index beside the labels, text or null


@dataclass(frozen=True)
class Collection:
    """Images before they are decoded.

    task: None where the number of labels decides it. labels: names of the classes, of a binary task [negative,
    positive].
    index: a row an image, with `image` (its name: a path or `breastmnist/train/17`), `label` (int64, null unknown) or,
    for several labels at once, `label_0`, `label_1`, ... (float64: 0, 1 or null), `patient`, `study`, `site`, `sex`
    (text or null), `age` (float64 or null), `part` (int8, an index into `splits.PARTS`, -1 where none is given).
    read: decodes one row; raises UserError. identity: changes when the pixels do; the decoded copy is kept under it.
    lesions: [n, dims + 1], centre and radius in pixels, NaN where there is none; phantoms only.
    """

    name: str
    task: Task | None
    labels: tuple[str, ...]
    index: pa.Table
    read: Callable[[int], Picture]
    identity: str
    published_split: bool = False
    licence: str | None = None
    cite: str | None = None
    modality: str | None = None
    lesions: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.index.num_rows


def index_table(
    images: list[str],
    label: pa.Array | list[pa.Array],
    part: np.ndarray | None = None,
    **known: list[str | None] | pa.Array,
) -> pa.Table:
    """The index of a collection; columns that are not `known` are null. label: a list where there are several."""
    n = len(images)
    labels = {"label": label} if isinstance(label, pa.Array) else {f"label_{i}": one for i, one in enumerate(label)}
    texts = {name: pa.array(known.get(name, [None] * n), pa.string()) for name in TEXTS}
    age = pa.array(known.get("age", [None] * n), pa.float64())
    where = np.full(n, NOT_GIVEN, np.int8) if part is None else part.astype(np.int8)
    return pa.table({"image": pa.array(images, pa.string()), **labels, **texts, "age": age, "part": pa.array(where)})


def phantom(resolution: int = 64) -> Collection:
    """1,200 simulated CT slices of 600 patients, half of them with a lesion of known place."""
    return _phantoms(Phantoms(resolution))


def phantom_3d(resolution: int = 28) -> Collection:
    """300 simulated CT volumes of 150 patients, half of them with a lesion of known place."""
    return _phantoms(Phantoms(resolution, dims=3, patients=150))


def _phantoms(phantoms: Phantoms) -> Collection:
    from lepton_solutions.data.images import Picture

    def read(row: int) -> Picture:
        return Picture(phantoms.image(row), phantoms.spacing, {"modality": "CT"})

    patients = [f"phantom-{number:04d}" for number in phantoms.patient.tolist()]
    scans = np.arange(len(patients)) - np.searchsorted(phantoms.patient, phantoms.patient)
    space = "x".join([str(phantoms.side)] * phantoms.dims)
    return Collection(
        name=f"phantoms, {len(patients):,} of {space} pixels",
        task="binary",
        labels=("no lesion", "lesion"),
        index=index_table(
            [f"{patient}/{scan}" for patient, scan in zip(patients, scans.tolist(), strict=True)],
            pa.array(phantoms.label, pa.int64()),
            patient=patients,
            site=[f"scanner {number + 1}" for number in phantoms.site.tolist()],
            sex=["FM"[number] for number in phantoms.sex.tolist()],
            age=pa.array(phantoms.age, pa.float64()),
        ),
        read=read,
        # Who changes how phantoms are drawn must not get a decoded copy of the old ones.
        identity=f"phantoms {hashlib.sha256(Path(phantom_module.__file__).read_bytes()).hexdigest()} {phantoms!r}",
        licence="made by this program",
        modality="CT, simulated",
        lesions=phantoms.lesions,
    )


def own(resolution: int = 0) -> Collection:
    """The source of `data=own_images`: there are no images until a path is given."""
    raise UserError(
        "no images: `data=own_images` needs the path of a folder or of a manifest",
        hint="data.path=images/ (a sub-folder a class) or data.path=manifest.csv (columns path and label)",
    )


def medmnist(name: str, resolution: int = 28) -> Collection:
    """A set of MedMNIST v2 with its published split. Raises UserError for a resolution that is not published."""
    published, source = SETS[name], source_of(name, resolution)
    path = source.fetch()
    images, labels = arrays(path)
    lengths = [len(part) for part in images]
    part = np.repeat(np.array([code for _, code in NAMED_PARTS], np.int8), lengths)
    label = np.concatenate(labels)
    starts = np.cumsum([0, *lengths])
    several = published.task == "multilabel"
    check(path, images, label, len(published.labels), several=several, dims=published.dims)

    def read(row: int) -> Picture:
        from lepton_solutions.data.images import Picture

        which = int(np.searchsorted(starts, row, side="right")) - 1
        return Picture(channels_first(images[which][row - starts[which]], published.dims), None, {})

    names = [f"{name}/{text}/{i}" for (text, _), n in zip(NAMED_PARTS, lengths, strict=True) for i in range(n)]
    found = path.stat()
    return Collection(
        name=name if resolution == 28 else f"{name}, {resolution} pixels",
        task=published.task,
        labels=published.labels,
        index=index_table(
            names,
            [pa.array(column.astype(np.float64)) for column in label.T]
            if several
            else pa.array(label[:, 0], pa.int64()),
            part,
        ),
        read=read,
        identity=f"{path}\t{found.st_size}\t{found.st_mtime_ns}",
        published_split=True,
        licence=published.licence,
        cite=CITE,
        modality=published.modality,
        notes=("the training images stand in another order than in the official file",) if source is REORDERED else (),
    )


def source_of(name: str, resolution: int) -> Source:
    """Where a set of MedMNIST lies. Raises UserError for a resolution that is not published."""
    published = SETS[name]
    if resolution not in published.md5:
        known = " or ".join(str(size) for size in published.md5)
        raise UserError(f"data.resolution={resolution}: `{name}` is published at {known} pixels")
    source = published.source(resolution)
    lacks = name == "pneumoniamnist" and resolution == 28 and source.find() is None and REORDERED.find() is not None
    return REORDERED if lacks else source


REORDERED = Source(
    name="medmnist",
    file="pneumoniamnist_train_reordered.npz",
    home=HOME,
    licence="CC BY 4.0",
    cite=CITE,
    sha256="8c555c787c4594882835129e3cee6a02cf9b8a6d8aed162b512521a5697177c8",
)


def __getattr__(name: str) -> Source:
    """`PATHMNIST` and so on: where the file of 28 pixels is, as `lepton list` asks of every set."""
    if name.lower() in SETS and name.isupper():
        return source_of(name.lower(), 28)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def pathmnist(resolution: int = 28) -> Collection:
    """107,180 patches of colorectal tissue, nine tissue types."""
    return medmnist("pathmnist", resolution)


def chestmnist(resolution: int = 28) -> Collection:
    """112,120 chest X-rays, fourteen findings at once."""
    return medmnist("chestmnist", resolution)


def dermamnist(resolution: int = 28) -> Collection:
    """10,015 images of skin lesions, seven diseases."""
    return medmnist("dermamnist", resolution)


def octmnist(resolution: int = 28) -> Collection:
    """109,309 retinal OCT images, four diagnoses."""
    return medmnist("octmnist", resolution)


def pneumoniamnist(resolution: int = 28) -> Collection:
    """5,856 chest X-rays of children, pneumonia or not."""
    return medmnist("pneumoniamnist", resolution)


def retinamnist(resolution: int = 28) -> Collection:
    """1,600 fundus images, five grades of diabetic retinopathy."""
    return medmnist("retinamnist", resolution)


def breastmnist(resolution: int = 28) -> Collection:
    """780 breast ultrasound images, malignant or not."""
    return medmnist("breastmnist", resolution)


def bloodmnist(resolution: int = 28) -> Collection:
    """17,092 blood cells, eight types."""
    return medmnist("bloodmnist", resolution)


def tissuemnist(resolution: int = 28) -> Collection:
    """236,386 kidney cortex cells, eight types."""
    return medmnist("tissuemnist", resolution)


def organamnist(resolution: int = 28) -> Collection:
    """58,830 axial CT slices, eleven organs."""
    return medmnist("organamnist", resolution)


def organcmnist(resolution: int = 28) -> Collection:
    """23,583 coronal CT slices, eleven organs."""
    return medmnist("organcmnist", resolution)


def organsmnist(resolution: int = 28) -> Collection:
    """25,211 sagittal CT slices, eleven organs."""
    return medmnist("organsmnist", resolution)


def organmnist3d(resolution: int = 28) -> Collection:
    """1,742 CT volumes, eleven organs."""
    return medmnist("organmnist3d", resolution)


def nodulemnist3d(resolution: int = 28) -> Collection:
    """1,633 lung nodules in CT, benign or malignant."""
    return medmnist("nodulemnist3d", resolution)


def adrenalmnist3d(resolution: int = 28) -> Collection:
    """1,584 shapes of adrenal glands, normal or enlarged."""
    return medmnist("adrenalmnist3d", resolution)


def fracturemnist3d(resolution: int = 28) -> Collection:
    """1,370 rib fractures in CT, three types."""
    return medmnist("fracturemnist3d", resolution)


def vesselmnist3d(resolution: int = 28) -> Collection:
    """1,908 shapes of brain vessels, with aneurysm or without."""
    return medmnist("vesselmnist3d", resolution)


def synapsemnist3d(resolution: int = 28) -> Collection:
    """1,759 synapses, excitatory or inhibitory."""
    return medmnist("synapsemnist3d", resolution)
