"""Each feature is told in a sentence that is true of its value, also of a missing one."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from small_payments import SMALL, any_payments

from finance.fraud.features import Definition, last_columns, names
from finance.fraud.history import histories
from finance.fraud.phrases import sentences
from finance.fraud.transactions import DAY
from lepton_solutions.data.times import Clock

DATES = Clock("microseconds", "date")
DEFINITION = Definition(("card", "merchant_id"), (DAY, 21 * DAY), 7 * DAY, (("card", "merchant_id"),))
SAYS = sentences(DEFINITION, DATES)
NOTHING = float("nan")


def said(name: str, usual: float = NOTHING, **values: float) -> str:
    """Of a row in which all is 0 but these."""
    return SAYS[name](dict.fromkeys(names(DEFINITION), 0.0) | values, float(usual))


def test_every_feature_has_a_sentence():
    assert set(names(DEFINITION)) <= set(SAYS)


@pytest.mark.parametrize(
    ("name", "value", "usual", "expected"),
    [
        ("card: count, 21 d", 6, 2, "6 payments of this card in 21 days (usually 2)"),
        ("card: count, 21 d", 1, 2.5, "1 payment of this card in 21 days (usually 2.5)"),
        ("card: count, 21 d", 0, 2, "no payment of this card in 21 days (usually 2)"),
        ("card: sum, 21 d", 812.4, 90, "payments of this card in 21 days add up to 812.40 (usually 90.00)"),
        ("card: mean, 21 d", 41.256, NOTHING, "the mean payment of this card in 21 days is 41.26"),
        ("card: mean, 21 d", NOTHING, 40, "no payment of this card in 21 days"),
        ("card: known frauds, 1 d", 2, 0, "2 known frauds of this card in 1 day (usually 0)"),
        ("card: known frauds, 1 d", 1, 0, "1 known fraud of this card in 1 day (usually 0)"),
        ("card: known fraud rate, 21 d", 0.004, 0,
         "0.4 % of this card's payments of known outcome in 21 days were frauds (usually 0 %)"),
        ("card: hours since last", 0.25, 50, "the last payment of this card was 15 minutes ago (usually 2 days)"),
        ("card: hours since last", NOTHING, 50, "no payment of this card in 21 days"),
        ("card: hours since known fraud", 72, 400, "the last known fraud of this card was 3 days ago"),
        ("card: hours since first known fraud", 672, 400, "known frauds of this card go back 28 days"),
        ("card: good since known fraud", 0, 4, "no good payment of this card since its last known fraud"),
        ("card: good since known fraud", 12, 4, "12 good payments of this card since its last known fraud"),
        ("card: distinct merchant_id, 1 d", 6, 2, "6 merchant_ids with payments of this card in 1 day (usually 2)"),
        ("card with merchant_id: first in 21 d", 1, 0, "first payment of this card with this merchant_id in 21 days"),
        ("card with merchant_id: first in 21 d", 0, 1,
         "not the first payment of this card with this merchant_id in 21 days"),
        ("weekend", 1, 0, "paid on a weekend"),
        ("weekend", 0, 1, "paid on a weekday"),
    ],
)  # fmt: skip
def test_a_value_is_told_in_its_unit(name, value, usual, expected):
    assert said(name, usual, **{name: value}) == expected


def test_a_short_window_is_told_beside_the_longest():
    asked = {"card: count, 1 d": 9.0, "card: count, 21 d": 56.0, "card: mean, 1 d": 80.0, "card: mean, 21 d": 25.0}
    assert (
        said("card: count, 1 d", 2, **asked) == "9 payments of this card in 1 day (usually 2), 56 payments in 21 days"
    )
    assert (
        said("card: mean, 1 d", 40, **asked)
        == "the mean payment of this card in 1 day is 80.00 (usually 40.00), 25.00 in 21 days"
    )


def test_without_a_payment_in_the_short_window_nothing_is_told_beside_it():
    asked = {"card: mean, 1 d": NOTHING, "card: mean, 21 d": 25.0}
    assert said("card: mean, 1 d", 40, **asked) == "no payment of this card in 1 day"


def test_an_amount_is_told_beside_what_the_card_pays():
    paid = {"amount": 812.4, "card: mean, 21 d": 87.354, "card: amount over mean, 21 d": 9.3, "card: count, 21 d": 4.0}
    assert (
        said("amount", 40, **paid)
        == "the amount is 812.40 (usually 40.00), the mean payment of this card in 21 days is 87.35"
    )
    assert (
        said("card: amount over mean, 21 d", 1, **paid)
        == "the amount, 812.40, is 9.3 times this card's mean of 21 days (usually 1.0)"
    )


def test_an_amount_without_a_past_is_compared_with_nothing():
    first = {"amount": 812.4, "card: mean, 21 d": NOTHING, "card: amount over mean, 21 d": NOTHING}
    assert said("amount", 40, **first) == "the amount is 812.40 (usually 40.00), no payment of this card in 21 days"
    assert said("card: amount over mean, 21 d", 1, **first) == "no payment of this card in 21 days"
    refunded = first | {"card: count, 21 d": 2.0, "card: mean, 21 d": -5.0}
    assert (
        said("card: amount over mean, 21 d", 1, **refunded)
        == "the amount is 812.40, this card's mean of 21 days is not above 0"
    )


@pytest.mark.parametrize("name", ["hours since known fraud", "hours since first known fraud", "good since known fraud"])
def test_without_a_known_fraud_there_was_none_or_no_payment(name):
    none = {f"card: {name}": NOTHING}
    assert said(f"card: {name}", 400, **none) == "no payment of this card in 21 days"
    assert said(f"card: {name}", 400, **none, **{"card: count, 21 d": 3.0}) == "no known fraud of this card in 21 days"


def test_a_rate_of_nothing_known_is_no_rate():
    none = {"card: known fraud rate, 1 d": NOTHING, "card: count, 1 d": 2.0}
    assert said("card: known fraud rate, 1 d", 0, **none) == "no payment of this card in 1 day has a known outcome"


@pytest.mark.parametrize("name", ["hour of day", "night"])
@pytest.mark.parametrize(
    ("hour", "night", "expected"),
    [(3.2, 1, "03:12, at night"), (14 + 5.99 / 60, 0, "14:05, by day"), (0, 1, "00:00, at night")],
)
def test_the_time_of_day_is_told_to_the_minute_and_in_utc_where_times_name_a_zone(name, hour, night, expected):
    values = {"hour of day": float(np.float32(hour)), "night": float(night)}
    assert said(name, 12, **values) == f"paid at {expected}"
    zoned = sentences(DEFINITION, Clock("microseconds", "date", "+01:00"))
    assert zoned[name](values, 12) == f"paid at {expected.replace(',', ' UTC,')}"


@settings(deadline=None, max_examples=60)
@given(any_payments())
def test_no_payment_is_said_of_those_alone_that_have_none(rows):
    says, columns = sentences(SMALL, DATES), names(SMALL)
    assert set(columns[: last_columns(SMALL).start]) == says.keys()
    for row in histories(rows, SMALL).astype(np.float32).tolist():
        values = dict(zip(columns, row, strict=True))
        for name, say in says.items():
            text = say(values, NOTHING)
            assert "nan" not in text, name
            for kind, window in re.findall(r"no payment of this (\w+) in (\d+) microseconds(?! has)", text):
                assert values[f"{kind}: count, {window} µs"] == 0
