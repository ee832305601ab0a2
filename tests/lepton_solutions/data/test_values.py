"""Plain values are read as a column of a table is, or left to it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_solutions.data.columns import as_number, as_text
from lepton_solutions.data.times import Clock, read_moments
from lepton_solutions.data.values import Missing, NotPlain, plain_moments, plain_numbers, plain_texts
from lepton_solutions.deploy.predictor import table_of

WORDS = ("-1", "gone")
MISSING = Missing.of(WORDS)
DATES = Clock("microseconds", "date")

numbers = st.one_of(st.floats(-1e9, 1e9), st.integers(-(2**53), 2**53), st.just(-1), st.just(-1.0), st.none())
texts = st.one_of(
    st.text(max_size=5), st.integers().map(str), st.sampled_from(["1.0", "-1", "gone", "NA", "True"]), st.none()
)


def column(values: list[object]) -> pa.ChunkedArray:
    return table_of([{"x": value} for value in values], WORDS).column("x")


@given(st.lists(numbers, min_size=1, max_size=5))
def test_numbers_are_those_of_a_column(values):
    np.testing.assert_array_equal(plain_numbers(values, MISSING), as_number(column(values), name="x"))


@given(st.lists(texts, min_size=1, max_size=5))
def test_texts_are_those_of_a_column(values):
    try:
        found = plain_texts(values, MISSING)
    except NotPlain:
        return
    assert found == as_text(column(values)).to_pylist()


@given(st.lists(st.datetimes(), min_size=1, max_size=4), st.sampled_from([" ", "T"]), st.booleans())
def test_moments_are_those_of_a_column(dates, between, as_they_are):
    values = dates if as_they_are else [date.isoformat(between) for date in dates]
    expected = read_moments(column(values), name="x", clock=DATES)[1]
    assert plain_moments(values, DATES, MISSING) == expected.tolist()


@pytest.mark.parametrize(
    ("clock", "value"),
    [
        (Clock("microseconds", "date", "Z"), "1970-01-01 01:00:02Z"),
        (Clock("microseconds", "date", "+01:00"), "1970-01-01T02:00:02+01:00"),
        (Clock("microseconds", "date", "Europe/Berlin"), "1970-01-01 02:00:02+01:00"),
        (Clock("microseconds", "date", "Europe/Berlin"), datetime(1970, 1, 1, 1, 0, 2, tzinfo=UTC)),
        (Clock("microseconds", "number"), 3602),
        (Clock("microseconds", "number"), "3602.0"),
    ],
)
def test_a_moment_is_told_on_the_clock_of_the_table(clock, value):
    assert plain_moments([value], clock, MISSING) == [3_602_000_000]
    assert read_moments(column([value]), name="x", clock=clock)[1].tolist() == [3_602_000_000]


@pytest.mark.parametrize("values", [["12", 1], [True, 1], [1.5, "x"], [" 5"], ["1e5"], [2**60], [1e300], [b"1"], [[1]]])
def test_numbers_that_leave_a_question_are_left_to_the_table(values):
    with pytest.raises(NotPlain):
        plain_numbers(values, MISSING)


@pytest.mark.parametrize("values", [["a", 1], [1.5], [" a"], ["a\u00a0"], ["a\n"], [2**63], [datetime(2026, 1, 1)]])
def test_texts_that_leave_a_question_are_left_to_the_table(values):
    with pytest.raises(NotPlain):
        plain_texts(values, MISSING)


@pytest.mark.parametrize(
    "value", [None, "", 5, "5", "2026-02-30 00:00", "2026-01-01", "2026-01-01 24:00", "2026-01-01T00:00Z"]
)
def test_times_that_leave_a_question_are_left_to_the_table(value):
    with pytest.raises(NotPlain):
        plain_moments([value], DATES, MISSING)
