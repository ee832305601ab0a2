"""Which rows a model learns from, and which rows it is judged on: train, validation, calibration and test.

Cut once, in one of three ways: shuffled (each class spread evenly, owners and identical rows kept whole), in the order
of time, or as a fold column of the file says. The audit looks at the result.

>>> outcome = np.arange(1000) % 2
>>> parts = split(outcome, shares=(0.6, 0.1, 0.1, 0.2), generator=np.random.default_rng(0))
>>> np.bincount(parts).tolist()
[600, 100, 100, 200]
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from lepton_solutions.errors import UserError, did_you_mean

PARTS: Final = ("train", "validation", "calibration", "test")
TRAIN, VALIDATION, CALIBRATION, TEST = range(4)

SPELLINGS = {
    "train": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "calib": CALIBRATION,
    "calibration": CALIBRATION,
    "test": TEST,
}


def split(
    target: NDArray[np.integer],
    *,
    shares: Sequence[float],
    generator: np.random.Generator,
    groups: NDArray[np.int64] | None = None,
    time: NDArray[np.float64] | NDArray[np.int64] | None = None,
    fold: NDArray[np.generic] | None = None,
    twins: NDArray[np.int64] | None = None,
) -> NDArray[np.int8]:
    """The part of each row, as an index into `PARTS`. The same arguments and generator state give the same parts.

    target: [n], classes from 0. shares: of the rows, one for each of `PARTS`, sum 1; 0 leaves a part out (never train).
    Without `time` and `fold` the rows are shuffled class by class; rows that share a code in `groups` (whose row it
    is, [n], negative where unknown) or in `twins` (`row_codes`) stay in one part.
    time: [n], larger is later, equal times stay together; owners and identical rows may then recur in later parts.
    fold: [n], names of parts (a missing validation or calibration part is cut from train), or fold numbers: the
    largest is the test part and the others are shuffled into the rest.

    Raises UserError when a part would be empty or lack a class, and when a time or fold is absent or not understood.
    """
    wanted = _checked(shares)
    _check_classes(target, [PARTS[part] for part in np.flatnonzero(wanted)], noun="parts", hint=_MORE_ROWS)
    if time is not None and fold is not None:
        raise UserError(
            "`data.time` and `data.fold` are both set, and each of them decides the parts",
            hint="leave one of them out",
        )
    units = linked(len(target), groups, twins)
    if fold is not None:
        parts = _by_fold(fold, target, units, wanted, generator)
    elif time is not None:
        parts = _by_time(time, wanted)
    else:
        parts = _shuffled(target, units, wanted, generator)
    # A fold column decides by itself which parts there are, except that none of the wanted ones may be missing.
    needed = np.flatnonzero(wanted) if fold is None else np.union1d(np.flatnonzero(wanted), [TEST])
    _check_parts(parts, target, needed)
    return parts


def folds(
    target: NDArray[np.integer],
    *,
    n: int,
    generator: np.random.Generator,
    groups: NDArray[np.int64] | None = None,
    twins: NDArray[np.int64] | None = None,
) -> NDArray[np.int8]:
    """Cross-validation: the fold of each row, 0 to n - 1 (n from 2 to 127), cut as `split` shuffles. Returns [rows].

    Raises UserError when a class has fewer rows than there are folds, or a fold would lack a class.
    """
    hint = "fewer folds, or more rows"
    names = [f"fold {number}" for number in range(n)]
    _check_classes(target, names, noun="folds", hint=hint)
    chosen = _shuffled(target, linked(len(target), groups, twins), np.full(n, 1 / n), generator)
    for number, name in enumerate(names):
        _check_part(name, target[chosen == number], target, hint=hint)
    return chosen


def cut(
    target: NDArray[np.integer],
    shares: Sequence[float],
    *,
    generator: np.random.Generator,
    groups: NDArray[np.int64] | None = None,
    twins: NDArray[np.int64] | None = None,
) -> NDArray[np.int8]:
    """Rows of one part cut further, as `split` shuffles: for each the number of its share. shares: sum 1.

    Nothing is checked: a share may come out without some class where that has few rows or owners.
    """
    return _shuffled(target, linked(len(target), groups, twins), np.asarray(shares, dtype=np.float64), generator)


def linked(n: int, *keys: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Codes 0.. of the sets of rows that must not be separated: rows linked, directly or in a chain, by any key.

    keys: [n], a negative code where it is unknown.
    """
    given = [_alone_where_unknown(key) for key in keys if key is not None]
    if not given:
        return np.arange(n)
    units = given[0]
    for key in given[1:]:
        # A graph whose nodes are the codes of both keys; each row is an edge between its two codes.
        left, size = units.max(initial=-1) + 1, units.max(initial=-1) + key.max(initial=-1) + 2
        graph = coo_matrix((np.ones(n, dtype=np.int8), (units, left + key)), shape=(size, size))
        units = connected_components(graph, directed=False)[1][units]
    return np.unique(units, return_inverse=True)[1].astype(np.int64)


