"""The Handbook's features by pandas and by our histories agree, and are those the book describes."""

import numpy as np
import pytest
from small_payments import payments

from finance.fraud.rolling import COLUMNS, by_histories, by_pandas
from finance.fraud.settings import Simulator
from finance.fraud.simulator import simulate
from finance.fraud.transactions import DAY, UNIT


@pytest.mark.parametrize("way", [by_pandas, by_histories])
def test_a_payment_is_counted_with_itself_and_a_terminal_up_to_the_delay(way):
    days = [0, 0.5, 8.2]  # at the third row, the first day of the window of one day is known, with its fraud
    rows = payments(
        [round(day * DAY) for day in days],
        [10 * UNIT, 30 * UNIT, 50 * UNIT],
        {"card": [0] * 3, "terminal": [0] * 3},
        label=[1, 0, 0],
    )
    found = {name: column.tolist() for name, column in zip(COLUMNS, way(rows).T, strict=True)}
    assert found["card: count, 1 d"] == [1, 2, 1]
    assert found["card: mean, 30 d"] == [10, 20, 30]
    assert found["terminal: count, 1 d"] == [0, 0, 1]  # the second; the first is 8.2 days ago
    assert found["terminal: risk, 7 d"] == [0, 0, 0.5]


def test_both_ways_agree_on_simulated_payments():
    rows = simulate(Simulator(customers=40, terminals=30, days=50, night=0, spending=0, seed=1))
    ours, theirs = by_histories(rows), by_pandas(rows)
    same = np.isclose(ours, theirs, rtol=1e-9, atol=1e-9).all(axis=1)
    assert len(rows) > 3000
    assert (~same).sum() <= 3  # whole seconds: a few rows stand exactly at the border of a window
