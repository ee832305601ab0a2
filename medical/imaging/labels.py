"""From what people write as labels to classes: their order, slips of the pen, several labels at once.

>>> classes_of(["pneumonia", None, "normal"], task="auto", positive=None).labels
('normal', 'pneumonia')
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lepton_solutions.errors import UserError, did_you_mean

SEVERAL = "|"  # between the labels of one cell
# Of two labels, one that starts or ends with such a word is the negative one; compared without case.
NEGATIVE = ("normal", "healthy", "benign", "negative", "none", "no", "non", "not", "without", "absent", "control", "0",
            "false", "uninfected", "clear", "nothing")  # fmt: skip
RARE = 0.02  # share of the images up to which a label may be a misspelling of another
TIMES = 10  # as often must the other one stand there
MOST_CLASSES = 1_000


@dataclass(frozen=True)
class Classes:
    """labels: names in the order of their codes. column: int64 codes, null where unknown, or a float64 column a label.

    notes: what was assumed.
    """

    labels: tuple[str, ...]
    column: pa.Array | list[pa.Array]
    notes: tuple[str, ...] = ()


def classes_of(cells: Sequence[str | None], *, task: str, positive: str | None, where: str = "the labels") -> Classes:
    """The classes of a column, one cell an image, None where unknown. A cell may name several: `effusion|mass`.

    task: as `model.task`. positive: of two labels the one whose probability is learned. Raises UserError for a label
    that looks like a misspelling, for fractions, and where nothing is left to tell apart.
    """
    several = task == "multilabel" or any(cell is not None and SEVERAL in cell for cell in cells)
    sets = [None if cell is None else _split(cell) if several else [cell] for cell in cells]
    counts = Counter(label for labels in sets if labels is not None for label in labels)
    if several:
        counts.pop("", None)
    _check(counts, len(cells), where)
    _check_spelling(counts, cells, where)
    order, notes = _ordered(counts, task, positive, several=several, where=where)
    if several:
        if positive is not None:
            raise UserError("data.positive: several labels at once have no single positive one", hint="leave it out")
        columns = [[None if labels is None else float(name in labels) for labels in sets] for name in order]
        return Classes(order, [pa.array(column, pa.float64()) for column in columns], notes)
    codes = {name: code for code, name in enumerate(order)}
    return Classes(order, pa.array([None if cell is None else codes[cell] for cell in cells], pa.int64()), notes)


def several_columns(columns: dict[str, Sequence[str | None]], *, where: str) -> Classes:
    """A column a label, each 1, 0 or empty (unknown). Raises UserError, with the row, for anything else."""
    words = {"1": 1.0, "true": 1.0, "yes": 1.0, "0": 0.0, "false": 0.0, "no": 0.0}
    arrays = []
    for name, cells in columns.items():
        for row, cell in enumerate(cells, 1):
            if cell is not None and cell.casefold() not in words:
                raise UserError(
                    f"{where}, row {row}, column `{name}`: found `{cell}`, expected 1, 0 or nothing (unknown)"
                )
        arrays.append(pa.array([None if cell is None else words[cell.casefold()] for cell in cells], pa.float64()))
    return Classes(tuple(name.removeprefix("label_") for name in columns), arrays)


def _split(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(SEVERAL)]


def _check(counts: Counter[str], cells: int, where: str) -> None:
    numbers = [float(name) for name in counts if re.fullmatch(r"[+-]?\d*\.?\d+([eE][+-]?\d+)?", name)]
    if len(numbers) == len(counts) and any(number != round(number) for number in numbers):
        raise UserError(
            f"{where}: found fractions such as `{min(numbers):g}`, expected classes", hint="cut them into grades"
        )
    if len(counts) < 2:
        found = f"only `{next(iter(counts))}`" if counts else "no label at all"
        raise UserError(f"{where}: found {found}, expected two classes or more")
    if len(counts) > min(MOST_CLASSES, max(20, cells // 2)):
        raise UserError(
            f"{where}: found {len(counts):,} different labels in {cells:,} images, expected classes that recur",
            hint="is it the column of the label?",
        )


def _check_spelling(counts: Counter[str], cells: Sequence[str | None], where: str) -> None:
    """Two spellings of one class make two classes of it, and nobody sees it in a figure."""
    rare = {name for name, count in counts.items() if count <= max(2, RARE * counts.total())}
    for name in sorted(counts):
        alike = [other for other in counts if other != name and other.casefold() == name.casefold()]
        near = [
            other for other in counts
            if name in rare and counts[other] >= TIMES * counts[name] and _is_slip(name, other)
        ]  # fmt: skip
        for other in sorted([*alike, *near], key=lambda one: -counts[one])[:1]:
            wrong, right = (name, other) if counts[name] <= counts[other] else (other, name)
            row = next(i for i, cell in enumerate(cells, 1) if cell is not None and wrong in _split(cell))
            raise UserError(
                f"{where}, row {row}: found the label `{wrong}` ({counts[wrong]:,} images) beside `{right}` "
                f"({counts[right]:,} images); {did_you_mean(wrong, [right])}",
                hint="write each class in one way; labels that differ on purpose must differ in more than a letter",
            )


def _is_slip(name: str, other: str) -> bool:
    """Whether two labels differ by a slip in one long word: `maligant`, but not `grade 1` for `grade 2`."""
    left, right = (re.findall(r"[^\W_]+", text.casefold()) for text in (name, other))
    if len(left) != len(right):
        return difflib.SequenceMatcher(None, "".join(left), "".join(right)).ratio() > 0.95 and len(name) >= 6
    differing = [(one, two) for one, two in zip(left, right, strict=True) if one != two]
    if len(differing) != 1 or min(len(word) for word in differing[0]) < 5:
        return False
    one, two = differing[0]
    if re.sub(r"\d", "", one) == re.sub(r"\d", "", two):
        return False
    # A prefix that negates is no slip: infected and uninfected, typical and atypical.
    if one.endswith(two) or two.endswith(one):
        return False
    return difflib.SequenceMatcher(None, one, two).ratio() >= 0.8


def _ordered(
    counts: Iterable[str], task: str, positive: str | None, *, several: bool, where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names in the order of their codes, and what was assumed of it."""
    names = sorted(counts, key=_by_number)
    if several:
        return tuple(names), ()
    if positive is not None:
        if len(names) != 2 or positive not in names:
            raise UserError(f"data.positive={positive}: {where} hold {', '.join(f'`{name}`' for name in names[:6])}, "
                            "expected two labels and one of them")  # fmt: skip
        return tuple(sorted(names, key=lambda name: name == positive)), ()
    if len(names) == 2 and task in ("auto", "binary"):
        negative = [name for name in names if _is_negative(name)]
        if len(negative) == 1:
            names.sort(key=lambda name: name != negative[0])
        reason = "by its name" if len(negative) == 1 else "the later in the alphabet"
        return tuple(names), (f"the positive label is `{names[1]}`, {reason}; data.positive=LABEL sets it",)
    if task == "ordinal" and not all(name.isdigit() for name in names):
        return tuple(names), (f"the levels are taken in the order {' < '.join(names)}; names such as 0_none sort",)
    return tuple(names), ()


def _by_number(name: str) -> tuple[float, str]:
    number = re.match(r"[+-]?\d+(\.\d+)?", name)
    return (float(number[0]) if number else np.inf, name)


def _is_negative(name: str) -> bool:
    words = re.findall(r"[^\W_]+", name.casefold())
    return bool(words) and (words[0] in NEGATIVE or words[-1] in NEGATIVE)