def row_codes(numeric: NDArray[np.float32], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """One code for each distinct row, [n]: equal codes mean equal rows, where missing equals missing and 0 equals -0.

    numeric: [n, p], NaN where missing. codes: [n, q]. Exact: rows are compared byte by byte, not by a hash.
    """
    plain = numeric + np.float32(0)  # turns -0.0 into 0.0
    plain[np.isnan(plain)] = np.nan  # one bit pattern for every NaN
    raw = np.hstack([_bytes(plain), _bytes(codes)])
    if raw.shape[1] == 0:
        return np.zeros(len(numeric), dtype=np.int64)
    _, inverse = np.unique(raw.view(f"V{raw.shape[1]}").ravel(), return_inverse=True)
    return inverse.astype(np.int64)


def _bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    wide = values.shape[1] * values.itemsize
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), wide)


def _alone_where_unknown(key: NDArray[np.int64]) -> NDArray[np.int64]:
    """Dense codes; a row with a negative code gets one of its own."""
    own = np.where(key < 0, key.max(initial=-1) + 1 + np.arange(len(key)), key)
    return np.unique(own, return_inverse=True)[1].astype(np.int64)


def _shuffled(
    target: NDArray[np.integer], units: NDArray[np.int64], shares: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.int8]:
    """Units are shuffled and cut class by class; a unit counts to the rarest class it holds, of two to the second."""
    sizes, counts = np.bincount(units), np.bincount(target, minlength=2)
    rank = np.arange(2) if len(counts) == 2 else np.argsort(np.argsort(-counts, kind="stable"))
    stratum = np.zeros(len(sizes), dtype=np.int64)
    np.maximum.at(stratum, units, rank[target])
    chosen = np.zeros(len(sizes), dtype=np.int8)
    for one in reversed(range(len(counts))):
        order = generator.permutation(np.flatnonzero(stratum == one))
        # A unit larger than the smallest part would burst it: such units go first, to the part that is cut first.
        large = sizes[order] > shares[shares > 0].min() * sizes[order].sum()
        order = np.concatenate([order[large], order[~large]])
        chosen[order] = _cut(sizes[order], shares)
    return chosen[units]


def _cut(sizes: NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.int8]:
    """Cut an ordered list of units where the running number of rows crosses the shares: the part of each unit.

    A unit belongs to the part in which its middle row falls; no part stays empty as long as there are enough units.
    """
    active = np.flatnonzero(shares).astype(np.int8)
    if len(sizes) == 0:
        return np.zeros(0, dtype=np.int8)
    middles = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
    edges = np.searchsorted(middles, np.cumsum(shares[active])[:-1])
    if len(sizes) >= len(active):
        for i in range(len(edges)):
            first = edges[i - 1] + 1 if i else 1
            edges[i] = np.clip(edges[i], first, len(sizes) - len(edges) + i)
    return np.repeat(active, np.diff(edges, prepend=0, append=len(sizes)))


def _by_time(time: NDArray[np.float64] | NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.int8]:
    # NaT reads as the smallest int64.
    unknown = np.isnan(time) if time.dtype.kind == "f" else time == np.iinfo(np.int64).min
    _check_known(unknown, "data.time", "a time")
    moments, inverse, sizes = np.unique(time, return_inverse=True, return_counts=True)
    needed = np.count_nonzero(shares)
    if len(moments) < needed:
        raise UserError(
            f"`data.time` has {len(moments)} distinct times, which cannot be cut into {needed} parts",
            hint="name a column with finer times, or leave `data.time` out",
        )
    return _cut(sizes, shares)[inverse]


