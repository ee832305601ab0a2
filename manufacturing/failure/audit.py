"""Would the figures of this fleet be too good to be true, and are its readings what they seem?

Machines that stand in two parts, and columns that know the answer, end a run. What looks wrong in the readings (a
sensor that is silent or stuck in some machines, a unit of measure that changes from machine to machine) is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from lepton_solutions.data.findings import Finding
from lepton_solutions.data.splits import PARTS
from manufacturing.failure.fleet import Fleet

NAMED = 6  # machines or columns that a message lists
ENOUGH = 5  # failures, or rows of the rarer label, below which chance imitates a column that knows
MOST_LIVES, MEDIAN_ROWS = 500, 200_000  # looked at where a fleet has more: the audit stays a matter of seconds
FLAGS = ("TWF", "HDF", "PWF", "OSF", "RNF")  # the last is set in 19 rows, of which one failed: no statistic tells
SHIFTS = (10.0, 1000.0)  # factors between units of measure that are mistaken for one another
NEAR = 1.35  # how far from such a factor a median may be; twice the square root of a usual spread between machines


def audit(fleet: Fleet) -> list[Finding]:
    """Every check that applies, worst first."""
    found = [*owners(fleet), *overlaps(fleet), *_one_hint([*label_columns(fleet), *counters(fleet)])]
    found += [*short_lives(fleet), *silent(fleet), *stuck(fleet), *shifted(fleet)]
    return sorted(found, key=lambda finding: ("fail", "warning", "info").index(finding.level))


def owners(fleet: Fleet) -> Iterator[Finding]:
    """Machines with lives in two parts: windows of one machine would be learned from and judged on."""
    unit = np.unique(fleet.unit, return_inverse=True)[1]
    pairs = np.unique(np.column_stack([unit, fleet.part])[fleet.part >= 0], axis=0)
    twice = np.flatnonzero(np.bincount(pairs[:, 0], minlength=int(unit.max(initial=0)) + 1) > 1)
    if len(twice):
        lives = np.isin(unit, twice)
        names = np.unique(fleet.unit[lives])
        parts = ", ".join(PARTS[one] for one in np.unique(fleet.part[lives]) if one >= 0)
        yield Finding(
            "fail",
            "owner",
            f"machines with rows in several parts ({parts}), whose windows overlap: {len(names):,}, {_told(names)}",
            rows=int(np.diff(fleet.starts)[lives].sum()),
            hint="lives of one machine stay in one part: is `data.unit` the column that names the machine?",
        )


def overlaps(fleet: Fleet) -> Iterator[Finding]:
    """Lives of different machines, in different parts, that show the same rows: a record that was cut into pieces."""
    varying = ~np.array([_constant(column) for column in fleet.values.T], bool)
    if fleet.lives == fleet.rows or varying.sum() < 3:
        return  # a table of products: equal rows are no surprise
    rows = np.ascontiguousarray(np.nan_to_num(fleet.values[:, varying], nan=-1.2345e30))
    raw = rows.view(np.uint8).reshape(len(rows), -1).view(f"V{rows.itemsize * rows.shape[1]}").ravel()
    _, code = np.unique(raw, return_inverse=True)
    life = fleet.life_of_row()
    part = fleet.part[life]
    given = part >= 0
    pairs = np.unique(np.column_stack([code[given], part[given]]), axis=0)
    across = np.bincount(pairs[:, 0], minlength=len(rows)) > 1
    shared = across[code] & given
    # One equal row is chance where readings are coarse; a tenth of a life is a copy of it.
    share = np.bincount(life[shared], minlength=fleet.lives) / np.diff(fleet.starts)
    copies = (share >= 0.1) & (np.diff(fleet.starts) >= 5)
    if copies.any():
        yield Finding(
            "fail",
            "duplicates",
            f"lives of which a tenth of the rows or more stands in another part too: {int(copies.sum()):,}, of "
            f"{_told(np.unique(fleet.unit[copies]))}; windows of one record are learned from and judged on",
            rows=int(shared.sum()),
            hint="windows are cut here: give whole records, and name the machine by `data.unit`",
        )


def label_columns(fleet: Fleet) -> Iterator[Finding]:
    """Columns of two values that imply the label, such as AI4I's failure modes: whenever they are set, it is too."""
    if fleet.label is None:
        return
    known = fleet.label >= 0
    label = fleet.label[known]
    counts = np.bincount(label, minlength=len(fleet.labels))
    for name, column in zip(fleet.sensors, fleet.values[known].T, strict=True):
        present = ~np.isnan(column)
        for value in _few(column[present]):
            rows = present & (column == value)
            if rows.sum() < ENOUGH or rows.sum() > 0.5 * present.sum():
                continue
            shown = np.bincount(label[rows], minlength=len(fleet.labels))
            top = int(shown.argmax())
            chance = counts[top] / counts.sum()
            of_all = f"the label is `{fleet.labels[top]}`, as in {chance:.1%} of all rows"
            if top != counts.argmax() and shown[top] >= 0.98 * rows.sum() and chance ** shown[top] < 1e-6:
                yield _gives_away(name, f"in {shown[top]:,} of the {rows.sum():,} rows where it is {value:g}, {of_all}")
                break
            if name in FLAGS:
                yield _gives_away(name, "AI4I's flags of what failed are written with the outcome, not before it")
                break


