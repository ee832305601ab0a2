"""Which images a model learns from, and which it is judged on: by patient, by site, or as published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lepton_solutions.data.splits import CALIBRATION, PARTS, TEST, TRAIN, VALIDATION, cut, linked
from lepton_solutions.errors import UserError
from medical.imaging.settings import Images
from medical.imaging.store import Task, unit_codes


@dataclass(frozen=True)
class Split:
    """part: int8 [n], an index into `PARTS`. given: whether a publisher or a manifest says so. notes: what was cut."""

    part: np.ndarray
    given: bool
    notes: tuple[str, ...] = ()


def split_images(
    index: pa.Table,
    target: np.ndarray,
    twins: np.ndarray,
    data: Images,
    *,
    task: Task,
    labels: Sequence[str],
    generator: np.random.Generator,
) -> Split:
    """The part of each image.

    index: of the images that could be read. target: as `store.targets` gives it. twins: [n], equal where pixels are.
    Images of one owner (`data.group`) and images with equal pixels stay together. Raises UserError where a class has
    too few patients to stand in every part.
    """
    owners = _owners(index, data.group)
    units = linked(len(target), owners, twins)
    stratum = strata(target, task)
    given = index.column("part").to_numpy().astype(np.int8)
    if (given >= 0).any():
        part, notes = _completed(index, given, stratum, units, data.parts, generator)
        _check_given(part, target, task, labels)
        return Split(part, True, notes)
    known = stratum >= 0
    _check_units(stratum[known], units[known], target[known], task, labels, owned=owners is not None)
    part = np.full(len(target), TRAIN, np.int8)
    if data.group == "site":
        part, notes = _by_site(index, stratum, units, data.parts, generator)
    else:
        part[known] = cut(stratum[known], data.parts, generator=generator, groups=units[known])
        notes = ()
    part = _with_their_unit(part, units, known)
    _check_ours(part, target, task, labels, units)
    return Split(part, False, notes)


def strata(target: np.ndarray, task: Task) -> np.ndarray:
    """int64 [n]: classes to spread evenly, from 0, -1 where unknown; of several labels the rarest that is there."""
    if task != "multilabel":
        return target
    present = target == 1
    rank = np.argsort(np.argsort(present.sum(axis=0), kind="stable"))  # 0: the rarest label
    rarest = np.where(present, rank, target.shape[1]).min(axis=1)
    dense = np.unique(target.shape[1] - rarest, return_inverse=True)[1]  # no label at all: 0
    return np.where(np.isnan(target).all(axis=1), -1, dense).astype(np.int64)


def _owners(index: pa.Table, group: str | None) -> np.ndarray | None:
    """int64 [n]: whose image it is, None where the images have no owners or may be separated from them."""
    known = {name for name in ("patient", "study", "site") if index.column(name).null_count < index.num_rows}
    if group == "site" and "site" not in known:
        raise UserError(
            "data.group=site: no image has a site",
            hint="a manifest with a column `site` gives them; data.group=patient splits by patient",
        )
    if group is None or not known & {"patient", "study"}:
        return None
    return unit_codes(index, "study" if group == "study" else "patient")


def _by_site(
    index: pa.Table, stratum: np.ndarray, units: np.ndarray, shares: Sequence[float], generator: np.random.Generator
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Whole sites become the test part; the others are cut by patient."""
    names = index.column("site").to_pylist()
    codes = {name: code for code, name in enumerate(sorted(set(names) - {None}))}
    site = np.array([codes.get(name, -1) for name in names], np.int64)
    # Patients of several sites join them: to hold one out and train on the other would leak.
    joined = linked(len(site), site, units)
    sizes, order = np.bincount(joined), np.unique(joined[site >= 0])
    if len(order) < 2:
        raise UserError(
            "data.group=site: found one site, expected two or more, one of them to be held out",
            hint="patients who were seen at several sites join these into one",
        )
    order = generator.permutation(order)
    reached = np.cumsum(sizes[order])[:-1] / len(site)
    held = order[: int(np.argmin(np.abs(reached - shares[TEST]))) + 1]
    part = np.where(np.isin(joined, held), TEST, TRAIN).astype(np.int8)
    rest = (part == TRAIN) & (stratum >= 0)
    inner = np.array([*shares[:TEST], 0.0])
    part[rest] = cut(stratum[rest], inner / inner.sum(), generator=generator, groups=units[rest])
    out = sorted({name for name, one in zip(names, part, strict=True) if one == TEST and name is not None})
    return part, (f"held out for the test part: {', '.join(out)}",)