def _by_fold(
    fold: NDArray[np.generic],
    target: NDArray[np.integer],
    units: NDArray[np.int64],
    shares: NDArray[np.float64],
    generator: np.random.Generator,
) -> NDArray[np.int8]:
    text = np.array(["" if value is None or value != value else str(value).strip() for value in fold.tolist()])
    _check_known(text == "", "data.fold", f"one of {', '.join(PARTS)}, or a fold number")
    names, inverse = np.unique(text, return_inverse=True)
    numbers = _numbers(names)
    if numbers is None:
        parts = np.array([_part_named(name, text) for name in names], dtype=np.int8)[inverse]
    else:
        parts = np.where(numbers == numbers.max(), TEST, TRAIN).astype(np.int8)[inverse]
    present = np.bincount(parts, minlength=len(PARTS)) > 0
    for part in (TRAIN, TEST):
        if not present[part]:
            raise UserError(
                f"`data.fold` has no {PARTS[part]} rows; it holds {', '.join(f'`{name}`' for name in names[:8])}",
                hint="name at least a `train` and a `test` part, or give two or more fold numbers",
            )
    # What the column does not name comes out of its train rows, in the proportion of the shares.
    from_train = np.where(present, 0.0, shares)
    from_train[TRAIN] = shares[TRAIN]
    rows = np.flatnonzero(parts == TRAIN)
    dense = np.unique(units[rows], return_inverse=True)[1]
    parts[rows] = _shuffled(target[rows], dense, from_train / from_train.sum(), generator)
    return parts


def _numbers(names: NDArray[np.str_]) -> NDArray[np.float64] | None:
    """The fold numbers, or None where any name is not a whole number."""
    try:
        numbers = names.astype(np.float64)
    except ValueError:
        return None
    return numbers if bool(np.all(np.isfinite(numbers) & (numbers == np.round(numbers)))) else None


def _part_named(name: str, text: NDArray[np.str_]) -> int:
    part = SPELLINGS.get(name.casefold())
    if part is None:
        row = int(np.flatnonzero(text == name)[0]) + 1
        raise UserError(
            f"row {row}, `data.fold`: found `{name}`, expected {', '.join(PARTS)}, or a whole number in every row;"
            f" {did_you_mean(name, PARTS)}"
        )
    return part


def _checked(shares: Sequence[float]) -> NDArray[np.float64]:
    wanted = np.asarray(shares, dtype=np.float64)
    told = f"`data.parts` is {[float(share) for share in shares]}"
    if len(wanted) != len(PARTS) or bool(np.any(wanted < 0)) or abs(wanted.sum() - 1) > 1e-6:
        raise UserError(f"{told}, expected {len(PARTS)} shares from 0 to 1 ({', '.join(PARTS)}) whose sum is 1")
    if wanted[TRAIN] == 0:
        raise UserError(f"{told}, which leaves no rows to learn from", hint="give train a share above 0")
    return wanted


_MORE_ROWS = "more rows are needed, or other shares in `data.parts`"


def _check_classes(target: NDArray[np.integer], names: Sequence[str], *, noun: str, hint: str) -> None:
    if len(target) == 0:
        raise UserError("there are no rows to split", hint="check the file, and what was filtered before")
    for label in range(max(2, int(target.max()) + 1)):
        found = int(np.count_nonzero(target == label))
        if found < len(names):
            raise UserError(
                f"class {label} of the target has {found:,} of {len(target):,} rows, fewer than the {len(names)} {noun}"
                f" ({', '.join(names)})",
                hint=hint,
            )


def _check_parts(parts: NDArray[np.int8], target: NDArray[np.integer], needed: NDArray[np.int64]) -> None:
    for part in needed:
        _check_part(f"the {PARTS[part]} part", target[parts == part], target, hint=_MORE_ROWS)


def _check_part(name: str, inside: NDArray[np.integer], target: NDArray[np.integer], *, hint: str) -> None:
    total = np.bincount(target, minlength=2)
    found = np.bincount(inside, minlength=len(total))
    absent = np.flatnonzero(found == 0)
    if len(absent) and len(total) == 2:
        raise UserError(
            f"{name} would hold {found[0]:,} rows of class 0 and {found[1]:,} of class 1,"
            f" of {total[0]:,} and {total[1]:,} in all; each part needs both",
            hint=f"{hint}; {_WHOLE}",
        )
    if len(absent):
        first = int(absent[0])
        more = f" and {len(absent) - 1} more classes" if len(absent) > 1 else ""
        raise UserError(
            f"{name} would hold none of the {total[first]:,} rows of class {first}{more}; each part needs every class",
            hint=f"{hint}; {_WHOLE}",
        )


_WHOLE = "rows of one owner, of one time or with equal inputs are never separated"


def _check_known(unknown: NDArray[np.bool_], key: str, expected: str) -> None:
    rows = np.flatnonzero(unknown)
    if len(rows):
        more = f"; {len(rows):,} rows are like it" if len(rows) > 1 else ""
        raise UserError(f"row {rows[0] + 1}, `{key}`: found nothing, expected {expected}{more}")
