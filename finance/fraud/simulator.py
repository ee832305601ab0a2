"""Card payments made after the published description of the Fraud Detection Handbook, with the truth beside them.

    made = simulate(Simulator(customers=1000, terminals=2000, days=90, night=0, spending=0, seed=0))
    made.scenario         # which kind of fraud a payment is, 0 none

Customers and terminals lie on a square of 100 by 100. A customer pays at the terminals nearby, as often and as much as
is their habit. Three kinds of fraud: 1, amounts above a mark; 2, terminals that are compromised for four weeks, where
every payment is a fraud; 3, customers whose card is known to others for two weeks: a third of their payments are five
times as large, and frauds. Beyond the book, customs drift: more is paid at night, and more is spent.
Source: Le Borgne et al. 2022, chapter 3.2; https://fraud-detection-handbook.github.io/fraud-detection-handbook/
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from finance.fraud.layout import Layout
from finance.fraud.reading import numbers
from finance.fraud.settings import Simulator, TransactionTable
from finance.fraud.sources import Collected, reject_keys
from finance.fraud.transactions import DAY, FRAUD, SECOND, UNIT, Transactions, Whole
from lepton_solutions.data.columns import Columns, Rows
from lepton_solutions.data.times import Clock

START = int(np.datetime64("2018-04-01", "us").astype(np.int64))  # the book's first day

# The book's figures: its size, to which what happens a day is scaled, and its three kinds of fraud.
BOOK_CUSTOMERS, BOOK_TERMINALS, BOOK_RADIUS = 5000, 10_000, 5.0
SIDE = 100.0
MOST_A_DAY = 4.0  # payments of a customer, mean; of each uniform from 0
MEAN_AMOUNTS = (5.0, 100.0)  # of a customer; the standard deviation is half of it
NOON, SPREAD = 43_200, 20_000  # of the time of day, seconds
MARK = 220.0
TERMINALS_A_DAY, TERMINAL_DAYS = 2.0, 28
CUSTOMERS_A_DAY, CUSTOMER_DAYS, PART, TIMES = 3.0, 14, 3, 5

MONTH = 30.0  # days, in which drift is stated
NIGHT_SPREAD = 7200  # of what is paid at night, about midnight, seconds


def payments(data: TransactionTable) -> Collected:
    """The simulated payments that `data.simulator` describes."""
    reject_keys(data, "simulated payments, which read no file")
    layout = Layout(
        id="id",
        time="time",
        amount="amount",
        entities={"card": "card", "terminal": "terminal"},
        target="fraud",
        clock=Clock("microseconds", "date"),
    )
    return Collected("simulated payments", simulate(data.simulator), layout, licence="made by this program")


def simulate(asked: Simulator) -> Transactions:
    """The same payments for the same arguments."""
    rng = np.random.default_rng(asked.seed)
    here, there = (rng.uniform(0, SIDE, (n, 2)) for n in (asked.customers, asked.terminals))
    mean_amount = rng.uniform(*MEAN_AMOUNTS, asked.customers)
    count = rng.poisson(rng.uniform(0, MOST_A_DAY, asked.customers)[:, None], (asked.customers, asked.days))
    customer, day = (np.repeat(np.indices(count.shape)[axis].ravel(), count.ravel()) for axis in (0, 1))
    second = _times_of_day(day, asked.night, rng)
    terminal = _terminals(here, there, customer, rng)
    kept = (second > 0) & (second < 86_400) & (terminal >= 0)  # as the book: not drawn again
    customer, day, second, terminal = customer[kept], day[kept], second[kept], terminal[kept]

    level = (1 + asked.spending) ** (day / MONTH)
    amount = rng.normal(mean_amount[customer], mean_amount[customer] / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean_amount[customer]), amount)
    scenario = np.zeros(len(day), np.int8)
    scenario[np.round(amount, 2) > MARK] = 1  # the mark rises with the level, or drift would make frauds of everything
    amount = np.round(amount * level, 2)
    scenario[_at_compromised_terminals(terminal, day, asked, rng)] = 2
    for rows in _of_compromised_customers(customer, day, asked, rng):  # a payment may be hit twice, as in the book
        amount[rows] *= TIMES
        scenario[rows] = 3

    time = START + day * DAY + second * SECOND
    order = np.argsort(time, kind="stable")
    return Transactions(
        id=numbers(0, len(order)),
        time=time[order],
        seen=time[order],
        amount=np.rint(amount[order] * UNIT).astype(np.int64),
        entities={"card": customer[order], "terminal": terminal[order]},
        levels={
            "card": np.array([f"card {number}" for number in range(asked.customers)]),
            "terminal": np.array([f"terminal {number}" for number in range(asked.terminals)]),
        },
        label=np.where(scenario[order] > 0, FRAUD, 0).astype(np.int8),
        declined=np.zeros(len(order), bool),
        extras=Rows(np.empty((len(order), 0), np.float32), np.empty((len(order), 0), np.int64)),
        columns=Columns(()),
        scenario=scenario[order],
    )


def _times_of_day(day: Whole, night: float, rng: np.random.Generator) -> Whole:
    """Whole seconds; outside of the day where the draw is."""
    second = rng.normal(NOON, SPREAD, len(day))
    if night:
        late = rng.random(len(day)) < night * day / MONTH
        second[late] = rng.normal(0, NIGHT_SPREAD, int(late.sum())) % 86_400
    return second.astype(np.int64)


def _terminals(
    here: NDArray[np.float64], there: NDArray[np.float64], customer: Whole, rng: np.random.Generator
) -> Whole:
    """Of each payment, one of the terminals near its customer; -1 where there is none."""
    radius = BOOK_RADIUS * np.sqrt(BOOK_TERMINALS / len(there))  # so that as many are near as in the book
    near = cKDTree(there).query_ball_point(here, radius, return_sorted=True)
    size = np.array([len(some) for some in near])
    flat = np.concatenate([*(np.asarray(some, np.int64) for some in near), [-1]])
    first = np.cumsum(size) - size
    drawn = first[customer] + (rng.random(len(customer)) * size[customer]).astype(np.int64)
    return np.where(size[customer] > 0, flat[np.minimum(drawn, len(flat) - 1)], -1)


def _a_day(rate: float, days: int, of: int, rng: np.random.Generator) -> list[Whole]:
    """Of each day but the last (as in the book), who is compromised: `rate` of `of` on average, evenly spread."""
    until = np.floor(rate * np.arange(days) + 0.5).astype(np.int64)
    return [rng.choice(of, size=min(n, of), replace=False) for n in np.diff(until).tolist()]


def _at_compromised_terminals(
    terminal: Whole, day: Whole, asked: Simulator, rng: np.random.Generator
) -> NDArray[np.bool_]:
    compromised = np.zeros((asked.terminals, asked.days), bool)
    rate = TERMINALS_A_DAY * asked.terminals / BOOK_TERMINALS
    for begin, chosen in enumerate(_a_day(rate, asked.days, asked.terminals, rng)):
        compromised[chosen, begin : begin + TERMINAL_DAYS] = True
    hit: NDArray[np.bool_] = compromised[terminal, day]
    return hit


def _of_compromised_customers(customer: Whole, day: Whole, asked: Simulator, rng: np.random.Generator) -> list[Whole]:
    """For each day, a third of the payments that the customers compromised on it make within two weeks."""
    place = customer * asked.days + day  # rises: payments were made customer by customer, day by day
    rate = CUSTOMERS_A_DAY * asked.customers / BOOK_CUSTOMERS
    found = []
    for begin, chosen in enumerate(_a_day(rate, asked.days, asked.customers, rng)):
        end = min(begin + CUSTOMER_DAYS, asked.days)
        edges = np.searchsorted(place, [chosen * asked.days + begin, chosen * asked.days + end])
        rows = np.concatenate([np.arange(*pair) for pair in edges.T] or [np.empty(0, np.int64)])
        found.append(rng.choice(rows, size=len(rows) // PART, replace=False).astype(np.int64))
    return found
