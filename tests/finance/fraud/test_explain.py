"""Reasons and past frauds, on models whose answer can be worked out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_payments import payments

from finance.fraud.explain import MOST_FRAUDS, Explainer, Usual, usual_of
from finance.fraud.features import Definition, names
from finance.fraud.simulator import START
from finance.fraud.transactions import DAY, HOUR, UNIT, Transactions
from lepton_solutions.data.columns import FIRST_LEVEL, MISSING, UNSEEN, Column, Columns, Rows
from lepton_solutions.data.times import Clock

TWO = Definition(("card", "terminal"), (DAY, 28 * DAY), 7 * DAY, (("card", "terminal"),))
COLUMNS = Columns((*(Column(name, "numeric") for name in names(TWO)), Column("channel", "category", ("web", "shop"))))
P = len(names(TWO))
PLACE = {name: place for place, name in enumerate(names(TWO))}


def usual(**values: float) -> Usual:
    """All zero, deviations of 1, the first level; two past frauds, at amounts of 10 and 100."""
    numeric = np.zeros(P, np.float32)
    for name, value in values.items():
        numeric[PLACE[name]] = value
    frauds = np.zeros((2, P), np.float32)
    frauds[:, 0] = [1, 3]
    return Usual(
        numeric=numeric,
        codes=np.array([FIRST_LEVEL]),
        mean=np.zeros(P, np.float32),
        std=np.ones(P, np.float32),
        fraud_id=np.array(["a", "b"]),
        fraud_time=np.array([START, START + HOUR]),
        fraud_amount=np.array([10 * UNIT, 100 * UNIT]),
        fraud_numeric=frauds,
        fraud_codes=np.full((2, 1), FIRST_LEVEL),
    )


def explainer_of(usual: Usual) -> Explainer:
    return Explainer(TWO, COLUMNS, usual, Clock("microseconds", "date"))


def rows(code: int = FIRST_LEVEL, **values: float) -> Rows:
    numeric = np.zeros((1, P), np.float32)
    for name, value in values.items():
        numeric[0, PLACE[name]] = value
    return Rows(numeric, np.array([[code]]))


def linear(**weights: float):
    """Log-odds that are a sum over columns; a level that is not the first adds 1."""

    def logit(given: Rows) -> np.ndarray:
        total = (given.codes[:, 0] != FIRST_LEVEL).astype(float)
        for name, weight in weights.items():
            total += weight * np.nan_to_num(given.numeric[:, PLACE[name]].astype(float))
        return total

    return logit


def test_what_a_column_adds_to_a_sum_is_its_part():
    explainer = explainer_of(usual(**{"amount": 20.0}))
    asked = rows(**{"amount": 50.0, "terminal: known fraud rate, 28 d": 0.35, "card: known frauds, 1 d": 1.0})
    logit = linear(**{"amount": 0.1, "terminal: known fraud rate, 28 d": 8.0, "card: known frauds, 1 d": -2.0})
    (found,) = explainer.reasons(asked, logit)
    assert [reason["log_odds"] for reason in found] == pytest.approx([3.0, 2.8])  # .1 * (50 - 20), 8 * .35
    assert found[0]["text"] == "the amount is 50.00 (usually 20.00), the mean payment of this card in 28 days is 0.00"
    assert found[1]["text"] == "35 % of this terminal's payments of known outcome in 28 days were frauds (usually 0 %)"


def test_windows_that_say_the_same_are_one_reason_told_by_the_strongest():
    explainer = explainer_of(usual())
    both = {"terminal: known fraud rate, 1 d": 0.5, "terminal: known fraud rate, 28 d": 0.25}
    # Either window alone would do, so that taking away one of them changes little.
    high = linear(**dict.fromkeys(both, 1.0))
    (found,) = explainer.reasons(rows(**both), lambda given: 4.0 * (high(given) > 0.2))
    assert [reason["log_odds"] for reason in found] == [4.0]
    (found,) = explainer.reasons(rows(**both), high)
    assert [reason["text"] for reason in found] == [
        "50 % of this terminal's payments of known outcome in 1 day were frauds (usually 0 %)"
    ]


def test_every_column_belongs_to_one_group():
    places = [place for group in explainer_of(usual()).groups for place in group]
    assert sorted(places) == list(range(P + 1))


def test_a_card_is_compared_with_its_own_past():
    explainer = explainer_of(usual(**{"card: count, 1 d": 1.0}))
    asked = rows(**{"amount": 300.0, "card: count, 1 d": 9.0, "card: count, 28 d": 56.0, "card: mean, 28 d": 25.0})
    (found,) = explainer.reasons(asked, linear(**{"amount": 1.0, "card: count, 1 d": 1.0}))
    assert [reason["text"] for reason in found] == [
        "the amount is 300.00 (usually 0.00), the mean payment of this card in 28 days is 25.00",
        "9 payments of this card in 1 day (usually 1), 56 payments in 28 days",
    ]


def test_an_amount_and_how_it_compares_are_one_reason():
    explainer = explainer_of(usual())
    ratio = {"card: amount over mean, 28 d": 4.0, "terminal: amount over mean, 28 d": 3.0}
    (found,) = explainer.reasons(rows(**{"amount": 300.0, **ratio}), linear(**dict.fromkeys(ratio, 1.0)))
    assert [reason["log_odds"] for reason in found] == [7.0]
    assert found[0]["text"] == "the amount, 300.00, is 4.0 times this card's mean of 28 days (usually 0)"


@pytest.mark.parametrize(
    ("code", "told"), [(UNSEEN, "one never seen"), (MISSING, "missing"), (FIRST_LEVEL + 1, "`shop`")]
)
def test_a_level_is_told_by_its_name(code, told):
    (found,) = explainer_of(usual()).reasons(rows(code), linear())
    assert [reason["text"] for reason in found] == [f"channel is {told}, usually `web`"]


def test_a_feature_without_a_sentence_is_told_by_its_name():
    further = Columns((*COLUMNS.columns, Column("weekend", "numeric")))  # a column of the user's, named as a feature
    known = replace(usual(), numeric=np.append(usual().numeric, np.float32(5912)))
    explainer = Explainer(TWO, further, known, Clock("microseconds", "date"))
    asked = rows()
    asked = Rows(np.append(asked.numeric, np.float32([[5411]]), axis=1), asked.codes)
    (found,) = explainer.reasons(asked, lambda given: -given.numeric[:, -1].astype(float))
    assert [reason["text"] for reason in found] == ["weekend is 5411, usually 5912"]


def test_the_last_payments_are_one_reason_that_names_the_latest():
    """The card's previous payments were 80, 7 and 6; with its usual ones, of 5, the model would say nothing."""
    definition = replace(TWO, last=4)
    columns = Columns(tuple(Column(name, "numeric") for name in names(definition)))
    numeric = np.zeros((2, len(columns.numeric)), np.float32)
    numeric[:, P:] = np.nan
    numeric[0, P:-3] = [80, 0.25, np.nan, 7, 30, 1, 6, 200, 0]
    few = usual()
    middle = np.concatenate([few.numeric, np.tile([5, 24, np.nan], 4)]).astype(np.float32)
    none = np.zeros((2, 0), np.int64)
    explainer = Explainer(
        definition, columns, replace(few, numeric=middle, codes=none[0]), Clock("microseconds", "date")
    )
    found = explainer.reasons(Rows(numeric, none), lambda given: 2.0 * (given.numeric[:, P] != 5))
    assert [[reason["text"] for reason in reasons] for reasons in found] == [
        ["the last payments of this card: 80.00 15 minutes ago; 7.00 30 hours ago, a known fraud; 6.00 8 days ago"],
        ["no payment of this card in 28 days"],
    ]
    assert found[0][0]["log_odds"] == 2


