"""Which cards a budget looks at, worked out by hand on two days."""

import numpy as np
import pytest
from small_payments import payments

from finance.fraud.budget import card_precision, cards, closed, days_of, look, threshold_for
from finance.fraud.transactions import DAY, HOUR, UNIT

#            day 0                  day 1
CARD = [0, 0, 1, 2, 0, 1, 2]
LABEL = [1, 0, 0, 1, 1, 0, 1]
AMOUNT = [10, 5, 7, 3, 20, 9, 4]
SCORE = np.array([0.9, 0.2, 0.8, 0.5, 0.95, 0.1, 0.6])
TIME = [HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, DAY + HOUR, DAY + 2 * HOUR, DAY + 3 * HOUR]


@pytest.fixture
def rows():
    return payments(TIME, [UNIT * amount for amount in AMOUNT], {"card": CARD}, label=LABEL)


@pytest.fixture
def days(rows):
    return days_of(rows, SCORE, begin=0, end=2 * DAY)


def test_a_card_has_the_highest_score_of_its_day_and_loses_all_of_its_frauds(days):
    first, second = days
    assert first.card.tolist() == [0, 1, 2] and second.card.tolist() == [0, 2, 1]
    assert first.score.tolist() == [0.9, 0.8, 0.5] and second.score.tolist() == [0.95, 0.6, 0.1]
    assert first.fraud.tolist() == [True, False, True] and first.lost.tolist() == [10, 0, 3]
    assert first.row.tolist() == [0, 2, 3] and second.row.tolist() == [4, 6, 5]
    assert [day.begin for day in days] == [0, DAY]


def test_of_equal_scores_the_earlier_payment_comes_first(rows):
    (day,) = days_of(rows, np.full(7, 0.5), begin=0, end=DAY)
    assert day.card.tolist() == [0, 1, 2] and day.row.tolist() == [0, 2, 3]


def test_a_day_without_payments_has_no_cards(rows):
    assert [len(day.card) for day in days_of(rows, SCORE, begin=0, end=3 * DAY)] == [3, 3, 0]


def test_without_a_card_each_payment_stands_for_itself(rows):
    bare = payments(TIME, [UNIT] * 7, {}, label=LABEL)
    assert cards(bare).tolist() == list(range(7))
    first, _ = days_of(bare, SCORE, begin=0, end=2 * DAY)
    assert first.card.tolist() == [0, 2, 3, 1]


def test_who_was_found_leaves_the_days_that_follow(days):
    found = look(days, 1)
    assert [day.card[place].tolist() for day, place in zip(days, found.alerts, strict=True)] == [[0], [2]]
    assert found.hits.tolist() == [1, 1] and found.saved.tolist() == [10, 4] and found.open_frauds.tolist() == [2, 1]


def test_a_budget_beyond_the_cards_looks_at_all_of_them(days):
    assert [len(alerts) for alerts in look(days, 10).alerts] == [3, 1]  # cards 0 and 2 were found on the first


def test_card_precision_is_the_mean_over_days_of_hits_over_the_budget(days):
    assert card_precision(days, 1) == 1.0
    assert card_precision(days, 2) == (1 / 2 + 1 / 2) / 2
    assert card_precision(days, 10) == pytest.approx((2 / 10 + 0 / 10) / 2)


def test_the_line_is_the_median_of_the_days_last_card_within_the_budget(days):
    assert threshold_for(days, 2) == pytest.approx((0.8 + 0.6) / 2)
    assert threshold_for(days, 10) == pytest.approx((0.5 + 0.1) / 2)  # fewer cards than that: the lowest


def test_a_card_is_closed_from_the_day_on_which_its_fraud_is_known():
    """A fraud of card 0 on day 1 is known 7 days later, when day 9 begins; card 1 pays on the same days."""
    begin, pays = 7 * DAY, [7, 8, 9, 13]
    times = [DAY + HOUR, *(day * DAY + hour * HOUR for day in pays for hour in (0, 1))]
    rows = payments(times, [UNIT] * 9, {"card": [0, *([0, 1] * 4)]}, label=[1, *([0] * 8)])
    asked = np.arange(1, 9)
    assert closed(rows, asked, begin=begin, delay=7 * DAY).tolist() == [False] * 4 + [True, False] * 2
    assert closed(rows, asked, begin=begin, delay=0).tolist() == [True, False] * 4


def test_what_was_reported_long_before_the_period_closes_nothing():
    times = [5 * DAY, 6 * DAY, 20 * DAY, 20 * DAY]
    rows = payments(times, [UNIT] * 4, {"card": [0, 1, 0, 1]}, label=[1, 1, 0, 0])
    assert closed(rows, np.array([2, 3]), begin=20 * DAY, delay=7 * DAY).tolist() == [False, True]


def test_without_a_card_nothing_is_closed():
    rows = payments([DAY, 20 * DAY], [UNIT] * 2, {}, label=[1, 1])
    assert not closed(rows, np.array([1]), begin=20 * DAY, delay=DAY).any()
