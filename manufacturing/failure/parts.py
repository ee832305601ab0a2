"""Which machines a model learns from, and which it is judged on. A machine stays whole, with all its lives.

By unit: machines are shuffled, those that failed spread evenly. By time: the machines that began first train, the last
test; and what is learned ends on the day on which the next part begins. As published: what it lacks is cut from train.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.data.splits import PARTS, TEST, TRAIN, VALIDATION, cut
from lepton_solutions.errors import UserError
from manufacturing.failure.fleet import Fleet, Question
from manufacturing.failure.settings import Histories


@dataclass(frozen=True)
class Split:
    """The fleet with its parts; lives of an earlier part are shortened where `split=time` ends them. notes: what was
    cut.
    """

    fleet: Fleet
    notes: tuple[str, ...] = ()


def split_fleet(fleet: Fleet, data: Histories, question: Question, generator: np.random.Generator) -> Split:
    """Raises UserError where a part would hold no machine, or nothing of what it is needed for."""
    unit = np.unique(fleet.unit, return_inverse=True)[1].astype(np.int64)
    stratum = strata(fleet, question)
    if (fleet.part >= 0).any():
        split = _completed(fleet, unit, stratum, data.parts, generator)
    elif data.split == "time":
        split = _by_time(fleet, unit, data.parts)
    else:
        _check_units(unit)
        part = cut(stratum, data.parts, generator=generator, groups=unit)
        split = Split(replace(fleet, part=part))
    _check_parts(split.fleet, question)
    return split


def strata(fleet: Fleet, question: Question) -> NDArray[np.int64]:
    """int64 [lives], from 0: what is spread evenly; the rarest label that a life shows, or whether it failed."""
    if fleet.label is None or question in ("rul", "health"):
        return np.isfinite(fleet.failed_at).astype(np.int64)
    counts = np.bincount(fleet.label[fleet.label >= 0], minlength=len(fleet.labels))
    rarity = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")  # 0: the most frequent label
    of_row = np.where(fleet.label >= 0, rarity[np.maximum(fleet.label, 0)], 0)
    found: NDArray[np.int64] = np.maximum.reduceat(of_row, fleet.starts[:-1]).astype(np.int64)
    return found


def known_before(fleet: Fleet, lives: NDArray[np.bool_], time: float) -> Fleet:
    """What was known of these lives before a moment: rows since are gone, a failure since has not happened yet.

    lives: bool [lives]; the others stay as they are. A life that had not begun is left out.
    """
    of_row = fleet.life_of_row()
    kept = ~lives[of_row] | (fleet.time < time)
    length = np.bincount(of_row[kept], minlength=fleet.lives)
    later = lives & (fleet.failed_at >= time)
    cut_short = replace(
        fleet,
        values=fleet.values[kept],
        time=fleet.time[kept],
        label=None if fleet.label is None else fleet.label[kept],
        starts=np.concatenate([[0], np.cumsum(length)]).astype(np.int64),
        failed_at=np.where(later, np.nan, fleet.failed_at),
        seen_until=np.where(lives, np.minimum(fleet.seen_until, time), fleet.seen_until),
        mode=None if fleet.mode is None else np.where(later, -1, fleet.mode),
    )
    return cut_short.take(np.flatnonzero(length))


def _completed(
    fleet: Fleet,
    unit: NDArray[np.int64],
    stratum: NDArray[np.int64],
    shares: Sequence[float],
    generator: np.random.Generator,
) -> Split:
    """Published parts, and what is lacking cut from the machines that are there to learn from."""
    part = fleet.part.copy()
    present = np.bincount(part[part >= 0], minlength=len(PARTS)) > 0
    for needed in (TRAIN, TEST):
        if not present[needed]:
            raise UserError(f"{fleet.name}: the split that is given has no {PARTS[needed]} part")
    wanted = [TRAIN, *(one for one in range(VALIDATION, TEST) if not present[one])]
    if wanted == [TRAIN]:
        return Split(replace(fleet, part=part))
    lives = np.flatnonzero(part == TRAIN)
    share = np.array([shares[one] for one in wanted])
    dense = np.unique(unit[lives], return_inverse=True)[1].astype(np.int64)
    chosen = cut(stratum[lives], share / share.sum(), generator=generator, groups=dense)
    part[lives] = np.array(wanted, np.int8)[chosen]
    told = " and ".join(f"{(part == one).sum():,} for {PARTS[one]}" for one in wanted[1:])
    return Split(replace(fleet, part=part), (f"the published split lacks {told}: cut from its train machines",))


def _by_time(fleet: Fleet, unit: NDArray[np.int64], shares: Sequence[float]) -> Split:
    """The machines in the order of their first reading; every part but the last ends where the next one begins."""
    begin = np.full(unit.max(initial=0) + 1, np.inf)
    np.minimum.at(begin, unit, fleet.time[fleet.starts[:-1]])
    moments, place, size = np.unique(begin, return_inverse=True, return_counts=True)
    if len(moments) < len(PARTS):
        raise UserError(
            f"data.split=time: the machines of {fleet.name} begin at {len(moments)} different times, which cannot be "
            f"cut into {len(PARTS)} parts",
            hint="data.split=unit shuffles the machines",
        )
    edges = np.searchsorted(np.cumsum(size) / size.sum(), np.cumsum(shares)[:-1])
    edges = np.clip(edges, np.arange(1, len(PARTS)), len(moments) - len(PARTS) + np.arange(1, len(PARTS)))
    edges = np.maximum.accumulate(edges - np.arange(3)) + np.arange(3)
    part = np.searchsorted(edges, place, side="right").astype(np.int8)[unit]
    rows, found = fleet.rows, replace(fleet, part=part)
    for one, edge in enumerate(edges):
        found = known_before(found, found.part == one, float(moments[edge]))
    note = f"learned from what was known when the next part began: {rows - found.rows:,} later rows left out"
    return Split(found, (note,) if found.rows < rows else ())


def _check_units(unit: NDArray[np.int64]) -> None:
    found = len(np.unique(unit))
    if found < len(PARTS):
        raise UserError(
            f"found {found} machine{'s' * (found != 1)}, expected {len(PARTS)} or more: one for each of "
            f"{', '.join(PARTS)}",
            hint="a machine stays whole in one part; is `data.unit` the column that names the machine?",
        )


def _check_parts(fleet: Fleet, question: Question) -> None:
    for code, name in enumerate(PARTS):
        inside = fleet.part == code
        if not inside.any():
            raise UserError(
                f"the {name} part would hold no machine", hint="more machines are needed, or other shares in data.parts"
            )
        if question == "rul" and not np.isfinite(fleet.failed_at[inside]).any():
            raise UserError(
                f"the {name} part would hold no machine that failed, of {np.isfinite(fleet.failed_at).sum():,} in all; "
                "remaining life cannot be learned and judged there",
                hint="more failures are needed, or other shares in data.parts; question=health needs none",
            )
