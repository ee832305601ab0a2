"""Why is a transaction an alert: what of it, against which history, and which past frauds were like it.

A group of columns, such as what is known of frauds at the terminal, is given the values usual for good transactions;
by how much the log-odds fall without it is its part. All groups of all rows go through the model in one call.

Plain numpy: runs beside a bundle's model, without torch, pandas or scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from finance.fraud.features import OF_LAST, OWN, Definition, last_columns, names
from finance.fraud.phrases import Sentence, last_payments, number, sentences
from finance.fraud.transactions import UNIT, Transactions, Whole
from lepton_solutions.data.columns import FIRST_LEVEL, MISSING, UNSEEN, Column, Columns, Rows
from lepton_solutions.data.times import Clock

MOST_FRAUDS = 2000  # the latest of the train period, kept in a bundle
MOST_REASONS = 4  # more rarely help whoever investigates
SMALLEST = 0.05  # of the log-odds: less is no reason
NEAREST = 3  # past frauds that are named
OVER_MEAN = "amount over mean"
FAR = 10.0  # deviations at which a distance along a column is cut, so that no single one decides

Logit = Callable[[Rows], NDArray[np.float64]]
Group = tuple[int, ...]  # places among the numeric columns, or behind them among the categories


class Reason(TypedDict):
    """log_odds: by how much they are higher than with what is usual."""

    text: str
    log_odds: float


class Near(TypedDict):
    """A fraud of the train period. time: ISO 8601, in UTC. amount: units. distance: standard deviations."""

    id: str
    time: str
    amount: float
    distance: float


@dataclass(frozen=True)
class Usual:
    """What good transactions of the train period were like, and the frauds among its transactions.

    numeric: float32 [p], medians, NaN where nothing was known. codes: int64 [q], the most frequent levels. mean, std:
    float32 [p], of all rows. fraud_id, fraud_time (microseconds), fraud_amount (millionths): [m]. fraud_numeric:
    float32 [m, p], fraud_codes: int64 [m, q].
    """

    numeric: NDArray[np.float32]
    codes: Whole
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    fraud_id: NDArray[np.str_]
    fraud_time: Whole
    fraud_amount: Whole
    fraud_numeric: NDArray[np.float32]
    fraud_codes: Whole

    def save(self, path: Path) -> None:
        """As .npz, without pickle."""
        np.savez_compressed(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Usual:
        """The inverse of `save`."""
        with np.load(path, allow_pickle=False) as saved:
            return cls(**{name: saved[name] for name in saved.files})


def usual_of(rows: Rows, transactions: Transactions, fraud: NDArray[np.bool_]) -> Usual:
    """From n rows of the train period, as the model reads them, in the order of time. fraud: bool [n]."""
    good, places = rows.take(~fraud), np.flatnonzero(fraud)[-MOST_FRAUDS:]
    known = ~np.isnan(good.numeric).all(0)
    middle = np.full(rows.numeric.shape[1], np.nan, np.float32)
    middle[known] = np.nanmedian(good.numeric[:, known], axis=0)
    seen = ~np.isnan(rows.numeric).all(0)
    mean, std = np.zeros_like(middle), np.ones_like(middle)
    wide = rows.numeric[:, seen].astype(np.float64)
    mean[seen], std[seen] = np.nanmean(wide, 0), np.nanstd(wide, 0)
    few, told = rows.take(places), transactions.take(places)
    return Usual(
        numeric=middle,
        codes=np.array([np.bincount(codes).argmax() for codes in good.codes.T], np.int64),
        mean=mean,
        std=np.where(std > 1e-6, std, 1).astype(np.float32),
        fraud_id=told.id,
        fraud_time=told.time,
        fraud_amount=told.amount,
        fraud_numeric=few.numeric,
        fraud_codes=few.codes,
    )


@dataclass(frozen=True)
class Explainer:
    """columns: of the model's rows, as `inputs.columns_of` has them. clock: of the data."""

    definition: Definition
    columns: Columns
    usual: Usual
    clock: Clock

    @cached_property
    def groups(self) -> list[Group]:
        """Columns that say one thing and are changed together: else the one of 7 days would stand in for that of 21."""
        found: dict[str, list[int]] = {}
        ordered = [*self.columns.numeric, *self.columns.categories]
        features = len(self._features)
        for place, column in enumerate(ordered):
            found.setdefault(_subject(column.name) if place < features else column.name, []).append(place)
        return [tuple(places) for places in found.values()]

    def reasons(self, rows: Rows, logit: Logit) -> list[list[Reason]]:
        """For each of n rows what raised it, the strongest first, at most `MOST_REASONS`."""
        if not len(rows):
            return []
        groups, last = self.groups, range(*last_columns(self.definition).indices(len(self.columns.numeric)))
        alone = [(place,) for group in groups for place in group if place not in last]
        changed = [rows, *(self._without(rows, group) for group in (*groups, *alone))]
        together = Rows(
            np.concatenate([some.numeric for some in changed]), np.concatenate([some.codes for some in changed])
        )
        said = logit(together).reshape(len(changed), len(rows))
        fell = (said[0] - said[1:]).T  # [n, groups and columns]
        part = {place: len(groups) + i for i, (place,) in enumerate(alone)}
        found = []
        for row, by in enumerate(fell):
            best = [place for place in np.argsort(-by[: len(groups)], kind="stable") if by[place] >= SMALLEST]
            told = []
            for place in best[:MOST_REASONS]:
                if groups[place][0] in last:
                    text = last_payments(self.definition, rows.numeric[row, last].reshape(-1, len(OF_LAST)).tolist())
                else:  # told is the column without which the log-odds fall most
                    text = self._text(rows, row, max(groups[place], key=lambda column: by[part[column]]))
                told.append(Reason(text=text, log_odds=float(by[place])))
            found.append(told)
        return found

    def nearest(self, rows: Rows) -> list[list[Near]]:
        """For each of n rows the frauds of the train period that are most like it, the nearest first."""
        usual = self.usual
        frauds = _standard(usual.fraud_numeric, usual)
        found = []
        for numeric, codes in zip(_standard(rows.numeric, usual), rows.codes, strict=True):
            # A level that differs is two ones that differ, as in one-hot codes.
            apart = ((frauds - numeric) ** 2).sum(1) + 2 * (usual.fraud_codes != codes).sum(1)
            best = np.argsort(apart, kind="stable")[:NEAREST]
            found.append([self._near(place, float(np.sqrt(apart[place]))) for place in best.tolist()])
        return found

    def _near(self, place: int, distance: float) -> Near:
        usual = self.usual
        return Near(
            id=str(usual.fraud_id[place]),
            time=str(np.datetime64(int(usual.fraud_time[place]), "us").astype("datetime64[s]")),
            amount=float(usual.fraud_amount[place] / UNIT),
            distance=distance,
        )

    def _without(self, rows: Rows, group: Group) -> Rows:
        """The same with what is usual in the place of this group."""
        numeric, codes, p = rows.numeric, rows.codes, rows.numeric.shape[1]
        numbers, levels = [i for i in group if i < p], [i - p for i in group if i >= p]
        if numbers:
            numeric = numeric.copy()
            numeric[:, numbers] = self.usual.numeric[numbers]
        if levels:
            codes = codes.copy()
            codes[:, levels] = self.usual.codes[levels]
        return Rows(numeric, codes)

    def _text(self, rows: Rows, row: int, place: int) -> str:
        numeric, usual, p = rows.numeric[row], self.usual, rows.numeric.shape[1]
        if place >= p:
            column = self.columns.categories[place - p]
            code, often = int(rows.codes[row, place - p]), int(usual.codes[place - p])
            return f"{column.name} is {_level(column, code)}, usually {_level(column, often)}"
        name, usually = self.columns.numeric[place].name, float(usual.numeric[place])
        if place < len(self._features) and name in self._sentences:
            values = dict(zip(self._features, numeric[: len(self._features)].tolist(), strict=True))
            return self._sentences[name](values, usually)
        return f"{name} is {_number(float(numeric[place]))}, usually {_number(usually)}"

    @cached_property
    def _features(self) -> tuple[str, ...]:
        return names(self.definition)

    @cached_property
    def _sentences(self) -> dict[str, Sentence]:
        return sentences(self.definition, self.clock)


