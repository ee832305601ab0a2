"""What a definition of features says, refuses, and how its columns are called."""

from dataclasses import replace

import numpy as np
import pytest
from small_payments import SMALL, payments

from finance.fraud.features import OF_LAST, SINCE_FRAUD, Definition, names
from finance.fraud.history import histories
from finance.fraud.transactions import DAY, HOUR, UNIT
from lepton_solutions.errors import UserError


def one_column(rows, definition: Definition, name: str) -> list[float]:
    return histories(rows, definition)[:, names(definition).index(name)].tolist()


def test_every_column_has_a_name_of_its_own():
    rows = payments([0], [UNIT], {kind: [0] for kind in SMALL.entities})
    assert len(set(names(SMALL))) == len(names(SMALL)) == histories(rows, SMALL).shape[1]


def test_a_definition_comes_back_from_json_with_the_same_fingerprint():
    saved = Definition.from_json(SMALL.to_json())
    assert saved == SMALL
    assert saved.fingerprint == SMALL.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        Definition(("terminal", "card", "device"), SMALL.windows, SMALL.delay, SMALL.pairs),
        Definition(SMALL.entities, (3, 10, 26), SMALL.delay, SMALL.pairs),
        Definition(SMALL.entities, SMALL.windows, 5, SMALL.pairs),
        Definition(SMALL.entities, SMALL.windows, SMALL.delay, SMALL.pairs[::-1]),
        replace(SMALL, last=SMALL.last + 1),
        replace(SMALL, last=0),
    ],
)
def test_whatever_differs_in_a_definition_changes_its_fingerprint(other):
    assert other.fingerprint != SMALL.fingerprint


def test_a_definition_of_a_later_version_is_refused():
    with pytest.raises(UserError, match="found version 99"):
        Definition.from_json({**SMALL.to_json(), "version": 99})


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"entities": ("card", "card")}, "each once"),
        ({"windows": ()}, "one or more"),
        ({"windows": (7, 1)}, "ascending"),
        ({"windows": (0, 1)}, "above 0"),
        ({"delay": -1}, "0 or more"),
        ({"pairs": (("card", "termnal"),)}, "did you mean `terminal`"),
        ({"pairs": (("card", "card"),)}, "two different"),
        ({"pairs": (("card", "terminal"), ("card", "terminal"))}, "each pair once"),
        ({"last": -1}, "found -1, expected 0, or more"),
        ({"entities": (), "last": 2}, "of an entity"),
    ],
)
def test_what_cannot_be_counted_is_refused(definition, said):
    sound = {"entities": ("card", "terminal"), "windows": (1, 7), "delay": 0, "pairs": ()}
    with pytest.raises(UserError, match=said):
        Definition(**{**sound, **definition})


