"""Would the figures of these images be too good to be true? The audit of a split, or of a set that is to be split.

Looks for owners and copies that reach across parts, for images in which there is nothing to see, and for ways to tell
the label without the anatomy (`shortcuts.py`). A finding of level "fail" ends the run.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lepton_solutions.data.audit import in_two_parts
from lepton_solutions.data.findings import Finding
from lepton_solutions.data.near_duplicates import near_duplicates
from lepton_solutions.data.splits import PARTS, TEST, linked
from lepton_solutions.files import write_text
from medical.imaging.looks import Look, twins
from medical.imaging.shortcuts import shortcuts

NAMED = 3  # images that a finding names
ODD = 0.02  # share of images of another size, up to which they are listed


@dataclass(frozen=True)
class Audited:
    """findings, worst first, and groups: int64 [n], images that are copies of one another share a code."""

    findings: list[Finding]
    groups: NDArray[np.int64]


def audit(
    index: pa.Table,
    looks: Sequence[Look],
    *,
    target: NDArray[np.int64] | NDArray[np.floating],
    labels: Sequence[str],
    published_split: bool,
    parts: NDArray[np.int8] | None,
    duplicates: Literal["warn", "fail"] = "warn",
    group: str | None = None,
    unreadable: Sequence[tuple[str, str]] = (),
) -> Audited:
    """Every check that applies.

    index: a row an image, with `image`, `patient`, `study`, `site`. target: as `store.targets` gives it. parts: [n],
    indices into `PARTS`, None for a set that is not split. published_split: whether somebody else made the parts; then
    copies across them are a warning, with `duplicates="fail"` a failure. group: `data.group`. unreadable: image, why.
    """
    names = index.column("image").to_pylist()
    equal = twins(looks)
    blank = np.array([one.blank for one in looks], dtype=bool)
    copies = near_duplicates(np.stack([one.thumbnail for one in looks]))
    owners = {name: _codes(index, name) for name in ("patient", "site")} | {"study": _studies(index)}
    # Images in which there is nothing to see are equal by chance: they link nobody.
    linked_equal = np.where(blank, -1, equal)
    groups = linked(len(looks), linked_equal, copies.groups)
    strict: Literal["fail", "warning"] = "fail" if not published_split or duplicates == "fail" else "warning"
    found = _unusable(looks, blank, unreadable, names)
    found += _contradictions(linked_equal, target, names)
    if parts is None:
        found += _copies_in_set(linked_equal, groups, names)
    else:
        found += _owners(owners, parts, group=group)
        found += _copies(linked_equal, groups, parts, names, level=strict, ours=not published_split)
    found += shortcuts(looks, target, labels, linked(len(looks), owners["patient"], groups))
    order = ("fail", "warning", "info")
    return Audited(sorted(found, key=lambda finding: order.index(finding.level)), groups)


def groups_file(path: Path, index: pa.Table, groups: NDArray[np.int64], labels: Sequence[str] = ()) -> None:
    """A manifest that keeps copies together: `path`, `label`, and as `patient` the set of copies, joined with the
    patients that are known. labels: names of the classes, else their codes are written.
    """
    owner = linked(index.num_rows, _codes(index, "patient"), groups)
    several = "label" not in index.column_names
    columns = [name for name in index.column_names if name == "label" or (several and name.startswith("label_"))]
    written = [labels[int(name.removeprefix("label_"))] if several and labels else name for name in columns]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", *written, "patient"])
    for row, image in enumerate(index.column("image").to_pylist()):
        values = [index.column(name)[row].as_py() for name in columns]
        if labels and not several:
            values = ["" if value is None else labels[value] for value in values]
        table.writerow([image, *("" if value is None else value for value in values), f"group-{owner[row]}"])
    write_text(path, text.getvalue())


def _codes(index: pa.Table, name: str) -> NDArray[np.int64]:
    """Whose image each is, -1 where not given; -1 throughout without the column."""
    if name not in index.column_names:
        return np.full(index.num_rows, -1, dtype=np.int64)
    values = index.column(name).combine_chunks().dictionary_encode()
    codes: NDArray[np.int64] = values.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _studies(index: pa.Table) -> NDArray[np.int64]:
    """The study of each image, -1 where not given: `1` of one patient is not `1` of another."""
    study, patient = _codes(index, "study"), _codes(index, "patient")
    return np.where(study < 0, -1, study * (patient.max(initial=-1) + 2) + patient + 1)


def _owners(codes: dict[str, NDArray[np.int64]], parts: NDArray[np.int8], *, group: str | None) -> list[Finding]:
    """Patients and studies in two parts; sites only where whole sites were to be held out for the test."""
    found = []
    for name, owner in codes.items():
        if name == "site" and group != "site":
            continue
        across = in_two_parts(owner, np.where(parts == TEST, TEST, 0).astype(np.int8) if name == "site" else parts)
        if across.any():
            count = len(np.unique(owner[across]))
            plural = {"patient": "patients", "study": "studies", "site": "sites"}[name]
            message = f"{plural} in more than one part: {count:,}, with {_spread(across, parts)}"
            hint = f"data.group={'patient' if name == 'study' else name} without a column `split` keeps them together"
            found.append(Finding("fail", "owner", message, columns=(name,), rows=int(across.sum()), hint=hint))
    return found


def _copies(
    equal: NDArray[np.int64],
    groups: NDArray[np.int64],
    parts: NDArray[np.int8],
    names: Sequence[str],
    *,
    level: Literal["fail", "warning"],
    ours: bool,
) -> list[Finding]:
    """Images of another part that are equal pixel by pixel, and those that are altered copies."""
    found = []
    same = in_two_parts(equal, parts)
    if same.any():
        message = f"equal to an image of another part: {_spread(same, parts)}{_such_as(same, equal, names)}"
        hint = "remove the repeated images; the metrics are also shown without them"
        found.append(Finding(level, "duplicates", message, rows=int(same.sum()), hint=hint))
    near = in_two_parts(groups, parts) & ~same
    if near.any():
        message = f"altered copies of an image of another part: {_spread(near, parts)}{_such_as(near, groups, names)}"
        hint = "data.path=groups.csv, beside the images, keeps copies together" if ours else "keep copies in one part"
        hint += ": a run leaves this manifest in its folder, `lepton audit PATH groups=FILE` writes it"
        found.append(Finding(level, "near_duplicates", message, rows=int(near.sum()), hint=hint))
    return found


def _copies_in_set(equal: NDArray[np.int64], groups: NDArray[np.int64], names: Sequence[str]) -> list[Finding]:
    """The same for a set without parts: what a split would have to keep together."""
    found = []
    same = (np.bincount(equal + 1)[equal + 1] > 1) & (equal >= 0)
    near = (np.bincount(groups)[groups] > 1) & ~same
    hint = "a split has to keep each set of copies in one part"
    if same.any():
        message = f"equal to another image: {_images(same)}{_such_as(same, equal, names)}"
        found.append(Finding("warning", "duplicates", message, rows=int(same.sum()), hint=hint))
    if near.any():
        message = f"altered copies of another image: {_images(near)}{_such_as(near, groups, names)}"
        found.append(Finding("warning", "near_duplicates", message, rows=int(near.sum()), hint=hint))
    return found


def _contradictions(
    equal: NDArray[np.int64], target: NDArray[np.int64] | NDArray[np.floating], names: Sequence[str]
) -> list[Finding]:
    """Equal images with different labels."""
    values = target[:, None] if target.ndim == 1 else target
    known = ((values >= 0) & ~np.isnan(values.astype(np.float64))).all(axis=1) & (equal >= 0)
    both = np.zeros(len(equal), dtype=bool)
    rows = np.flatnonzero(known)
    if len(rows):
        labelled = np.unique(np.column_stack([equal[rows], values[rows].astype(np.int64)]), axis=0)
        twice = np.unique(labelled[:, 0], return_counts=True)
        both[rows] = np.isin(equal[rows], twice[0][twice[1] > 1])
    if not both.any():
        return []
    message = f"equal to an image of another label: {_images(both)}{_such_as(both, equal, names)}"
    return [Finding("warning", "contradictions", message, rows=int(both.sum()), hint="one of the labels is wrong")]


def _unusable(
    looks: Sequence[Look], blank: NDArray[np.bool_], unreadable: Sequence[tuple[str, str]], names: Sequence[str]
) -> list[Finding]:
    """Images that could not be read, that show nothing, or whose size is unlike that of the others."""
    found = []
    if unreadable:
        first = "; ".join(why if image in why else f"{image}: {why}" for image, why in unreadable[:NAMED])
        message = f"could not be read: {len(unreadable):,} of {len(unreadable) + len(looks):,} images, such as {first}"
        found.append(Finding("warning", "unreadable", message, rows=len(unreadable)))
    if blank.any():
        message = f"one value fills the image: {_images(blank)}, such as {_named(np.flatnonzero(blank), names)}"
        found.append(Finding("warning", "blank", message, rows=int(blank.sum()), hint="leave them out"))
    sizes = Counter((one.size, one.channels) for one in looks)
    usual, count = sizes.most_common(1)[0]
    odd = np.array([(one.size, one.channels) != usual for one in looks], dtype=bool)
    if odd.any() and 1 - count / len(looks) <= ODD:
        shown = " x ".join(str(side) for side in usual[0]) + (f" in {usual[1]} channels" if usual[1] > 1 else "")
        message = f"not {shown} pixels as the others: {_images(odd)}, such as {_named(np.flatnonzero(odd), names)}"
        found.append(Finding("info", "size", message, rows=int(odd.sum())))
    return found


def _such_as(rows: NDArray[np.bool_], codes: NDArray[np.int64], names: Sequence[str]) -> str:
    """The first set of copies by name."""
    first = codes[np.flatnonzero(rows)[0]]
    return f", such as {_named(np.flatnonzero(codes == first), names)}"


def _named(rows: NDArray[np.intp], names: Sequence[str]) -> str:
    told = ", ".join(names[row] for row in rows[:NAMED])
    return told + (f" and {len(rows) - NAMED:,} more" if len(rows) > NAMED else "")


def _spread(mask: NDArray[np.bool_], parts: NDArray[np.int8]) -> str:
    counts = np.bincount(parts[mask], minlength=len(PARTS))
    told = ", ".join(f"{name} {count:,}" for name, count in zip(PARTS, counts, strict=True) if count)
    return f"{_images(mask)} ({told})"


def _images(mask: NDArray[np.bool_]) -> str:
    count = int(mask.sum())
    return "1 image" if count == 1 else f"{count:,} images"
