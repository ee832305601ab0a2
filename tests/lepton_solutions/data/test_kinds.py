"""Which columns are inputs, of which kind, and with which levels."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_solutions.data.columns import Column, Columns
from lepton_solutions.data.kinds import MAX_LEVELS, Kinds, fit_levels, infer_kinds, plain_digits
from lepton_solutions.errors import UserError


def kind_of(values, **overrides):
    """The kind of one column, or why it is left out; a second column keeps the table from being empty."""
    table = pa.table({"x": values, "other": pa.array([f"{i % 2}" for i in range(len(values))])})
    kinds = infer_kinds(table, overrides=overrides)
    return kinds.ignored.get("x") or {column.name: column.kind for column in kinds.columns.columns}["x"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2.5", None], "numeric"),
        ([1, 2, 1], "numeric"),
        ([1.5, None, 2.5], "numeric"),
        (["a", "b", "1"], "category"),
        ([True, False, True], "category"),
        (pa.array([1, 2, 1]).dictionary_encode(), "category"),
        (["yes", None, "yes"], "category"),  # one value and missing can tell something
        ([None, None], "wholly missing"),
        (["a", "a"], "constant: every row holds `a`"),
        ([7, 7], "constant: every row holds `7`"),
        (pa.array([datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 2)]), "a date"),
        (["2024-01-01", None, "2024-01-02 10:30"], "a date"),
        (["1.2.2024", "31.12.2024"], "a date"),
        (pa.array([[1], [2]]), "values of type list<item: int64>"),
    ],
    ids=str,
)
def test_the_kind_follows_the_values(values, kind):
    assert kind_of(values) == kind


def test_a_shuffled_run_of_whole_numbers_is_a_row_number():
    numbering = np.random.default_rng(0).permutation(50) + 7
    reason = "a row number; keep it with data.kinds.x=numeric"
    assert kind_of(numbering) == kind_of([str(number) for number in numbering]) == reason
    assert kind_of(numbering, x="numeric") == "numeric"


@pytest.mark.parametrize("values", [[*range(49)], [*range(49), 48], [*range(49), 50], [*range(49), None]])
def test_a_gap_a_repeat_or_a_short_run_is_no_row_number(values):
    assert kind_of(values) == "numeric"


def test_text_that_says_who_rather_than_what_is_left_out():
    reason = "an identifier or free text; keep it with data.kinds.x=category"
    assert kind_of([f"name {i}" for i in range(101)]) == reason
    assert kind_of([f"name {i}" for i in range(100)]) == "category"
    assert kind_of([f"name {i}" for i in range(101)] * 2) == "category"  # each seen twice: exactly half are distinct


def test_a_little_text_among_numbers_is_taken_for_a_slip():
    table = pa.table({"x": [*"123456789", "abc"]})
    with pytest.raises(UserError) as refusal:
        infer_kinds(table, where="loans.csv")
    assert refusal.value.message == "loans.csv, row 10, column `x`: found `abc`, expected a number"
    assert refusal.value.hint is not None and refusal.value.hint.startswith("no other row is like it; in training, ")


def test_much_text_among_numbers_makes_categories():
    assert kind_of([*"123456788", "abc", "def"]) == "category"


def test_a_slip_is_a_category_where_the_user_says_so():
    assert kind_of([*"123456789", "abc"], x="category") == "category"


def test_a_wholly_missing_column_stays_out_whatever_the_user_says():
    assert kind_of([None, None], x="numeric") == "wholly missing"


def test_the_user_can_leave_a_column_out():
    assert kind_of([1, 2], x="ignore") == "ignored by the config"


def test_skipped_columns_are_neither_inputs_nor_ignored():
    kinds = infer_kinds(pa.table({"x": [1, 2], "target": [0, 1]}), skip=["target"])
    assert kinds == Kinds(Columns((Column("x", "numeric"),)))


def test_an_override_of_an_unknown_column_offers_the_nearest():
    with pytest.raises(UserError, match=r"^data.kinds: loans.csv has no column `agee`; did you mean `age`\?$"):
        infer_kinds(pa.table({"age": [1, 2]}), overrides={"agee": "numeric"}, where="loans.csv")


def test_an_override_of_the_target_is_refused():
    with pytest.raises(UserError, match=r"data\.kinds\.target: the column is no input"):
        infer_kinds(pa.table({"x": [1, 2], "target": [0, 1]}), overrides={"target": "numeric"}, skip=["target"])


def test_a_table_without_any_input_is_refused_with_the_reasons():
    with pytest.raises(UserError) as refusal:
        infer_kinds(pa.table({"x": [7, 7]}), where="loans.csv")
    assert refusal.value.message == "loans.csv: found no column to learn from, expected at least one"
    assert refusal.value.hint == "`x`: constant: every row holds `7`"


def test_levels_come_from_the_training_rows_alone():
    table = pa.table({"x": ["b", "a", "b", "only in test"]})
    kinds = fit_levels(infer_kinds(table), table.slice(0, 3))
    assert kinds.columns.columns == (Column("x", "category", ("a", "b")),)
    assert kinds.columns.encode(table).codes.ravel().tolist() == [3, 2, 3, 0]


def test_rare_levels_beyond_the_limit_count_as_unseen():
    common = [f"c{i:03}" for i in range(MAX_LEVELS)]
    table = pa.table({"x": common * 3 + ["rare 1", "rare 2"]})
    kinds = fit_levels(infer_kinds(table), table)
    assert kinds.columns.columns[0].levels == tuple(common)
    (note,) = kinds.notes
    assert note.startswith("column `x` has 257 levels; the 255 most frequent are kept")
    assert note.endswith("the others (2 of 767 training rows) count as unseen")


def test_a_column_without_values_in_the_training_rows_is_left_out():
    table = pa.table({"x": [None, None, "a", "b"], "y": [1, 2, 3, 5]})
    kinds = fit_levels(infer_kinds(table), table.slice(0, 2))
    assert [column.name for column in kinds.columns.columns] == ["y"]
    assert kinds.ignored == {"x": "wholly missing in the training rows"}


def digits(*batches, delimiter=","):
    """The column `x` of these batches after numbers were rewritten; further columns stand beside it."""
    tables = [pa.RecordBatch.from_pydict(batch) for batch in batches]
    return [value for batch in plain_digits(tables, delimiter) for value in batch.column("x").to_pylist()]


def test_thousands_and_decimals_are_told_apart_by_what_fits_the_whole_column():
    assert digits({"x": ["1,234.50", "-2", None, "1,234,567"]}) == ["1234.50", "-2", None, "1234567"]
    assert digits({"x": ["1.234,50", "3,5", "-1.000"]}) == ["1234.50", "3.5", "-1000"]
    assert digits({"x": ["0.123", "1.234"]}) == ["0.123", "1.234"]


def test_a_number_that_could_be_read_twice_is_told_by_the_other_columns():
    assert digits({"x": ["1,234"], "y": ["1.5"]}) == ["1234"]
    assert digits({"x": ["1,234"], "y": ["1,5"]}) == ["1.234"]
    assert digits({"x": ["1.234"], "y": ["1,5"]}) == ["1234"]


def test_without_any_other_evidence_semicolons_speak_for_the_decimal_comma():
    assert digits({"x": ["1,234"]}, delimiter=";") == ["1.234"]
    assert digits({"x": ["1,234"]}) == ["1234"]
    assert digits({"x": ["1.234"]}, delimiter=";") == ["1.234"]


@pytest.mark.parametrize("values", [["1,234.5", "1.234,5"], ["1,23", "1.23"], ["a,b", "1,5"], ["1.2.2024", "3,5"]])
def test_a_column_that_mixes_notations_stays_as_it_is(values):
    assert digits({"x": values}) == values


def test_a_later_value_in_another_notation_stays_as_it_is():
    assert digits({"x": ["1,234.50"]}, {"x": ["2,345", "1,5"]}) == ["1234.50", "2345", "1,5"]


@given(st.lists(st.decimals(min_value=-(10**9), max_value=10**9, places=2), min_size=1))
def test_either_notation_gives_back_the_number(numbers):
    point = [f"{number:,.2f}" for number in numbers]
    comma = [text.translate(str.maketrans(",.", ".,")) for text in point]
    assert digits({"x": point}) == digits({"x": comma}) == [f"{number:.2f}" for number in numbers]