def test_nothing_is_a_reason_that_spoke_for_the_transaction():
    explainer = explainer_of(usual())
    assert explainer.reasons(rows(**{"amount": 5.0}), linear(**{"amount": -1.0})) == [[]]


def test_the_nearest_fraud_comes_first():
    (found,) = explainer_of(usual()).nearest(rows(FIRST_LEVEL + 1, **{"amount": 2.5}))
    assert [near["id"] for near in found] == ["b", "a"]
    assert [near["distance"] for near in found] == pytest.approx([np.sqrt(0.25 + 2), np.sqrt(2.25 + 2)])
    assert found[0]["time"] == "2018-04-01T01:00:00"
    assert found[0]["amount"] == 100.0


def test_usual_is_the_middle_of_good_rows_and_the_latest_frauds_stay(tmp_path):
    count = MOST_FRAUDS + 100
    made: Transactions = payments(list(range(count + 3)), [0] * (count + 3), {"card": [0] * (count + 3)})
    numeric = np.full((count + 3, 2), 9.0, np.float32)
    numeric[:3, 0], numeric[:, 1] = [1, 2, 30], np.nan
    codes = np.full((count + 3, 1), UNSEEN)
    codes[:2] = FIRST_LEVEL
    fraud = np.arange(count + 3) >= 3
    found = usual_of(Rows(numeric, codes), made, fraud)
    assert found.numeric[0] == 2
    assert np.isnan(found.numeric[1])
    assert found.codes.tolist() == [FIRST_LEVEL]
    assert found.fraud_id.tolist() == made.id[-MOST_FRAUDS:].tolist()
    found.save(tmp_path / "usual.npz")
    again = Usual.load(tmp_path / "usual.npz")
    for name, array in vars(found).items():
        np.testing.assert_array_equal(getattr(again, name), array)