def counters(fleet: Fleet) -> Iterator[Finding]:
    """Columns that count down to the failure, or that follow the remaining life without a fault."""
    failed = np.flatnonzero(np.isfinite(fleet.failed_at) & (np.diff(fleet.starts) >= 4))
    if len(failed) < ENOUGH:
        return
    own = fleet.take(failed[:MOST_LIVES])  # a column that knows the answer knows it in these
    remaining, life = own.remaining(), own.life_of_row()
    length = np.diff(own.starts)
    for name, column in zip(own.sensors, own.values.T.astype(np.float64), strict=True):
        known = ~np.isnan(column)
        if known.sum() < 0.5 * len(column) or _constant(column):
            continue
        rank = abs(float(np.corrcoef(rankdata(column[known]), rankdata(remaining[known]))[0, 1]))
        if rank > 0.9995:
            yield _gives_away(name, f"it follows the time to the failure (rank correlation {rank:.4f} over all lives)")
            continue
        step = np.diff(column)
        inside = (life[1:] == life[:-1]) & ~np.isnan(step)
        if inside.any() and (step[inside] < 0).mean() > 0.999 and np.unique(step[inside].round(6)).size == 1:
            end = column[own.last_rows()]
            if np.nanstd(end) < 1e-3 * max(1.0, np.nanstd(column)):
                yield _gives_away(
                    name, "it falls by the same amount at each step and ends at the same value in each life"
                )
                continue
        yield from _ends_alike(own, name, column, length)


def _ends_alike(fleet: Fleet, name: str, column: NDArray[np.float64], length: NDArray[np.int64]) -> Iterator[Finding]:
    """A flag that is set in the last rows of failed lives only."""
    values = _few(column[~np.isnan(column)])
    if len(values) != 2:
        return
    place = np.arange(fleet.rows) - fleet.starts[:-1].repeat(length)
    near_end = place >= 0.98 * length.repeat(length) - 1
    for value in values:
        rows = column == value
        if ENOUGH <= rows.sum() <= 0.1 * fleet.rows and (near_end[rows]).mean() > 0.98:
            yield _gives_away(name, f"it is {value:g} in the last rows before a failure, and nowhere else")
            return


def short_lives(fleet: Fleet) -> Iterator[Finding]:
    """Lives of one row, among longer ones."""
    one = np.diff(fleet.starts) == 1
    if one.any() and not one.all():
        names = np.unique(fleet.unit[one])
        yield Finding(
            "warning",
            "short",
            f"lives of a single row, from which no course can be seen: {int(one.sum()):,}, of {_told(names)}",
            rows=int(one.sum()),
            hint="is `data.unit` the column that names the machine?",
        )


def silent(fleet: Fleet) -> Iterator[Finding]:
    """Sensors without a reading: in all machines, or in some."""
    if not fleet.rows:
        return
    length, machines = np.diff(fleet.starts), len(np.unique(fleet.unit))
    for name, column in zip(fleet.sensors, fleet.values.T, strict=True):
        read = np.add.reduceat(~np.isnan(column), fleet.starts[:-1])
        none = read == 0
        if none.all():
            yield Finding("warning", "absent", f"sensor `{name}` has no reading at all", columns=(name,))
        elif none.any() and length.max() > 1:
            names = np.unique(fleet.unit[none])
            yield Finding(
                "warning",
                "absent",
                f"sensor `{name}` is absent in {len(names):,} of {machines:,} machines: {_told(names)}",
                columns=(name,),
                rows=int(length[none].sum()),
                hint=f"data.ignore=[{name}] leaves it out of all",
            )


