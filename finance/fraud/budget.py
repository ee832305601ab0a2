"""Which cards are looked at: the budget decides, day by day, and whoever was found leaves the days that follow.

A card's score of a day is the highest of its transactions (Le Borgne et al. 2022, chapter 4: card precision top-k).
Where the data names no card, each transaction stands for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finance.fraud.transactions import DAY, FRAUD, UNIT, Transactions, Whole

LATELY = 7 * DAY  # reports that still count when a period begins

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Day:
    """Cards of one day, best score first; of equal scores the earlier transaction. card: codes [n]. score: [n].
    fraud: bool [n], any of its transactions was one. lost: [n], units of money in those. row: [n], the transaction with
    the highest score.
    """

    begin: int
    card: Whole
    score: Floats
    fraud: NDArray[np.bool_]
    lost: Floats
    row: Whole


def days_of(transactions: Transactions, score: Floats, *, begin: int, end: int) -> list[Day]:
    """Each day from `begin` to `end` (microseconds). transactions: rows with an outcome, in time order; score: [n]."""
    card = cards(transactions)
    found = []
    for start in range(begin, end, DAY):
        low, high = np.searchsorted(transactions.time, [start, start + DAY])
        fraud = transactions.label[low:high] == FRAUD
        order = np.argsort(-score[low:high], kind="stable")
        codes, first, place = np.unique(card[low:high][order], return_index=True, return_inverse=True)
        amount = np.where(fraud, transactions.amount[low:high] / UNIT, 0.0)
        lost = np.bincount(place, amount[order], minlength=len(codes)).astype(np.float64)
        any_fraud = np.bincount(place, fraud[order], minlength=len(codes)) > 0
        best = np.argsort(first, kind="stable")
        rows = low + order[first[best]]
        found.append(Day(start, codes[best], score[rows], any_fraud[best], lost[best], rows))
    return found


def cards(transactions: Transactions) -> Whole:
    """Who is investigated: the first entity, or each transaction by itself."""
    first = next(iter(transactions.entities.values()), None)
    return np.arange(len(transactions)) if first is None else first


@dataclass(frozen=True)
class Looked:
    """What a budget of cards a day came to. alerts: positions in each `Day`; the rest [days]: hits, the frauds' money,
    cards there were and frauds there were, among cards not found before.
    """

    alerts: Sequence[Whole]
    hits: Whole
    saved: Floats
    open_frauds: Whole


def look(days: Sequence[Day], budget: int) -> Looked:
    """The first cards of each day, without those that were found on a day before."""
    found: set[int] = set()
    alerts, hits, saved, frauds = [], [], [], []
    for day in days:
        open_ = np.flatnonzero(~np.isin(day.card, list(found))) if found else np.arange(len(day.card))
        top = open_[:budget]
        alerts.append(top)
        hits.append(int(day.fraud[top].sum()))
        saved.append(float(day.lost[top].sum()))
        frauds.append(int(day.fraud[open_].sum()))
        found |= set(day.card[top][day.fraud[top]].tolist())
    return Looked(alerts, np.array(hits), np.array(saved), np.array(frauds))


def card_precision(days: Sequence[Day], budget: int) -> float:
    """Mean over the days of frauds found by the budget, over the budget: CP@k."""
    return float(look(days, budget).hits.mean() / budget)


def threshold_for(days: Sequence[Day], budget: int) -> float:
    """The score at which a typical day raises as many alerts as can be looked at: the median of the days' k-th card.
    On days with fewer cards than that, the lowest.
    """
    return float(np.median([day.score[min(budget, len(day.score)) - 1] for day in days if len(day.score)]))


def closed(transactions: Transactions, rows: Whole, *, begin: int, delay: int) -> NDArray[np.bool_]:
    """Whether the card of each of these rows is known to be compromised when its day begins, [rows]: it pays no more.

    rows: positions at or after `begin`, the first moment of a period; delay: from a fraud until it is reported. Both in
    microseconds. Reports of the week before the period count too, as in the Handbook's protocol; what was reported
    earlier was closed long since where cards are real, and where such a card is still in use it is worth looking at.
    """
    card = cards(transactions)
    fraud = np.flatnonzero((transactions.label == FRAUD) & (transactions.time >= begin - delay - LATELY))
    first = np.full(int(card.max(initial=0)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, card[fraud], transactions.time[fraud])
    day = begin + (transactions.time[rows] - begin) // DAY * DAY
    gone: NDArray[np.bool_] = first[card[rows]] < day - delay
    return gone
