"""A stream keeps a small state a unit, and answers as the whole history would."""

import gc
import sys

import numpy as np
import pytest
from machine_model import SENSORS, WINDOW, by_hand, predictor

from lepton_solutions.errors import UserError
from manufacturing.failure.grid import to_grid


def readings(rows: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).random((rows, len(SENSORS)), dtype=np.float32)
    values[1::5, 1] = np.nan
    return values


def row(hour: float, values: np.ndarray) -> dict[str, object]:
    return {"hour": hour, **dict(zip(SENSORS, values.tolist(), strict=True))}


@pytest.mark.parametrize("rows", [1, 2, WINDOW, 3 * WINDOW + 1])
def test_row_by_row_it_answers_as_the_network_does_on_the_whole_history(rows):
    stream, values = predictor().stream(), readings(rows)
    for hour in range(rows):
        answer = stream.update("a", row(hour, values[hour]))
    assert answer["remaining"] == pytest.approx(by_hand(values), abs=1e-4)  # of 100: float32 in ONNX and in torch


def test_many_units_together_are_each_what_it_is_alone_bit_for_bit():
    model, units = predictor(), 37  # odd, so that vectorised arithmetic has a rest
    together, alone = model.stream(), [model.stream() for _ in range(units)]
    histories = [readings(12, seed) for seed in range(units)]
    for hour in range(12):
        rows = [row(hour, values[hour]) for values in histories]
        answers = together.update_many([f"u{number}" for number in range(units)], rows)
        single = [stream.update("u", one) for stream, one in zip(alone, rows, strict=True)]
    for number, stream in enumerate(alone):
        assert (together.windows(np.array([number])) == stream.windows(np.array([0]))).all()
        # The network adds in another order for another number of rows: 1e-6 of the answer.
        assert answers[number]["remaining"] == pytest.approx(single[number]["remaining"], rel=1e-6)


def test_rows_of_one_unit_in_one_call_are_taken_in_order():
    model, values = predictor(), readings(9)
    one_by_one, at_once = model.stream(), model.stream()
    expected = [one_by_one.update("a", row(hour, values[hour]))["remaining"] for hour in range(9)]
    rows = [row(hour, values[hour]) for hour in range(9)]
    found = at_once.update_many(["a", "b", *["a"] * 8], [rows[0], rows[4], *rows[1:]])
    assert [answer["unit"] for answer in found] == ["a", "b", *["a"] * 8]
    assert [found[0]["remaining"], *(one["remaining"] for one in found[2:])] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("late", [3.0, 2.0])
def test_a_time_that_came_twice_or_late_is_refused_and_nothing_of_the_call_is_kept(late):
    stream, values = predictor().stream(), readings(3)
    stream.update("a", row(3.0, values[0]))
    before = stream.windows(np.array([0]))
    with pytest.raises(UserError, match=rf"row 3, unit `a`: found the time {late}, expected one after 3.0"):
        stream.update_many(["new", "b", "a"], [row(1.0, values[1]), row(1.0, values[1]), row(late, values[2])])
    assert stream.units == ("a",)
    assert (stream.windows(np.array([0])) == before).all()
    stream.update("a", row(4.0, values[2]))  # and the stream goes on


def test_what_training_never_saw_is_flagged_and_answered():
    stream = predictor().stream()
    (first, second) = stream.update_many(
        ["a", "b"], [{"hour": 1, "heat": 0.5, "vibration": 520.0, "load": 0.2}, row(1, np.full(3, 0.5))]
    )
    assert first["flags"] == [
        "`vibration`: 520, outside 0 to 1 seen in training; about 1000 times the usual: another unit of measure?"
    ]
    assert np.isfinite(first["remaining"])
    assert second["flags"] == []


def test_a_missing_column_is_named_with_the_nearest_name():
    with pytest.raises(UserError, match="`vibration` is absent; did you mean `vibraton`"):
        predictor().stream().update("a", {"hour": 1, "heat": 0.5, "vibraton": 0.1, "load": 0.2})


def test_ten_thousand_calls_leave_memory_flat():
    stream, values = predictor().stream(), readings(10)

    def calls(first: int, count: int) -> None:
        for hour in range(first, first + count):
            stream.update(f"u{hour % 7}", row(hour, values[hour % 10]))

    calls(0, 500)  # what is made once is made
    gc.collect()
    start = sys.getallocatedblocks()  # and not tracemalloc, which makes each call three times slower
    calls(500, 10_000)
    gc.collect()
    grown = sys.getallocatedblocks() - start
    assert grown < 1_000  # an object that were kept of each call would be 10,000


