"""The digits of a run in three parts, each in a file of its own: a stage that does not name a part cannot read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from lepton_solutions.data.findings import Finding
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.reference.mnist.settings import Mnist
from lepton_solutions.reference.mnist.sources import CLASSES, SIDE, Digits

Part = Literal["train", "validation", "test"]
FILES = ("train.parquet", "validation.parquet", "test.parquet")
TEST_SHARE = 0.2  # of digits for which the publisher set no test part apart


@dataclass(frozen=True)
class Images:
    """pixels: uint8 [n, 28, 28]. labels: int64 [n]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def prepare(settings: Mnist, out: Path) -> None:
    """The digits, split with every digit spread evenly; `data.json` and `audit.json` tell what they are."""
    digits = settings.data.source.resolve()()
    if not isinstance(digits, Digits):
        raise UserError(f"data.source: `{settings.data.source.target}` gives no digits", hint="data=mnist")
    rows = split(digits, settings.data.validation, seed=settings.seed)
    for part, which in rows.items():
        flat = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(SIDE * SIDE), len(which), [None, pa.py_buffer(np.ascontiguousarray(digits.pixels[which]))]
        )
        table = pa.table({"pixels": flat, "label": pa.array(digits.labels[which], pa.int8())})
        pq.write_table(table, out / f"{part}.parquet", compression="zstd", use_dictionary=["label"])
    facts = {
        "source": digits.name,
        "rows": len(digits.labels),
        "target": "digit",
        "parts": {part: np.bincount(digits.labels[which], minlength=CLASSES).tolist() for part, which in rows.items()},
        "licence": digits.licence,
        "cite": digits.cite,
    }
    write_json(out / "data.json", facts)
    write_json(out / "audit.json", [finding.to_json() for finding in audit(digits, rows)])


def split(digits: Digits, validation: float, *, seed: int) -> dict[Part, np.ndarray]:
    """Row numbers of each part. The publisher's test part stays as it is; without one, a fifth of the digits.

    validation: share of the digits that are left. Raises UserError where a part would lack a digit.
    """
    every = np.arange(len(digits.labels))
    if digits.test is None:
        rest, test = _cut(every, digits.labels, TEST_SHARE, seed)
    else:
        rest, test = every[~digits.test], every[digits.test]
    train, held = _cut(rest, digits.labels, validation, seed)
    return {"train": train, "validation": held, "test": test}


def _cut(rows: np.ndarray, labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        first, second = train_test_split(rows, test_size=share, stratify=labels[rows], random_state=seed)
    except ValueError as error:
        raise UserError(f"data.validation={share:g}: {len(rows):,} digits cannot be split so: {error}") from error
    return np.sort(first), np.sort(second)


def audit(digits: Digits, rows: dict[Part, np.ndarray]) -> list[Finding]:
    """Images that recur, byte for byte, in another part."""
    whole = digits.pixels.reshape(len(digits.pixels), -1)
    _, image = np.unique(whole.view(f"V{whole.shape[1]}").ravel(), return_inverse=True)
    seen = {part: set(image[which].tolist()) for part, which in rows.items()}
    shared = len(seen["test"] & (seen["train"] | seen["validation"]))
    if not shared:
        return []
    return [Finding("warning", "duplicates", f"{shared} test images also stand in another part", rows=shared)]


def read(run: Path, part: Part) -> Images:
    """The images of one part."""
    table = pq.read_table(run / f"{part}.parquet").combine_chunks()
    column = table.column("pixels").chunk(0)
    pixels = np.frombuffer(column.buffers()[1], np.uint8, count=len(table) * SIDE * SIDE)
    labels = table.column("label").to_numpy().astype(np.int64)
    return Images(torch.from_numpy(pixels.reshape(-1, SIDE, SIDE).copy()), torch.from_numpy(labels))
