"""Features of a whole history: counted from the past alone, and as the slowest possible program counts them."""

import numpy as np
import pytest
from hypothesis import given, settings
from small_payments import SMALL, any_payments, by_hand, payments

from finance.fraud import history
from finance.fraud.features import Definition, names
from finance.fraud.history import histories
from finance.fraud.transactions import DAY, UNIT


@settings(deadline=None, max_examples=150)
@given(any_payments())
def test_features_are_those_counted_by_hand(rows):
    # The hour of day is put together by hand from hours, minutes and seconds, hence not exact.
    np.testing.assert_allclose(histories(rows, SMALL), by_hand(rows, SMALL), rtol=1e-12, equal_nan=True)


@pytest.mark.parametrize(("block", "chunk"), [(1, 7), (4, 2), (65536, 1)])
@settings(deadline=None, max_examples=30)
@given(rows=any_payments())
def test_the_portions_in_which_rows_are_worked_on_change_nothing(block, chunk, rows):
    whole = histories(rows, SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "BLOCK", block)
        patch.setattr(history, "CHUNK", chunk)
        np.testing.assert_array_equal(histories(rows, SMALL), whole)


@settings(deadline=None, max_examples=60)
@given(any_payments())
def test_no_feature_changes_when_the_future_is_cut_off(rows):
    half = len(rows) // 2
    np.testing.assert_array_equal(histories(rows.take(slice(half)), SMALL), histories(rows, SMALL)[:half])


@settings(deadline=None, max_examples=60)
@given(any_payments(latest=8))
def test_the_order_of_rows_of_one_instant_changes_nothing(rows):
    drawn = np.random.default_rng(len(rows)).random(len(rows))
    order = np.lexsort((drawn, rows.time))
    np.testing.assert_array_equal(histories(rows.take(order), SMALL), histories(rows, SMALL)[order])


def test_rows_of_one_instant_do_not_see_one_another_and_the_next_sees_both():
    rows = payments([5, 5, 6], [10 * UNIT, 20 * UNIT, 40 * UNIT], {"card": [0, 0, 0]})
    definition = Definition(("card",), (DAY,), delay=0)
    column = {name: histories(rows, definition)[:, i] for i, name in enumerate(names(definition))}
    np.testing.assert_array_equal(column["card: count, 1 d"], [0, 0, 2])
    np.testing.assert_array_equal(column["card: mean, 1 d"], [np.nan, np.nan, 15])


def test_centuries_between_rows_are_counted_right():
    far = 400 * 365 * DAY
    rows = payments([0, 1, far, far + 1], [UNIT] * 4, {kind: [0, 1, 0, 1] for kind in SMALL.entities})
    np.testing.assert_allclose(histories(rows, SMALL), by_hand(rows, SMALL), rtol=1e-12, equal_nan=True)


def test_no_rows_have_no_features():
    rows = payments([], [], {kind: [] for kind in SMALL.entities})
    assert histories(rows, SMALL).shape == (0, len(names(SMALL)))


def test_a_sum_is_exact_however_many_amounts_were_added_before():
    rows = payments(list(range(5000)), [123_456_789_012_345 + i % 7 for i in range(5000)], {"card": [0] * 5000})
    definition = Definition(("card",), (1,), delay=0)
    found = histories(rows, definition)[1:, names(definition).index("card: sum, 1 µs")]
    np.testing.assert_array_equal(found, rows.amount[:-1] / UNIT)