# What a feature is about, by how its name goes on after the entity.
_SUBJECTS = {
    "count": "activity",
    "hours since last": "activity",
    "sum": "amounts",
    "mean": "amounts",
}


def _subject(name: str) -> str:
    """The group of a feature.

    >>> _subject("card: sum, 7 d"), _subject("card with shop: first in 7 d"), _subject("card: amount over mean, 7 d")
    ('card: amounts', 'card with shop', 'amount')
    >>> _subject("card: amount, 2 before"), _subject("card: known fraud, 2 before")
    ('card: last payments', 'card: last payments')
    """
    kind, _, what = name.partition(": ")
    if what.endswith(" before"):
        return f"{kind}: last payments"
    if not what:
        return name if name == OWN[0] else "weekend" if name == OWN[2] else "time of day"
    said = what.partition(",")[0]
    if said == OVER_MEAN:
        return OWN[0]
    if said.startswith("first in"):
        return kind
    return f"{kind}: {'frauds' if 'fraud' in said else _SUBJECTS.get(said, said)}"


def _number(value: float) -> str:
    return "unknown" if np.isnan(value) else number(value)


def _level(column: Column, code: int) -> str:
    if code in (UNSEEN, MISSING):
        return "one never seen" if code == UNSEEN else "missing"
    return f"`{column.levels[code - FIRST_LEVEL]}`"


def _standard(numeric: NDArray[np.float32], usual: Usual) -> NDArray[np.float32]:
    z = (numeric - usual.mean) / usual.std
    return np.where(np.isnan(z), 0, z).clip(-FAR, FAR)