def _completed(
    index: pa.Table,
    given: np.ndarray,
    stratum: np.ndarray,
    units: np.ndarray,
    shares: Sequence[float],
    generator: np.random.Generator,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Parts that are given, and what is lacking cut from them: calibration from validation, both from train."""
    blank = np.flatnonzero(given < 0)
    if len(blank):
        name = index.column("image")[int(blank[0])].as_py()
        raise UserError(
            f"`{name}` has no split, but others have; {len(blank):,} images are like it",
            hint="give every image a split, or none",
        )
    part, notes = given.copy(), []
    present = np.bincount(part, minlength=len(PARTS)) > 0
    for needed in (TRAIN, TEST):
        if not present[needed]:
            raise UserError(
                f"the split that is given has no {PARTS[needed]} images",
                hint="name at least `train` and `test`, or leave the split out",
            )

    def take(source: int, wanted: list[int]) -> None:
        rows = np.flatnonzero((part == source) & (stratum >= 0))
        share = np.array([shares[source], *(shares[one] for one in wanted)])
        codes = np.unique(stratum[rows], return_inverse=True)[1]
        chosen = cut(codes, share / share.sum(), generator=generator, groups=units[rows])
        part[rows] = np.array([source, *wanted], np.int8)[chosen]
        cut_out = " and ".join(f"{(part == one).sum():,} for {PARTS[one]}" for one in wanted)
        notes.append(f"the split that is given lacks {cut_out}: cut from its {PARTS[source]} images")

    if present[VALIDATION] and not present[CALIBRATION]:
        take(VALIDATION, [CALIBRATION])
    elif not present[VALIDATION]:
        take(TRAIN, [VALIDATION] if present[CALIBRATION] else [VALIDATION, CALIBRATION])
    return part, tuple(notes)


def _with_their_unit(part: np.ndarray, units: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Images of unknown label go where their patient's others are."""
    home = np.full(units.max(initial=-1) + 1, TRAIN, np.int8)
    home[units[known]] = part[known]
    return np.where(known, part, home[units]).astype(np.int8)


def _check_units(
    stratum: np.ndarray, units: np.ndarray, target: np.ndarray, task: Task, labels: Sequence[str], *, owned: bool
) -> None:
    if task == "multilabel":
        return  # some label of many is often too rare for every part; `_check_ours` says which
    for code, label in enumerate(labels):
        images = int((target == code).sum())
        found = len(np.unique(units[stratum == code]))
        if found < len(PARTS):
            whose = "patients" if owned else "distinct images"
            raise UserError(
                f"class `{label}` has {images:,} image{'s' * (images != 1)} of {found:,} {whose}, expected at least "
                f"{len(PARTS)}: one for each of {', '.join(PARTS)}",
                hint="more images of it, or leave the class out",
            )


def _check_ours(part: np.ndarray, target: np.ndarray, task: Task, labels: Sequence[str], units: np.ndarray) -> None:
    for number, name in enumerate(PARTS):
        lacking = _lacking(target[part == number], task, labels)
        if lacking and (task != "multilabel" or number == TRAIN):
            raise UserError(
                f"the {name} part would hold no {lacking[0]}",
                hint="more patients are needed, or other shares in data.parts; a patient's images and identical images "
                "are never separated",
            )


def _check_given(part: np.ndarray, target: np.ndarray, task: Task, labels: Sequence[str]) -> None:
    for number, name in enumerate(PARTS):
        if not (part == number).any():
            raise UserError(f"the {name} part would hold no image", hint="more images, or another split")
        lacking = _lacking(target[part == number], task, labels)
        if lacking and (number == TRAIN or (task == "binary")):
            raise UserError(
                f"the {name} part that is given holds no {lacking[0]}", hint="more images, or another split"
            )


def _lacking(target: np.ndarray, task: Task, labels: Sequence[str]) -> list[str]:
    """What a part should hold and does not."""
    if task != "multilabel":
        return [f"image of class `{label}`" for code, label in enumerate(labels) if not (target == code).any()]
    return [
        f"image {'with' if wanted else 'without'} `{label}`"
        for i, label in enumerate(labels)
        for wanted in (1, 0)
        if not (target[:, i] == wanted).any()
    ]