def test_a_stream_goes_on_where_its_saved_state_stood(tmp_path):
    model, values = predictor(), readings(10)
    stream = model.stream()
    for hour in range(9):
        stream.update_many(["a", "b"], [row(hour, values[hour]), row(hour, values[9 - hour])])
    stream.save(tmp_path / "state.npz")
    loaded = model.stream().load(tmp_path / "state.npz")
    more = [row(9, values[9])] * 3
    assert loaded.update_many(["c", "b", "a"], more) == stream.update_many(["c", "b", "a"], more)


def test_a_state_that_is_none_is_refused(tmp_path):
    (tmp_path / "state.npz").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not the saved state of a stream"):
        predictor().stream().load(tmp_path / "state.npz")


def test_after_a_repair_a_life_begins():
    stream, values = predictor().stream(), readings(8)
    for hour in range(8):
        stream.update("a", row(hour, values[hour]))
    stream.restart("a")
    answer = stream.update("a", row(8, values[3]))
    assert answer["remaining"] == pytest.approx(by_hand(values[3:4]), abs=1e-4)


def test_a_forgotten_unit_leaves_the_others_as_they_were():
    stream, values = predictor().stream(), readings(4)
    stream.update_many(["a", "b", "c"], [row(1, values[place]) for place in range(3)])
    kept = stream.windows(np.array([2]))
    stream.forget("a")
    assert stream.units == ("c", "b")
    assert (stream.windows(np.array([0])) == kept).all()
    again = stream.update("a", row(0, values[3]))  # as if it had never been there
    assert again["remaining"] == pytest.approx(by_hand(values[3:4]), abs=1e-4)


def test_a_grid_averages_the_rows_of_a_cell_and_an_empty_cell_is_a_missing_row():
    stream, values = predictor(grid=2.0).stream(), readings(5)
    hours = [0.5, 1.0, 2.4, 7.0, 7.5]  # cells 0, 0, 0, 3, 3 from the first row on: 0.5 to 2.5, ..., 6.5 to 8.5
    for hour, reading in zip(hours, values, strict=True):
        answer = stream.update("a", row(hour, reading))
    with np.errstate(invalid="ignore"):
        rows = np.stack([np.nanmean(values[:3], 0), *np.full((2, 3), np.nan, np.float32), np.nanmean(values[3:], 0)])
    assert answer["remaining"] == pytest.approx(by_hand(rows.astype(np.float32)), abs=1e-4)


def test_a_gap_of_more_empty_cells_than_a_table_of_training_may_hold_is_refused():
    stream, values = predictor(grid=1.0).stream(), readings(3)
    stream.update("a", row(0.0, values[0]))
    with pytest.raises(UserError, match=r"row 2, unit `a`: found the time 100000\.5, cell 100,001 of 1 hours"):
        stream.update_many(["b", "a"], [row(1e9, values[1]), row(1e5 + 0.5, values[1])])  # the first of b begins it
    with pytest.raises(UserError, match=r"data\.grid=1: .* 100,001 rows by its reading 2"):
        to_grid(values[:2], np.array([0.0, 1e5 + 0.5]), np.array([0, 2]), 1.0, where="rows.csv")
    assert stream.units == ("a",)
    stream.restart("a")
    assert stream.update("a", row(1e5 + 0.5, values[2]))["remaining"] == pytest.approx(by_hand(values[2:]), abs=1e-4)


def test_the_rows_of_a_cycle_are_averaged_and_a_cycle_that_is_not_there_is_no_row():
    stream, values = predictor(time=None, cycle="cycle").stream(), readings(4)
    for cycle, reading in zip([3, 3, 5, 5], values, strict=True):
        answer = stream.update("a", {"cycle": cycle, **dict(zip(SENSORS, reading.tolist(), strict=True))})
    rows = np.stack([np.nanmean(values[:2], 0), np.nanmean(values[2:], 0)])
    assert answer["remaining"] == pytest.approx(by_hand(rows), abs=1e-4)
    with pytest.raises(UserError, match=r"found the time 4\.0, expected one after 5\.0"):
        stream.update("a", {"cycle": 4, **dict.fromkeys(SENSORS, 0.5)})


def test_without_a_clock_rows_are_counted():
    stream = predictor(time=None).stream()
    answers = [stream.update("a", dict.fromkeys(SENSORS, 0.5)) for _ in range(3)]
    assert [answer["time"] for answer in answers] == [0.0, 1.0, 2.0]
