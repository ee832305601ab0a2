"""`lepton audit` for images: a folder with a sub-folder a class, or a manifest, before anything is trained.

    lepton audit slides/                                     the split that a run would make
    lepton audit manifest.csv groups=slides/groups.csv       and a manifest that keeps copies together

Where the images come without parts, they are split as `lepton run medical/imaging` would, and that split is audited.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lepton_solutions.config import read_settings
from lepton_solutions.data.findings import told
from lepton_solutions.errors import UserError
from medical.imaging.settings import Imaging

if TYPE_CHECKING:
    from medical.imaging.looks import Look
    from medical.imaging.sources import Collection

PIPELINE = "medical/imaging"
BESIDE = ("seed", "audit.duplicates", "model.task")  # what is not of `data` and changes what is found
LOOK_BYTES = 2**13  # about what is kept of an image
TABLES = (".csv", ".csv.gz", ".tsv", ".jsonl", ".parquet")


def reads(path: Path) -> bool:
    """Whether there are images to audit: a folder without tables in it, or a table with a column `path`."""
    if path.is_dir():
        inside = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        folders = any(entry.is_dir() for entry in inside)
        return folders and not any(entry.name.endswith(TABLES) and _parted(entry) for entry in inside)
    return path.is_file() and "path" in _columns(path)


def _parted(file: Path) -> bool:
    """Whether this table is itself what a folder is audited for; a manifest of its images may lie beside them."""
    return "path" not in _columns(file)


def _columns(file: Path) -> list[str]:
    """The names in the head of a table, [] where it has none that can be read."""
    try:
        if file.name.endswith(".parquet"):
            return list(pq.read_schema(file).names)
        opened = gzip.open if file.name.endswith(".gz") else open
        if file.name.endswith((".csv", ".csv.gz")):
            with opened(file, "rt", encoding="utf-8-sig", newline="") as text:
                return [name.strip() for name in next(csv.reader([text.readline(2**16)]), [])]
    except (OSError, ValueError, pa.ArrowException, csv.Error):
        return []  # whoever reads the table says what is wrong with it
    return []


def inspect(path: Path, overrides: Sequence[str]) -> tuple[str, bool]:
    """The findings as text, and whether one of them fails.

    overrides: keys of `data` without the prefix, `seed`, `audit.duplicates`, `model.task`, as for a run; and
    `groups=FILE`, where to write the manifest. Raises UserError for what cannot be read.
    """
    # Imported here: every audit of a table asks `reads` first.
    from medical.imaging.audit import audit, groups_file
    from medical.imaging.looks import twins
    from medical.imaging.parts import split_images
    from medical.imaging.prepare import collect, task_of
    from medical.imaging.store import targets

    settings, groups = _asked(path, overrides)
    collection = collect(settings)
    task = task_of(collection, settings.model.task)
    looks, kept, unreadable = _looks(collection)
    if not looks:
        raise UserError(f"{path}: none of {len(collection):,} images can be read; the first: {unreadable[0][1]}")
    index = collection.index.take(pa.array(kept))
    target = targets(index, len(collection.labels), task)
    draw, parts, given, unsplit = np.random.default_rng(settings.seed), None, False, []
    try:
        split = split_images(
            index, target, twins(looks), settings.data, task=task, labels=collection.labels, generator=draw
        )
        parts, given = split.part, split.given
    except UserError as error:
        # Too few images of a class for four parts: what they hold can be audited all the same.
        unsplit = [f"not split: {error.message}"]
    audited = audit(
        index,
        looks,
        target=target,
        labels=collection.labels,
        published_split=given,
        parts=parts,
        duplicates=settings.audit.duplicates,
        group=settings.data.group,
        unreadable=unreadable,
    )
    head = f"{path}: {len(looks):,} images, {len(collection.labels)} labels"
    lines = [head + (", parts as given" if given else ", split as a run would" if parts is not None else ""), *unsplit]
    text, failed = told(audited.findings, "\n".join(lines))
    if groups is not None:
        groups_file(groups, index, audited.groups, collection.labels)
        text += f"\n{'written':<8} {groups}: {len(np.unique(audited.groups)):,} groups of {len(looks):,} images"
    return text, failed


def _asked(path: Path, overrides: Sequence[str]) -> tuple[Imaging, Path | None]:
    keys, groups = [f'data.path="{path}"'], None
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"`{text}`: expected key=value")
        if key == "groups":
            groups, home = Path(value).expanduser(), path if path.is_dir() else path.parent
            if groups.resolve().parent != home.resolve():
                raise UserError(
                    f"groups={groups}: expected a file in {home}, as a manifest's paths count from its folder"
                )
        else:
            keys.append(text if key in BESIDE or key.startswith("data.") else f"data.{text}")
    return read_settings(PIPELINE, keys, Imaging), groups


def _looks(collection: Collection) -> tuple[list[Look], list[int], list[tuple[str, str]]]:
    """What can be read, its rows, and what cannot: name and reason."""
    from medical.imaging.decoding import in_order
    from medical.imaging.looks import look

    names = collection.index.column("image").to_pylist()

    def one(row: int) -> Look | str:
        try:
            return look(collection.read(row))
        except UserError as error:
            return error.message

    looks: list[Look] = []
    kept: list[int] = []
    unreadable: list[tuple[str, str]] = []
    for row, found in enumerate(in_order(one, len(collection), row_bytes=LOOK_BYTES)):
        if isinstance(found, str):
            unreadable.append((names[row], found))
        else:
            looks.append(found)
            kept.append(row)
    return looks, kept, unreadable
