"""Groups of a column for tables by group."""

import numpy as np
import pyarrow as pa
import pytest

from lepton_solutions.data.bands import MOST_VALUES, bands


def column(values: list[object]) -> pa.ChunkedArray:
    return pa.chunked_array([values])


def counted(values: list[object]) -> list[tuple[str, int]]:
    return [(label, int(mask.sum())) for label, mask in bands(column(values), name="x")]


def test_categories_are_their_levels_in_order_and_missing_ones_belong_to_none():
    assert counted(["b", "a", None, "b"]) == [("a", 1), ("b", 2)]


def test_a_number_with_few_values_is_shown_value_by_value_in_the_order_of_numbers():
    assert counted(["10", "2", "2", "1"]) == [("1", 1), ("2", 2), ("10", 1)]


def test_a_number_with_many_values_is_shown_in_four_bands_of_equal_size():
    found = counted([str(age) for age in range(100)])
    assert [rows for _, rows in found] == [25, 25, 25, 25]
    assert [label for label, _ in found] == [
        "below 24.75", "24.75 to below 49.5", "49.5 to below 74.25", "74.25 or more",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [str, float])
def test_every_known_row_is_in_one_band(kind: type):
    generator = np.random.default_rng(0)
    values = [kind(value) if generator.random() > 0.1 else None for value in generator.normal(size=200)]
    inside = sum(mask.astype(int) for _, mask in bands(column(values), name="x"))
    assert inside.tolist() == [int(value is not None) for value in values]


def test_many_levels_of_a_category_stay_levels():
    names = [f"town {i:02}" for i in range(MOST_VALUES + 5)]
    assert [label for label, _ in counted(names)] == names


def test_a_wholly_missing_column_has_no_groups():
    assert bands(pa.chunked_array([[None, None]], type=pa.string()), name="x") == []
