"""A state that grows by a row answers as the whole history would, and never counts a transaction twice."""

import sqlite3
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from fraud_settings import fraud
from hypothesis import given, settings
from hypothesis import strategies as st
from small_payments import KINDS, SMALL, any_payments, many_payments, payments

from finance.fraud import state as state_module
from finance.fraud.features import Definition, names
from finance.fraud.history import histories
from finance.fraud.sources import HANDBOOK, collect
from finance.fraud.sqlite_store import MEMORY, SqliteStore
from finance.fraud.state import GRACE, State
from finance.fraud.transactions import DAY, FRAUD, GOOD, HOUR, NO_OUTCOME, UNIT, Transactions
from lepton_solutions.errors import UserError

CARD = Definition(("card",), (DAY,), delay=0)
COUNT = names(CARD).index("card: count, 1 d")


def one_card(times: list[int], **columns: list) -> Transactions:
    return payments(times, [UNIT] * len(times), {"card": [0] * len(times)}, **columns)


def in_portions(rows: Transactions, cuts: list[int]) -> list[Transactions]:
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(rows)}), len(rows)]
    return [rows.take(slice(start, stop)) for start, stop in pairwise(edges)]


def everything_kept(state: State, rows: Transactions) -> list:
    return [
        sorted(state.history(kind, name)) for kind in state.definition.entities for name in rows.levels[kind].tolist()
    ]


@settings(deadline=None, max_examples=150)
@given(any_payments(), st.lists(st.integers(1, 39)))
def test_in_whatever_portions_rows_come_the_answers_are_those_of_the_whole_history(rows, cuts):
    with State(SMALL) as state:
        found = np.concatenate([state.update(portion) for portion in in_portions(rows, cuts)])
    np.testing.assert_array_equal(found, histories(rows, SMALL))


@settings(deadline=None, max_examples=40)
@given(any_payments(), st.integers(0, 40))
def test_rows_that_were_added_without_an_answer_are_counted_like_others(rows, cut):
    with State(SMALL) as state:
        state.add(rows.take(slice(cut)))
        np.testing.assert_array_equal(state.update(rows.take(slice(cut, None))), histories(rows, SMALL)[cut:])


@pytest.mark.parametrize("held", [1, 1000])  # histories from the store each time, or from memory
def test_what_is_forgotten_was_not_counted_any_more(monkeypatch, held):
    monkeypatch.setattr(state_module, "GRACE", 0)
    rows = many_payments(1500)
    with State(SMALL, held=held) as state:
        found = np.concatenate([state.update(rows.take(slice(i, i + 1))) for i in range(len(rows))])
        kept = sum(len(events) for events in everything_kept(state, rows)) / len(KINDS)
        size = state.bytes_per_entity("card")
    np.testing.assert_array_equal(found, histories(rows, SMALL))
    assert kept < 60  # of 1500: those of the last 25 + 4 of 3000 microseconds, and what may be seen later
    assert size < 3000  # bytes; 375 transactions of a card would take 15,000


def test_entities_that_do_not_fit_into_memory_are_counted_the_same():
    rows = many_payments(300)
    with State(SMALL, held=1) as state:
        found = np.concatenate([state.update(rows.take(slice(i, i + 1))) for i in range(len(rows))])
    np.testing.assert_array_equal(found, histories(rows, SMALL))


@settings(deadline=None, max_examples=60)
@given(any_payments(latest=5), st.randoms(use_true_random=False))
def test_the_order_of_rows_of_one_instant_ends_in_the_same_state(rows, random):
    shuffled = rows.take(np.lexsort(([random.random() for _ in range(len(rows))], rows.time)))
    probe = many_payments(10)
    probe = replace(probe, time=probe.time + 20, seen=probe.seen + 20)
    with State(SMALL) as one, State(SMALL) as other:
        one.update(rows)
        other.update(shuffled)
        np.testing.assert_array_equal(one.features(probe), other.features(probe))
        assert everything_kept(one, rows) == everything_kept(other, rows)