def test_hours_nights_and_weekends_are_those_of_the_calendar():
    # 1970-01-01 was a Thursday; Friday 23:59:59, Saturday 6:30, Sunday 7:00, Monday 0:00
    times = [2 * DAY - 1_000_000, 2 * DAY + 6 * HOUR + HOUR // 2, 3 * DAY + 7 * HOUR, 4 * DAY]
    rows = payments(times, [UNIT] * 4, {"card": [0, 1, 2, 3]})
    definition = Definition(("card",), (DAY,), delay=0)
    assert one_column(rows, definition, "weekend") == [0, 1, 1, 0]
    assert one_column(rows, definition, "night") == [0, 1, 0, 1]
    np.testing.assert_allclose(one_column(rows, definition, "hour of day"), [23.99972, 6.5, 7, 0], atol=1e-5)


def test_a_fraud_is_known_only_after_the_delay_and_counts_as_a_rate_of_what_is_known():
    days = [0, 1, 6, 7, 8]  # the fraud of day 0 is known after day 5, the good row of day 1 after day 6
    rows = payments([day * DAY for day in days], [UNIT] * 5, {"card": [0] * 5}, label=[1, 0, 0, 0, 0])
    definition = Definition(("card",), (90 * DAY,), delay=5 * DAY)
    assert one_column(rows, definition, "card: known frauds, 90 d") == [0, 0, 1, 1, 1]
    rates = one_column(rows, definition, "card: known fraud rate, 90 d")
    np.testing.assert_array_equal(rates, [np.nan, np.nan, 1, 0.5, 0.5])


def test_how_long_ago_frauds_were_and_what_has_been_good_since_is_told_once_known():
    days = [0, 1, 2, 3, 9]  # known after day 5, 6, 7 and 8: a fraud, a good row, a fraud, a good row
    rows = payments([day * DAY for day in days], [UNIT] * 5, {"card": [0] * 5}, label=[1, 0, 1, 0, 0])
    definition = Definition(("card",), (9 * DAY,), delay=5 * DAY)
    for asked, known in ((5, None), (5.5, (5.5, 5.5, 0)), (6.5, (6.5, 6.5, 1)), (7.5, (5.5, 7.5, 0)), (9, (7, 9, 1))):
        rows.time[-1] = asked * DAY
        found = [one_column(rows, definition, f"card: {what}")[-1] for what in SINCE_FRAUD]
        latest, first, good = known or (np.nan, np.nan, np.nan)
        assert found == pytest.approx([24 * latest, 24 * first, good], nan_ok=True)


def test_a_fraud_before_the_longest_window_is_none():
    rows = payments([0, 10 * DAY], [UNIT] * 2, {"card": [0] * 2}, label=[1, 0])
    definition = Definition(("card",), (4 * DAY,), delay=5 * DAY)
    assert np.isnan([one_column(rows, definition, f"card: {what}")[1] for what in SINCE_FRAUD]).all()


def test_a_declined_row_is_counted_but_teaches_nothing():
    rows = payments([0, DAY], [UNIT, UNIT], {"card": [0, 0]}, label=[1, 0], declined=[True, False])
    definition = Definition(("card",), (7 * DAY,), delay=0)
    assert one_column(rows, definition, "card: count, 7 d") == [0, 1]
    assert one_column(rows, definition, "card: known frauds, 7 d") == [0, 0]


def test_a_row_counts_for_others_from_when_it_may_be_used():
    rows = payments([0, DAY, 3 * DAY], [UNIT] * 3, {"card": [0] * 3}, wait=[2 * DAY, 0, 0])
    definition = Definition(("card",), (7 * DAY,), delay=0)
    assert one_column(rows, definition, "card: count, 7 d") == [0, 0, 2]
    assert one_column(rows, definition, "card: hours since last") == pytest.approx([np.nan, np.nan, 24], nan_ok=True)


def test_cards_of_a_device_are_counted_once_each_and_a_new_one_is_told():
    rows = payments([0, 1, 2, 3], [UNIT] * 4, {"device": [0] * 4, "card": [0, 1, 0, 2]})
    definition = Definition(("device", "card"), (DAY,), delay=0, pairs=(("device", "card"),))
    assert one_column(rows, definition, "device: distinct card, 1 d") == [0, 1, 2, 2]
    assert one_column(rows, definition, "device with card: first in 1 d") == [1, 1, 0, 1]


def test_an_amount_is_compared_with_what_the_card_usually_pays():
    rows = payments([0, 1, 2], [10 * UNIT, 30 * UNIT, 100 * UNIT], {"card": [0] * 3})
    definition = Definition(("card",), (DAY,), delay=0)
    assert one_column(rows, definition, "card: amount over mean, 1 d")[1:] == [3, 5]


def test_the_last_payments_of_a_card_are_told_one_by_one_the_latest_first():
    days = [0, 2, 3, 9]  # known after day 5, 7 and 8
    amounts = [10 * UNIT, 20 * UNIT, -5 * UNIT, 7 * UNIT]
    rows = payments([day * DAY for day in days], amounts, {"card": [0] * 4}, label=[0, 1, -1, 0])
    definition = Definition(("card",), (30 * DAY,), delay=5 * DAY, last=4)
    told = dict(zip(names(definition), histories(rows, definition)[-1], strict=True))
    assert [told[f"card: amount, {i} before"] for i in (1, 2, 3)] == [-5, 20, 10]
    assert [told[f"card: hours ago, {i} before"] for i in (1, 2, 3)] == [6 * 24, 7 * 24, 9 * 24]
    np.testing.assert_array_equal([told[f"card: known fraud, {i} before"] for i in (1, 2, 3)], [np.nan, 1, 0])
    assert np.isnan([told[f"card: {what}, 4 before"] for what in OF_LAST]).all()
    rows.time[-1] = 6.5 * DAY  # the second is not known yet
    found = one_column(rows, definition, "card: known fraud, 2 before")
    assert np.isnan(found[-1])


def test_a_payment_before_the_longest_window_is_none_of_the_last():
    rows = payments([0, 5 * DAY], [UNIT] * 2, {"card": [0] * 2})
    definition = Definition(("card",), (4 * DAY,), delay=0, last=1)
    assert np.isnan(one_column(rows, definition, "card: amount, 1 before")).all()


def test_without_last_payments_a_definition_is_that_of_states_which_never_heard_of_them():
    definition = Definition(("card",), (DAY,), delay=0)
    assert "last" not in definition.to_json()
    assert Definition.from_json(definition.to_json()) == definition


def test_after_refunds_alone_there_is_no_usual_amount():
    rows = payments([0, 1], [-10 * UNIT, 30 * UNIT], {"card": [0] * 2})
    definition = Definition(("card",), (DAY,), delay=0)
    assert np.isnan(one_column(rows, definition, "card: amount over mean, 1 d")[1])
    assert one_column(rows, definition, "card: sum, 1 d")[1] == -10
