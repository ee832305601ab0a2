"""The prepared images of a run: what `prepare` left, read by every later stage.

    store = Store.read(run)
    store.pixels(TRAIN)        # [n, channels, *size], mapped from the disk, raw units
    store.target(TRAIN)        # int64 [n], -1 where unknown; several labels: float32 [n, labels], NaN where unknown

The pixels lie in the user's cache folder, a file a part; a stage that does not name a part cannot read it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lepton_solutions.data.cache import cache_folder
from lepton_solutions.data.readers import Piece
from lepton_solutions.data.splits import PARTS
from lepton_solutions.errors import UserError
from lepton_solutions.reporting.run import Record

Level = Literal["image", "study", "patient"]
Kind = Literal["bytes", "words", "units"]
Task = Literal["binary", "multiclass", "multilabel", "ordinal"]
INDEX, FACTS = "index.parquet", "data.json"


class Unread(Record):
    """A file that took no part, and why."""

    image: str
    why: str


class PartFacts(Record):
    """One part: its images, those with an unknown label, patients (None: not given), and images a label."""

    images: int
    unknown: int
    patients: int | None
    labels: list[int]


class Facts(Record):
    """`data.json`. size, spacing: as they reach the network, one number an axis of space.

    spacing: mm of the stored pixels, None where images are stretched to `size` whatever theirs is. resized: images of
    other sizes are resampled to `size`, as the exported network does; else each must have it. fill: what stands outside
    an image that is smaller. kind: what a file's numbers are, see `conform`. file_window: pixels went through each
    file's own window first, and are 0 to 255. low, high: the window in raw units; mean, std: of the train pixels after
    the window, from 0 to 1, one a channel.
    """

    source: str
    task: Task
    labels: list[str]
    channels: int
    dims: int
    size: tuple[int, ...]
    spacing: tuple[float, ...] | None
    resized: bool
    fill: float
    kind: Kind
    file_window: bool
    low: float
    high: float
    mean: list[float]
    std: list[float]
    level: Level
    group: str | None
    published_split: bool
    modality: str | None
    licence: str | None
    cite: str | None
    images: int
    parts: dict[str, PartFacts]
    unread: list[Unread]
    notes: list[str]
    cache: str


@dataclass(frozen=True)
class Store:
    """index: a row an image that took part, with `part`, and `row` within the part's pixels; see `sources.Collection`.

    It also holds `source_height`, `source_width` (and `source_depth`): pixels as read, before resampling.
    """

    facts: Facts
    index: pa.Table

    @classmethod
    def read(cls, run: Path) -> Store:
        """Raises UserError where the cache was emptied since."""
        facts = Facts.model_validate_json((run / FACTS).read_text(encoding="utf-8"))
        if not (cache_folder() / facts.cache).is_dir():
            raise UserError(
                f"{cache_folder() / facts.cache}: the decoded images of this run are gone",
                hint=f"delete {run / FACTS} and run again: they are decoded anew",
            )
        return cls(facts, pq.read_table(run / INDEX))

    def write(self, out: Path) -> None:
        """`index.parquet` and `data.json` in a folder."""
        pq.write_table(self.index, out / INDEX)
        (out / FACTS).write_text(json.dumps(self.facts.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")

    def file(self, part: int) -> Path:
        """Where the pixels of a part lie."""
        return cache_folder() / self.facts.cache / f"{PARTS[part]}.npy"

    def pixels(self, part: int) -> np.ndarray:
        """uint8 or float32 [n, channels, *size], raw units, read-only. Read in slices: it may be larger than memory."""
        return np.load(self.file(part), mmap_mode="r", allow_pickle=False)

    def rows(self, part: int) -> pa.Table:
        """The index of a part, in the order of its pixels."""
        return self.index.filter(pc.equal(self.index.column("part"), pa.scalar(part, pa.int8()))).sort_by("row")

    def target(self, part: int) -> np.ndarray:
        """int64 [n], -1 where unknown; or of several labels float32 [n, labels], NaN where unknown."""
        return targets(self.rows(part), len(self.facts.labels), self.facts.task)

    def units(self, part: int, level: Level | None = None) -> np.ndarray:
        """int64 [n], from 0: what each image belongs to when it is decided about; by default at `data.level`."""
        return unit_codes(self.rows(part), level or self.facts.level)

    def reader(self, part: int) -> PartRows:
        """The images whose label is known, for `data.choose.batches_for`.

        Targets are float32 for a binary task (0, 1) and several labels (NaN where unknown), else int64.
        """
        target = self.target(part)
        known = len(target) if target.ndim == 2 else int((target >= 0).sum())
        assert target.ndim == 2 or bool((target[:known] >= 0).all())  # `prepare` puts the unknown last
        target = target[:known]
        return PartRows(self.file(part), target.astype(np.float32) if self.facts.task == "binary" else target)

    def lesions(self, part: int) -> np.ndarray | None:
        """float32 [n, dims + 1]: centre and radius in stored pixels, NaN where there is none; phantoms only."""
        if "lesion_0" not in self.index.column_names:
            return None
        rows = self.rows(part)
        columns = [rows.column(f"lesion_{i}").to_numpy(zero_copy_only=False) for i in range(self.facts.dims + 1)]
        return np.column_stack(columns).astype(np.float32)


@dataclass(frozen=True)
class PartRows:
    """A `Reader` of one part: the first rows of a file of pixels, as many as there are targets."""

    file: Path
    target: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.target)

    @property
    def row_bytes(self) -> int:
        pixels = np.load(self.file, mmap_mode="r", allow_pickle=False)
        return int(np.prod(pixels.shape[1:])) * pixels.itemsize + self.target.nbytes // max(1, len(self.target))

    @property
    def reading_bytes(self) -> int:
        return 0

    def cuts(self, most: int) -> np.ndarray:
        return np.append(np.arange(0, self.rows, most), self.rows)

    def read(self, start: int, stop: int) -> Piece:
        # Opened anew each time: a mapping that stays open keeps every page ever read in the memory of the process.
        pixels = np.load(self.file, mmap_mode="r", allow_pickle=False)
        return Piece((np.array(pixels[start : min(stop, self.rows)]),), *self.labels(start, stop))

    def labels(self, start: int, stop: int) -> tuple[np.ndarray, None]:
        return self.target[start:stop].copy(), None


def targets(rows: pa.Table, labels: int, task: Task) -> np.ndarray:
    """int64 [n], -1 where unknown; or of several labels float32 [n, labels], NaN where unknown."""
    if task != "multilabel":
        return pc.fill_null(rows.column("label"), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    columns = [pc.fill_null(rows.column(f"label_{i}"), np.nan).to_numpy(zero_copy_only=False) for i in range(labels)]
    return np.column_stack(columns).astype(np.float32)


def unit_codes(rows: pa.Table, level: Level) -> np.ndarray:
    """int64 [n], from 0: equal codes where study or patient are equal; an image without one is a unit by itself.

    A study belongs to one patient: equal study names of two patients are two studies. Where the patient is not known
    the study stands for it.
    """
    if level == "image":
        return np.arange(rows.num_rows)
    codes: dict[tuple[object, ...], int] = {}
    names = zip(*(rows.column(name).to_pylist() for name in ("patient", "study")), strict=True)
    keys = (_unit(i, patient, study, level) for i, (patient, study) in enumerate(names))
    return np.array([codes.setdefault(key, len(codes)) for key in keys], np.int64)


def _unit(row: int, patient: str | None, study: str | None, level: Level) -> tuple[object, ...]:
    if level == "patient" and patient is not None:
        return ("patient", patient)
    return ("image", row) if study is None else ("study", patient, study)