def stuck(fleet: Fleet) -> Iterator[Finding]:
    """Sensors that never change: in all machines, or in some though they do in others."""
    lowest, highest = (by.reduceat(fleet.values, fleet.starts[:-1], axis=0) for by in (np.fmin, np.fmax))
    long_enough = np.diff(fleet.starts) >= 20
    always = []
    for i, name in enumerate(fleet.sensors):
        low, high = lowest[:, i], highest[:, i]
        if not np.isfinite(low).any():
            continue
        if np.nanmin(low) == np.nanmax(high):
            always.append(name)
            continue
        still = (low == high) & long_enough
        share = still.sum() / max(1, (np.isfinite(low) & long_enough).sum())
        if still.any() and share < 0.5:  # in most lives the same: a column that never changes in a life, as a type
            names = np.unique(fleet.unit[still])
            yield Finding(
                "warning",
                "constant",
                f"sensor `{name}` changes in most machines, but never in lives of {len(names):,}: {_told(names)}",
                columns=(name,),
                rows=int(np.diff(fleet.starts)[still].sum()),
                hint="a sensor that is stuck reads as a healthy one",
            )
    if always:
        yield Finding(
            "info",
            "constant",
            f"sensors that never change, which carry nothing: {', '.join(always)}",
            columns=tuple(always),
        )


def shifted(fleet: Fleet) -> Iterator[Finding]:
    """Machines whose median of a sensor is 10 or 1,000 times that of the others, or as small a part of it."""
    length = np.diff(fleet.starts)
    if length.max(initial=0) < 5:
        return
    unit = np.unique(fleet.unit, return_inverse=True)[1]
    row_unit = unit[fleet.life_of_row()]
    # A median needs no more than some rows of each life, the first among them.
    place = np.arange(fleet.rows) - np.repeat(fleet.starts[:-1], length)
    some = place % max(1, fleet.rows // MEDIAN_ROWS) == 0
    names = np.unique(fleet.unit)
    for name, column in zip(fleet.sensors, fleet.values.T, strict=True):
        if "=" in name:
            continue
        median = _medians(column[some].astype(np.float64), row_unit[some], len(names))
        known = np.isfinite(median) & (median != 0)
        if known.sum() < 4:
            continue
        size = np.log(np.abs(median[known]))
        typical = np.median(size)
        # Machines that differ as much by nature are no sign of a unit.
        spread = 1.4826 * np.median(np.abs(size - typical))
        away = np.abs(size - typical)
        for factor in SHIFTS:
            near = np.abs(away - np.log(factor)) < np.log(NEAR)
            odd = near & (away > 6 * spread)
            if odd.any() and odd.sum() < 0.5 * known.sum():
                which = names[known][odd]
                signs = {"times" if one > typical else "th of" for one in size[odd].tolist()}
                by = f"{factor:,.0f} {' or '.join(sorted(signs, reverse=True))}"
                yield Finding(
                    "warning",
                    "unit_of_measure",
                    f"sensor `{name}` is about {by} its usual size in {len(which):,} machines, as in another unit of "
                    f"measure: {_told(which)}",
                    columns=(name,),
                    rows=int(np.isin(row_unit, np.flatnonzero(known)[odd]).sum()),
                    hint="bring all machines to one unit",
                )
                break


def _medians(column: NDArray[np.float64], unit: NDArray[np.int64], units: int) -> NDArray[np.float64]:
    """float64 [units]: of each machine's readings, NaN where it has none."""
    order = np.lexsort((column, unit))  # NaN sorts last
    known = ~np.isnan(column)
    count = np.bincount(unit[known], minlength=units)
    first = np.concatenate([[0], np.cumsum(np.bincount(unit, minlength=units))[:-1]])
    middle = np.minimum(first + np.maximum(count - 1, 0) // 2, len(column) - 1)
    return np.where(count > 0, column[order][middle], np.nan)


def _constant(column: NDArray[np.floating]) -> bool:
    known = column[~np.isnan(column)]
    return not len(known) or bool(known.min() == known.max())


def _few(known: NDArray[np.floating]) -> NDArray[np.floating]:
    """The distinct values where there are two, else none; without sorting a column of a million measurements."""
    if not len(known):
        return known
    low, high = known.min(), known.max()
    return np.array([low, high]) if low < high and ((known == low) | (known == high)).all() else known[:0]


def _gives_away(name: str, looks: str) -> Finding:
    return Finding("fail", "giveaway", f"column `{name}` gives the answer away: {looks}", columns=(name,))


def _one_hint(found: list[Finding]) -> list[Finding]:
    """All columns that have to go in one key, so that it can be copied."""
    names = dict.fromkeys(finding.columns[0].partition("=")[0] for finding in found)
    return [replace(finding, hint=f"data.ignore=[{','.join(names)}] leaves them out") for finding in found]


def _told(names: NDArray[np.str_]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