@settings(deadline=None, max_examples=80)
@given(any_payments(), st.randoms(use_true_random=False))
def test_late_rows_are_merged_where_they_belong_and_counted(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    times = rows.time[order]
    with State(SMALL) as state:
        for i in order:
            state.update(rows.take(slice(i, i + 1)))
        assert state.late == int((times < np.maximum.accumulate(times)).sum())
        np.testing.assert_array_equal(state.features(rows), histories(rows, SMALL))


def test_a_late_row_is_answered_as_of_its_own_time():
    with State(CARD) as state:
        state.update(one_card([10, 30]))
        assert state.update(one_card([20], ids=["late"]))[0, COUNT] == 1


def test_a_late_row_that_is_rejected_leaves_nothing():
    with State(CARD, when_late="reject") as state:
        state.update(one_card([10, 30]))
        with pytest.raises(UserError, match=r"`late`: found time 1970-01-01T00:00:00.000020 UTC, expected none before"):
            state.update(one_card([20, 40], ids=["late", "next"]))
        assert state.update(one_card([50], ids=["after"]))[0, COUNT] == 2


def test_a_late_row_that_is_only_counted_is_answered_and_stays_out_of_the_histories():
    with State(CARD, when_late="count") as state:
        state.update(one_card([10, 30]))
        late = one_card([20], ids=["late"])
        assert state.update(late)[0, COUNT] == state.update(late)[0, COUNT] == 1
        assert state.late == 1
        assert not state.learn("late", FRAUD)
        assert state.update(one_card([50], ids=["after"]))[0, COUNT] == 2


def test_a_row_too_late_for_its_windows_is_refused_not_answered_wrongly():
    with State(CARD) as state:
        state.update(one_card([GRACE + 10]))
        with pytest.raises(UserError, match="7 days before"):
            state.update(one_card([9], ids=["late"]))


def test_a_date_in_the_future_is_refused_and_does_not_make_others_late():
    future = np.datetime64("2199-01-01", "us").astype(np.int64).item()
    with State(CARD) as state:
        with pytest.raises(UserError, match="found time 2199-01-01"):
            state.update(one_card([10, future]))
        state.update(one_card([20], ids=["next"]))
        assert state.late == 0
        assert state.newest == 20


def test_a_repeated_id_is_answered_the_same_and_counted_once():
    rows = one_card([10, 20, 30], ids=["a", "b", "c"])
    with State(CARD) as state:
        first = state.update(rows)
        state.update(one_card([15], ids=["late"]))  # would change the answer of `b`, were it counted anew
        np.testing.assert_array_equal(state.update(rows), first)
        assert state.late == 1
        assert state.update(one_card([40], ids=["d"]))[0, COUNT] == 4


def test_an_id_that_comes_twice_in_one_call_is_counted_once():
    with State(CARD) as state:
        found = state.update(one_card([10, 20, 30, 30], ids=["a", "b", "b", "c"]))
        np.testing.assert_array_equal(found[:, COUNT], [0, 1, 1, 2])


def test_an_id_that_was_added_is_answered_when_it_is_asked_for():
    with State(CARD) as state:
        state.add(one_card([10, 20, 30], ids=["a", "b", "c"]))
        np.testing.assert_array_equal(state.update(one_card([20, 40], ids=["b", "d"]))[:, COUNT], [1, 3])


@settings(deadline=None, max_examples=80)
@given(any_payments(), st.randoms(use_true_random=False))
def test_outcomes_told_later_count_like_those_that_came_with_the_row(rows, random):
    untold = replace(rows, label=np.full(len(rows), NO_OUTCOME, np.int8))
    told = np.flatnonzero(rows.label != NO_OUTCOME).tolist()
    random.shuffle(told)
    with State(SMALL) as state:
        state.add(untold)
        for i in told:
            state.learn(str(rows.id[i]), random.choice([GOOD, FRAUD]))  # an error, put right below
            assert state.learn(str(rows.id[i]), int(rows.label[i])) == (not rows.declined[i])
        np.testing.assert_array_equal(state.features(rows), histories(rows, SMALL))


def test_an_outcome_that_is_changed_is_that_of_its_row_alone_among_those_of_its_instant():
    since = names(CARD).index("card: hours since known fraud")
    with State(CARD) as state:
        state.add(one_card([0, 0, HOUR], label=[GOOD, FRAUD, FRAUD], ids=["a", "b", "c"]))
        state.learn("b", GOOD)
        assert state.features(one_card([3 * HOUR], ids=["d"]))[0, since] == 2


def test_an_outcome_told_later_stands_beside_the_amount_of_its_row():
    two = replace(CARD, last=2)
    place = names(two).index("card: amount, 1 before")
    with State(two) as state:
        untold = [NO_OUTCOME, NO_OUTCOME]
        state.add(payments([0, 0], [3 * UNIT, 2 * UNIT], {"card": [0, 0]}, label=untold, ids=["dear", "cheap"]))
        state.learn("cheap", FRAUD)
        found = state.features(one_card([HOUR], ids=["next"]))[0, place:]
    np.testing.assert_array_equal(found, [3, 1, np.nan, 2, 1, 1])


def test_an_outcome_told_of_a_row_that_is_forgotten_is_not_that_of_another(monkeypatch):
    monkeypatch.setattr(state_module, "GRACE", 0)
    short = Definition(("card",), (50,), delay=0)
    old = payments([0] * 4, [UNIT] * 4, {"card": [1, 1, 1, 0]}, ids=["1", "2", "3", "a"])
    with State(short) as state:
        state.add(old)
        state.add(payments([60], [UNIT], {"card": [0]}, ids=["b"]))
        assert state.learn("a", FRAUD)  # the store forgets two rows a call at most
        frauds = state.features(payments([90], [UNIT], {"card": [0]}, ids=["d"]))
    assert frauds[0, names(short).index("card: known frauds, 50 µs")] == 0


def test_an_outcome_of_an_unknown_row_has_no_use_and_one_that_is_none_is_refused():
    with State(CARD) as state:
        assert not state.learn("never seen", FRAUD)
        with pytest.raises(UserError, match=r"found 7, expected 0 \(good\) or 1 \(fraud\)"):
            state.learn("never seen", 7)


def test_asking_for_features_keeps_nothing():
    with State(CARD) as state:
        rows = one_card([10, 20])
        np.testing.assert_array_equal(state.features(rows)[:, COUNT], [0, 0])
        np.testing.assert_array_equal(state.update(rows)[:, COUNT], [0, 1])


def test_a_call_that_cannot_be_kept_is_not_counted_in_memory_either(monkeypatch):
    store = SqliteStore(MEMORY, CARD)
    with State(CARD, store) as state:
        state.update(one_card([10], ids=["a"]))
        with monkeypatch.context() as patch:
            patch.setattr(store, "_insert", "INSERT INTO a_table_that_is_not_there VALUES (?, ?, ?, ?, ?, ?)")
            with pytest.raises(sqlite3.Error):
                state.update(one_card([20], ids=["b"]))
        np.testing.assert_array_equal(state.update(one_card([20, 30], ids=["b", "c"]))[:, COUNT], [1, 2])


def test_memory_grows_by_three_numbers_a_transaction_and_two_a_pair():
    rows = many_payments(4000, every=1)
    with State(SMALL) as state:
        before = state.features(rows.take(slice(4)))  # four of each kind at most are in memory, without a transaction
        empty = state.bytes_per_entity("card")
        state.add(rows)
        grown = (state.bytes_per_entity("card") - empty) * 4 / len(rows)
    assert len(before) == 4
    assert 40 <= grown < 40 * 1.2  # arrays leave an eighth free at their end


def test_what_a_card_pays_in_its_life_may_exceed_what_a_number_holds(monkeypatch):
    monkeypatch.setattr(state_module, "GRACE", 0)
    short = Definition(("card",), (50,), delay=0)
    rows = payments([0, 40, 80, 120, 160, 200], [4 * 10**18] * 6, {"card": [0] * 6})  # int64 ends at 9.2e18
    with State(short) as state:
        np.testing.assert_array_equal(state.update(rows), histories(rows, short))


def test_without_entities_a_transaction_is_still_described():
    rows, alone = payments([10, 20], [UNIT, 2 * UNIT], {}), Definition((), (DAY,), delay=0)
    with State(alone) as state:
        np.testing.assert_array_equal(state.update(rows), histories(rows, alone))


@pytest.mark.slow
@pytest.mark.skipif(HANDBOOK.find() is None, reason="the Handbook's transactions are not on this machine")
def test_online_equals_offline_on_every_row_of_the_handbook():
    rows = collect(fraud("data=handbook").data).transactions
    windows = (DAY, 7 * DAY, 21 * DAY, 90 * DAY)
    definition = Definition(("card", "terminal"), windows, 7 * DAY, pairs=(("card", "terminal"),), last=10)
    expected = histories(rows, definition)
    with State(definition) as state:
        for start in range(0, len(rows), 5000):
            part = slice(start, start + 5000)
            np.testing.assert_array_equal(state.update(rows.take(part)), expected[part])
