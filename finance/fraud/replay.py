"""What looking at so many cards a day would have come to: on the cards there were, and on resamples of them.

    ground = ground_of(prepared, TEST, seed=0)
    days = ground.days(probability)
    ground.interval_of(lambda times: replay(days, 100, times).hits.mean(1) / 100)     # card precision, 95 % interval

Intervals draw cards, each with all its days: what a thief does to one card is one event, however many payments it
takes. Two weeks of days would be too few to draw from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finance.fraud.budget import Day, Floats, cards, days_of
from finance.fraud.prepare import Prepared
from finance.fraud.transactions import Transactions, Whole
from lepton_solutions.data.splits import PARTS
from lepton_solutions.resampling import Interval, interval, resample, resamples

REPLICATES = 1000


@dataclass(frozen=True)
class Replay:
    """Of k resamples. [k, days]: cards looked at, frauds among them, frauds among all cards not found before, and the
    money in the frauds of found cards, in units. recall: [k], share of the cards with a fraud that were found.
    """

    looked: Floats
    hits: Floats
    open_frauds: Floats
    stopped: Floats
    recall: Floats

    def saved(self, *, recovered: float, cost_of_case: float) -> Floats:
        """[k, days]: what came back, less what looking cost."""
        return recovered * self.stopped - cost_of_case * self.looked


def replay(days: Sequence[Day], budget: int, times: Floats) -> Replay:
    """As `budget.look`, for many resamples at once. times: [k, cards], how often each card was drawn.

    A card that was drawn twice is looked at twice; where the budget ends between the two, both count as found.
    """
    gone, ever = np.zeros(times.shape, bool), np.zeros(times.shape, bool)
    looked, hits, frauds, stopped = np.zeros((4, len(times), len(days)))
    for number, day in enumerate(days):
        w = times[:, day.card] * ~gone[:, day.card]
        taken = np.clip(budget - (np.cumsum(w, axis=1) - w), 0, w)
        looked[:, number] = taken.sum(axis=1)
        hits[:, number], frauds[:, number] = taken @ day.fraud, w @ day.fraud
        stopped[:, number] = taken @ day.lost
        stolen = np.flatnonzero(day.fraud)
        ever[:, day.card[stolen]] |= w[:, stolen] > 0
        gone[:, day.card[stolen]] |= taken[:, stolen] > 0
    with np.errstate(invalid="ignore"):
        recall = (times * gone).sum(axis=1) / (times * ever).sum(axis=1)
    return Replay(looked, hits, frauds, stopped, recall)


@dataclass(frozen=True)
class Ground:
    """Days on which every policy is replayed alike.

    rows: those that are judged, their cards coded from 0 without gaps. begin, end: microseconds. seed: of the
    resamples, the same for every figure.
    """

    rows: Transactions
    begin: int
    end: int
    seed: int

    @property
    def card(self) -> Whole:
        """[n], whose transaction it is."""
        return cards(self.rows)

    def days(self, score: Floats) -> list[Day]:
        """Cards of each day by score. score: [n]."""
        return days_of(self.rows, score, begin=self.begin, end=self.end)

    def draws(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, 1])

    def played(self, days: Sequence[Day], budget: int) -> Replay:
        """On the cards there were: k = 1."""
        return replay(days, budget, np.ones((1, self._owners)))

    def interval_of(self, figure: Callable[[Floats], Floats]) -> Interval:
        """figure: times [k, cards] to what is measured [k]."""
        once = np.ones(self._owners)
        count = resamples(len(self.rows), REPLICATES)
        drawn = [figure(times) for times in resample(once, self.draws(), count)]
        return interval(float(figure(once[None])[0]), np.concatenate(drawn))

    @property
    def _owners(self) -> int:
        return int(self.card.max()) + 1


def ground_of(prepared: Prepared, part: int, *, seed: int) -> Ground:
    """The days of a part."""
    period = prepared.card.parts[PARTS[part]].period
    rows = prepared.transactions.take(prepared.rows(part))
    if rows.entities:
        kind = next(iter(rows.entities))
        codes, dense = np.unique(rows.entities[kind], return_inverse=True)
        entities = {**rows.entities, kind: dense.reshape(-1)}
        rows = replace(rows, entities=entities, levels={**rows.levels, kind: rows.levels[kind][codes]})
    return Ground(rows, period.begin, period.end, seed)
