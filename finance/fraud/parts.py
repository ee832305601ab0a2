"""Which transactions a model learns from and which it is judged on: periods in the order of time, nothing shuffled.

    train | delay | validation | calibration | delay | test

In a delay nobody knows yet what was a fraud, so neither what is learned nor what is chosen may reach into it: a model
that goes live on the first test day has seen no outcome that the team would not have had. A prequential evaluation
does this several times, each a test period earlier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finance.fraud.budget import closed
from finance.fraud.settings import Split
from finance.fraud.transactions import DAY, FRAUD, GOOD, NO_OUTCOME, Transactions, Whole
from lepton_solutions.data.splits import PARTS, TEST, TRAIN
from lepton_solutions.data.times import Clock
from lepton_solutions.errors import UserError

NO_PART = -1
MOST = 60  # days that are learned from where nothing is asked: on the Handbook's payments 80 brought nothing more
SHORT = 56  # days of data below which a week for each part is too much


@dataclass(frozen=True)
class Period:
    """Microseconds, `end` not included."""

    begin: int
    end: int

    def rows(self, transactions: Transactions, *, known: int | None = None) -> Whole:
        """Positions of its transactions that have an outcome; known: and that may be used from this moment on."""
        first, stop = np.searchsorted(transactions.time, [self.begin, self.end])
        place = np.arange(first, stop)
        of_use = transactions.label[first:stop] != NO_OUTCOME
        if known is not None:
            of_use &= transactions.seen[first:stop] <= known
        return place[of_use]

    def told(self, clock: Clock) -> str:
        """As a reader of the table would write it."""
        return f"{clock.told(self.begin)} to {clock.told(self.end)}"


@dataclass(frozen=True)
class Fold:
    """One step of a prequential evaluation: learn, wait, be judged."""

    train: Period
    test: Period

    def rows(self, transactions: Transactions) -> tuple[Whole, Whole]:
        """Positions to learn from, as far as they are known when the test begins, and positions to be judged on."""
        return self.train.rows(transactions, known=self.test.begin), self.test.rows(transactions)


def periods(begin: int, *, train: float, delay: float, test: float, folds: int) -> list[Fold]:
    """Prequential folds, the latest first: fold k learns from `train` days that begin k times `test` days before
    `begin`, waits `delay` days and is judged on `test` days. All in days but begin, which is microseconds.

    >>> first, second = periods(14 * DAY, train=7, delay=7, test=7, folds=2)
    >>> first.test.begin // DAY, second.train.begin // DAY, second.test.end // DAY
    (28, 7, 28)
    """
    learned, waited, judged = (_days(days) for days in (train, delay, test))
    found = []
    for k in range(folds):
        start = begin - k * judged
        judge = start + learned + waited
        found.append(Fold(Period(start, start + learned), Period(judge, judge + judged)))
    return found


def split_in_time(
    transactions: Transactions, asked: Split, *, delay: float, clock: Clock, earlier: int = 0
) -> tuple[NDArray[np.int8], dict[str, Period]]:
    """The part of each row, int8 [n], an index into `PARTS` or `NO_PART`; and the period of each part.

    delay: days until an outcome is known; between the periods too, where `asked` has no delay of its own. earlier: by
    how many test periods all is moved back. Rows without an outcome, in a delay, before the train period, or not usable
    before the next part begins (`data.known_at`) are in no part, nor are those that are judged but whose card is known
    to be compromised. Raises UserError where the data is too short for what is asked, and where a period lacks frauds
    or good rows.
    """
    if not len(transactions):
        raise UserError("found no transactions to split")
    begin = int(transactions.time[0]) // DAY * DAY
    end = (int(transactions.time[-1]) // DAY + 1) * DAY
    found = _periods(asked, begin, end, delay, earlier)
    part = np.full(len(transactions), NO_PART, np.int8)
    for code, name in enumerate(PARTS):
        until = found["test"].begin if code else found["validation"].begin
        rows = found[name].rows(transactions, known=None if code == TEST else until)
        if code != TRAIN:
            rows = rows[~closed(transactions, rows, begin=found[name].begin, delay=_days(delay))]
        part[rows] = code
    _check(transactions, part, found, clock, whole=asked.train is None)
    return part, found


def _periods(asked: Split, begin: int, end: int, delay: float, earlier: int) -> dict[str, Period]:
    span = (end - begin) / DAY
    week = 7 if span >= SHORT else span / 8
    validation = asked.validation or week
    calibration = asked.calibration or validation
    test = asked.test or 2 * validation
    wait = (delay if span >= SHORT else min(delay, span / 8)) if asked.delay is None else asked.delay
    end -= earlier * _days(test)
    judged = end - _days(test)
    calibrated = judged - _days(wait)
    validated = calibrated - _days(calibration)
    learned = validated - _days(validation) - _days(wait)
    first = max(begin, learned - _days(MOST)) if asked.train is None else learned - _days(asked.train)
    if first < begin or learned <= first:
        told = (
            f"{validation:g} of validation, {calibration:g} of calibration, twice {wait:g} of delay, {test:g} of test"
        )
        raise UserError(
            f"split: the data spans {span:g} days, too few for {told}"
            + (f", {earlier} test periods earlier" if earlier else "")
            + (", and some to learn from" if asked.train is None else f", and {asked.train:g} to learn from"),
            hint="shorter periods: split.validation, split.calibration, split.test, split.delay"
            + (f"; or split.periods={earlier}" if earlier else ""),
        )
    return {
        "train": Period(first, learned),
        "validation": Period(learned + _days(wait), validated),
        "calibration": Period(validated, calibrated),
        "test": Period(judged, end),
    }


def _check(
    transactions: Transactions, part: NDArray[np.int8], found: dict[str, Period], clock: Clock, *, whole: bool
) -> None:
    """whole: the train period is all that is before the others."""
    for code, name in enumerate(PARTS):
        label = transactions.label[part == code]
        for outcome, word in ((FRAUD, "no fraud"), (GOOD, "nothing but frauds")):
            if not (label == outcome).any():
                what = word if len(label) else "no transaction with an outcome"
                raise UserError(
                    f"split: the {name} period, {found[name].told(clock)}, has {what} among {len(label):,} "
                    f"transactions, of {(transactions.label == FRAUD).sum():,} frauds in all; each period needs both",
                    hint="shorter later periods, or more days of data"
                    if name == "train" and whole
                    else f"split.{name}=DAYS makes it longer",
                )


def _days(days: float) -> int:
    return round(days * DAY)
