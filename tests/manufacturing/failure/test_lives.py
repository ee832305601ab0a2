"""Failures, planned replacements and repairs are told apart."""

import numpy as np
import pytest

from lepton_solutions.errors import UserError
from manufacturing.failure.lives import Lives, by_events

MEANINGS = {"breakdown": "failure", "seal": "failure", "service": "replacement", "mended": "repair"}


def lives(*events: str | None, unit: list[int] | None = None) -> Lives:
    n = len(events)
    units = np.zeros(n, np.int64) if unit is None else np.array(unit)
    event = np.array(events, object)
    return by_events(units, np.arange(n, dtype=float), event, MEANINGS, row=np.arange(1, n + 1), place="e.csv, `what`")


def test_a_replacement_is_never_a_failure():
    found = lives(None, "service", None, None, "breakdown")
    assert np.flatnonzero(found.begins).tolist() == [0, 2]
    np.testing.assert_array_equal(found.failed_at, [np.nan, 4])


def test_a_repair_begins_another_life_and_the_standstill_before_it_is_left_out():
    found = lives(None, "breakdown", None, None, "mended", None)
    assert found.kept.tolist() == [True, True, False, False, True, True]
    assert np.flatnonzero(found.begins).tolist() == [0, 4]
    np.testing.assert_array_equal(found.failed_at, [1, np.nan])


def test_a_machine_that_runs_on_after_a_failure_began_another_life():
    found = lives(None, "breakdown", None, "breakdown")
    assert found.kept.all()
    np.testing.assert_array_equal(found.failed_at, [1, 3])


def test_a_planned_repair_ends_a_life_that_did_not_fail():
    found = lives(None, None, "mended", None)
    assert np.flatnonzero(found.begins).tolist() == [0, 2]
    assert np.isnan(found.failed_at).all()


def test_what_happens_to_one_machine_says_nothing_of_the_next():
    found = lives(None, "breakdown", None, "mended", unit=[0, 0, 1, 1])
    assert found.kept.all()
    assert np.flatnonzero(found.begins).tolist() == [0, 2, 3]
    np.testing.assert_array_equal(found.failed_at, [1, np.nan, np.nan])


def test_several_words_for_a_failure_are_its_modes():
    found = lives("breakdown", "seal", None)
    assert found.modes == ("breakdown", "seal")
    assert found.mode is not None and found.mode.tolist() == [0, 1, -1]


def test_a_word_of_unknown_meaning_is_refused_by_row():
    with pytest.raises(UserError, match=r"e.csv, row 2, `what`: found `servise`.*did you mean `service`"):
        lives(None, "servise")
