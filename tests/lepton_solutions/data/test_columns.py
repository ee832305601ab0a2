"""How rows become numbers and codes, the same from every kind of column."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_solutions.data.columns import Column, Columns, Rows, as_number, as_text, is_number_text
from lepton_solutions.errors import UserError

AGE_AND_JOB = Columns((Column("age", "numeric"), Column("job", "category", ("clerk", "cook"))))


def test_a_level_has_its_place_after_the_codes_for_unseen_and_missing():
    rows = AGE_AND_JOB.encode(pa.table({"job": ["cook", "pilot", None, "clerk"], "age": [1, 2, 3, 4]}))
    assert rows.codes.tolist() == [[3], [0], [1], [2]]


def test_a_missing_number_is_nan():
    rows = AGE_AND_JOB.encode(pa.table({"age": ["29", None, " -1.5e1 "], "job": ["cook"] * 3}))
    np.testing.assert_array_equal(rows.numeric, np.array([[29], [np.nan], [-15]], np.float32))


def test_numbers_and_categories_keep_their_own_order():
    columns = Columns((Column("b", "numeric"), Column("x", "category", ("u",)), Column("a", "numeric")))
    rows = columns.encode(pa.table({"a": [1], "b": [2], "x": ["u"], "more": [9]}))
    assert rows.numeric.tolist() == [[2, 1]] and rows.codes.tolist() == [[2]]


def test_columns_that_the_model_does_not_read_are_named():
    assert AGE_AND_JOB.extra(["id", "age", "job", "note"]) == ["id", "note"]


def test_text_among_numbers_is_refused_with_its_place_and_how_many_are_alike():
    table = pa.table({"age": ["29", "abc", None, "?x"], "job": ["cook"] * 4})
    with pytest.raises(UserError) as refusal:
        AGE_AND_JOB.encode(table, where="loans.csv", first_row=28)
    assert refusal.value.message == "loans.csv, row 29, column `age`: found `abc`, expected a number"
    assert refusal.value.hint == (
        "2 rows are like it; in training, data.missing=[abc] reads it as missing, "
        "data.kinds.age=category keeps the column as categories"
    )


@pytest.mark.parametrize("values", [["1", "inf"], [1.0, -np.inf], ["1", "1e300"], [1.0, 3.5e38]])
def test_what_float32_cannot_hold_is_refused_with_its_place(values):
    table = pa.table({"age": values, "job": ["cook", "cook"]})
    with pytest.raises(UserError, match=r"^loans.csv, row 2, column `age`: found \S+, expected a number between"):
        AGE_AND_JOB.encode(table, where="loans.csv")


def test_whole_numbers_of_64_bits_are_the_nearest_doubles():
    assert as_number(pa.array([2**60 + 1, -(2**63)]), name="age").tolist() == [2.0**60, -(2.0**63)]


def test_dates_are_no_numbers():
    with pytest.raises(UserError, match=r"column `day`: found values of type date32\[day\], expected numbers"):
        as_number(pa.array([datetime.date(2024, 1, 2)]), name="day")


def test_an_absent_column_is_refused_with_the_nearest_name():
    with pytest.raises(UserError) as refusal:
        AGE_AND_JOB.encode(pa.table({"Age ": [1], "job": ["cook"]}), where="new.csv")
    assert refusal.value.message == "new.csv: column `age` is absent; did you mean `Age `?"


def test_all_absent_columns_are_named_at_once():
    with pytest.raises(UserError) as refusal:
        AGE_AND_JOB.encode(pa.table({"jobs": ["cook"], "z": [1]}), where="new.csv")
    assert refusal.value.message == "new.csv: 2 columns are absent: `age`, `job` (did you mean `jobs`?)"


def test_two_columns_of_one_name_are_refused():
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array(["cook"])], names=["age", "age", "job"])
    with pytest.raises(UserError, match="found more than one column named `age`, expected each name once"):
        AGE_AND_JOB.encode(table)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array([1, None]), ["1", None]),
        (pa.array([1.0, 2.5, float("nan")]), ["1", "2.5", None]),
        (pa.array([0.1, 1e20], pa.float32()), ["0.1", "1e+20"]),
        (pa.array([True, None, False]), ["true", None, "false"]),
        (pa.array(["1.0", " True", "01", None]), ["1", "true", "01", None]),
        (pa.array(["b", None, "a"]).dictionary_encode(), ["b", None, "a"]),
        (pa.array([2, 1]).dictionary_encode(), ["2", "1"]),
        (pa.chunked_array([pa.array([x]).dictionary_encode() for x in "ab"]), ["a", "b"]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array(["a"], pa.string_view()), ["a"]),
        (pa.array([datetime.date(2024, 1, 2)]), ["2024-01-02"]),
        (pa.array([datetime.datetime(2024, 1, 2)]), ["2024-01-02"]),
        (pa.array([datetime.datetime(2024, 1, 2, 3, 4)]), ["2024-01-02 03:04:00"]),
        (pa.nulls(2), [None, None]),
        (pa.array([], pa.string()), []),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array | pa.ChunkedArray) else "",
)
def test_a_value_reads_the_same_whatever_its_type(column, text):
    assert as_text(column).to_pylist() == text


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False) | st.none()))
def test_a_number_written_as_text_is_the_same_number(numbers):
    as_written = pa.array([None if number is None else repr(number) for number in numbers], pa.string())
    np.testing.assert_array_equal(as_number(as_written, name="x"), as_number(pa.array(numbers, pa.float64()), name="x"))


@given(st.text(st.sampled_from("0123456789+-.eEinfa "), max_size=8))
def test_a_text_counts_as_a_number_where_python_reads_one(text):
    try:
        float(text)
    except ValueError:
        expected = False
    else:
        expected = True
    assert is_number_text(pa.array([text])).tolist() == [expected]


@given(st.lists(st.none() | st.integers(-5, 5)))
def test_the_level_of_a_whole_number_does_not_depend_on_its_type(numbers):
    columns = Columns((Column("x", "category", tuple(str(level) for level in range(-3, 3))),))
    routes = [
        pa.array(numbers, pa.int8()),
        pa.array(numbers, pa.float64()),
        pa.array(numbers, pa.int64()).dictionary_encode(),
        pa.array([None if number is None else f"{number}.0" for number in numbers], pa.string()),
    ]
    codes = [columns.encode(pa.table({"x": route})).codes.tolist() for route in routes]
    assert codes == [codes[0]] * len(routes)


def test_the_columns_survive_the_way_through_json():
    assert Columns.from_json(AGE_AND_JOB.to_json()) == AGE_AND_JOB


def test_rows_are_taken_by_position_and_by_mask():
    rows = Rows(np.arange(3, dtype=np.float32)[:, None], np.arange(3)[:, None])
    assert len(rows) == 3
    assert rows.take(np.array([2, 0])).codes.ravel().tolist() == [2, 0]
    assert rows.take(np.array([False, True, False])).numeric.ravel().tolist() == [1]
