"""A table of a user's own: what is read from it, and what is refused by file, row and column."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from histories_settings import failure, histories

from lepton_solutions.errors import UserError
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.histories import fleet_of, own_histories
from manufacturing.failure.layout import Layout
from manufacturing.failure.prepare import question_of

TABLE = {
    "ts": [1, 2, 3, 1, 2, 3],
    "machine": ["b", "b", "b", "a", "a", "a"],
    "pressure": [1.0, 2.0, None, 4.0, 5.0, 6.0],
    "type": ["L", "L", "L", "H", "H", None],
    "failed_at": [3.5, 3.5, 3.5, None, None, None],
}


def read(table: dict[str, list], **keys: object) -> Fleet:
    return fleet_of(pa.table(table), histories(**keys), where="rows.csv")[0]


def refused(table: dict[str, list], **keys: object) -> str:
    with pytest.raises(UserError) as error:
        read(table, **keys)
    return str(error.value)


def test_four_names_of_columns_make_a_fleet():
    fleet = read(TABLE, unit="machine", time="ts", failure="failed_at")
    assert fleet.unit.tolist() == ["a", "b"]
    assert fleet.sensors == ("pressure", "type=H", "type=L")
    np.testing.assert_array_equal(fleet.values[:, 0], [4, 5, 6, 1, 2, np.nan])
    np.testing.assert_array_equal(fleet.values[:, 1], [1, 1, np.nan, 0, 0, 0])
    np.testing.assert_array_equal(fleet.failed_at, [np.nan, 3.5])
    np.testing.assert_array_equal(fleet.seen_until, [3, 3.5])
    np.testing.assert_array_equal(fleet.outlived()[:3], [2, 1, 0])


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_every_format_gives_the_same_fleet(tmp_path, suffix):
    table, path = pa.table(TABLE), tmp_path / f"rows.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    elif suffix == "csv":
        table.to_pandas().to_csv(path, index=False)
    else:
        table.to_pandas().to_json(path, orient="records", lines=True)
    fleet, _ = own_histories(histories(path=str(path), unit="machine", time="ts", failure="failed_at"))
    expected = read(TABLE, unit="machine", time="ts", failure="failed_at")
    np.testing.assert_array_equal(fleet.values, expected.values)
    np.testing.assert_array_equal(fleet.failed_at, expected.failed_at)


def test_new_rows_are_read_by_the_layout_that_was_kept():
    _, layout = fleet_of(pa.table(TABLE), histories(unit="machine", time="ts", failure="failed_at"), where="rows.csv")
    again = Layout.from_json(layout.to_json())
    assert again == layout
    rows = pa.table({"machine": ["c", "c"], "ts": ["4", "5"], "pressure": ["7", None], "type": ["X", "L"]})
    np.testing.assert_array_equal(again.values(rows), [[7, 0, 0], [np.nan, 0, 1]])  # X was never seen
    assert again.times(rows).tolist() == [4.0, 5.0]
    assert again.units(rows).tolist() == ["c", "c"]


def test_rows_after_a_failure_are_another_life_of_the_same_machine():
    table = {"t": [1, 2, 3, 4, 5], "m": ["a"] * 5, "x": [1.0] * 5, "f": [2, 2, 5, 5, 5]}
    fleet = read(table, unit="m", time="t", failure="f")
    assert fleet.starts.tolist() == [0, 2, 5]
    assert fleet.failed_at.tolist() == [2, 5]
    assert fleet.unit.tolist() == ["a", "a"]


def test_a_date_written_in_one_row_of_the_machine_is_enough():
    table = {"t": [1, 2, 3], "m": ["a"] * 3, "x": [1.0] * 3, "f": [None, None, 3]}
    fleet = read(table, unit="m", time="t", failure="f")
    assert fleet.remaining().tolist() == [2, 1, 0]


def test_the_rows_of_a_cycle_are_averaged():
    table = {"c": [1, 1, 2], "m": ["a"] * 3, "x": [1.0, 3.0, 5.0], "f": [2, 2, 2]}
    fleet = read(table, unit="m", cycle="c", failure="f")
    assert fleet.values.ravel().tolist() == [2, 5]
    assert fleet.time.tolist() == [1, 2]
    assert fleet.clock == "cycles"


def test_a_grid_leaves_gaps_as_rows_that_know_nothing():
    table = {"t": [0.0, 0.5, 2.25], "m": ["a"] * 3, "x": [1.0, 3.0, 5.0], "f": [3.0] * 3}
    fleet = read(table, unit="m", time="t", failure="f", grid=1.0)
    np.testing.assert_array_equal(fleet.values.ravel(), [2, np.nan, 5])
    assert fleet.remaining().tolist() == [2.5, 2.0, 0.75]


def test_dates_are_hours_and_failures_lie_on_the_same_clock():
    table = {
        "ts": ["2026-01-01 00:00", "2026-01-01 06:00"],
        "m": ["a", "a"],
        "x": [1.0, 2.0],
        "f": ["2026-01-02", "2026-01-02"],
    }
    fleet = read(table, unit="m", time="ts", failure="f")
    assert fleet.clock == "hours"
    assert fleet.remaining().tolist() == [24, 18]


def test_products_of_one_row_are_machines_of_their_own():
    fleet = read({"torque": [1.0, 2.0, 3.0], "broken": [0, 1, 0]}, label="broken")
    assert (fleet.lives, fleet.question, fleet.labels) == (3, "failure", ("0", "1"))
    assert fleet.label is not None and fleet.label.tolist() == [0, 1, 0]


def test_the_label_that_is_not_healthy_is_the_failure():
    fleet = read({"x": [1.0, 2.0, 3.0], "state": ["fault", "ok", "fault"]}, label="state")
    assert fleet.labels == ("ok", "fault")


def test_several_labels_are_faults_to_tell_apart():
    assert read({"x": [1.0, 2.0, 3.0], "state": ["a", "b", "c"]}, label="state").question == "diagnosis"


def test_time_that_goes_back_is_refused_by_row_and_machine():
    message = refused(TABLE | {"ts": [1, 3, 2, 1, 2, 3]}, unit="machine", time="ts")
    assert message.startswith(
        "rows.csv, row 3, column `ts`, machine `b`: found 2 after 3 (row 2), expected time to go forward"
    )


def test_a_time_that_comes_twice_is_refused_by_row_and_machine():
    message = refused(TABLE | {"ts": [1, 2, 3, 1, 1, 3]}, unit="machine", time="ts")
    assert "row 5, column `ts`, machine `a`: found 1 twice (row 4 has it too)" in message


def test_a_failure_before_the_first_reading_is_refused():
    message = refused(TABLE | {"failed_at": [0.5] * 3 + [None] * 3}, unit="machine", time="ts", failure="failed_at")
    assert "machine `b`: found a failure at 0.5, expected one after its first reading at 1" in message


def test_a_misspelt_column_is_answered_with_the_nearest():
    message = refused(TABLE, unit="mashine", time="ts")
    assert message == "rows.csv: found no column `mashine`, which `data.unit` names; did you mean `machine`?"


def test_dates_and_numbers_in_one_table_are_refused():
    message = refused(TABLE | {"failed_at": ["2026-01-01"] * 6}, unit="machine", time="ts", failure="failed_at")
    assert "column `failed_at`: found dates that name no time zone, expected numbers" in message


def test_without_a_failure_the_question_of_health_is_offered():
    fleet = read(TABLE, unit="machine", time="ts", ignore=("failed_at",))
    with pytest.raises(UserError, match="has no failure") as error:
        question_of(fleet, "auto")
    assert "question=health needs none" in str(error.value)
    assert question_of(fleet, "health") == "health"


def test_a_grid_far_finer_than_the_readings_is_refused():
    table = {"t": [0.0, 1e6], "m": ["a", "a"], "x": [1.0, 2.0]}
    assert "data.grid=0.001" in refused(table, unit="m", time="t", grid=0.001)


def test_a_path_chooses_the_users_own_table():
    assert failure("data.path=rows.csv").data.source.target.endswith("sources.own")
