"""The parts of the bench of speed that have a known answer; the figures themselves are no test."""

import numpy as np
import pytest
from small_payments import SMALL, many_payments

from finance.fraud import bench_online, bench_speed
from finance.fraud.bench_online import memory, percentiles
from finance.fraud.bench_speed import CELLS, REDIS, conclusions, equality, repeated, rows
from finance.fraud.history import histories
from lepton_solutions.bench import Cell

ANSWERS = [
    "answer_p50_ms", "answer_p99_ms", "answer_p99_9_ms", "answer_calls_a_second", "raw_p50_ms", "raw_p99_ms",
    "answers_a_second_in_hundreds", "restart_ms", "payments_of_a_card", "bytes_per_card",
]  # fmt: skip
FIGURES = ["columns", "times_as_long", "features_compared", "features_that_differ", *ANSWERS]


def records(**missing: dict) -> dict[Cell, dict]:
    full = {"seconds": 2.0, "wall": 1.0, "peak_mb": 100.0, **dict.fromkeys(FIGURES, 3.0)}
    return {cell: missing.get(cell.model, full) for cell in CELLS}


def test_repeated_rows_are_those_of_others_and_counted_as_the_first():
    few = many_payments(200)
    many = repeated(few, 3)
    assert len(set(many.id)) == len(many) == 600
    assert [len(set(names)) for names in many.levels.values()] == [3 * len(names) for names in few.levels.values()]
    np.testing.assert_array_equal(histories(many, SMALL), np.repeat(histories(few, SMALL), 3, axis=0))


def test_every_feature_that_differs_is_counted(monkeypatch):
    few = many_payments(300)
    assert equality(few, SMALL)["features_that_differ"] == 0
    assert equality(few, SMALL)["features_compared"] == histories(few, SMALL).size
    wrong = histories(few, SMALL)
    wrong[7, 0], wrong[9, 3], wrong[0, np.isnan(wrong[0]).argmax()] = np.nan, 0.25, 0
    monkeypatch.setattr(bench_speed, "histories", lambda *_: wrong)
    assert equality(few, SMALL)["features_that_differ"] == 3


def test_percentiles_are_milliseconds_and_the_rate_is_of_all_calls():
    found = percentiles([0.001] * 999 + [0.101])
    assert found["p50_ms"] == found["p99_ms"] == pytest.approx(1)
    assert found["calls_a_second"] == pytest.approx(1000 / 1.1)


def test_memory_is_told_of_a_card(monkeypatch):
    monkeypatch.setattr(bench_online, "MILLION", 1000)
    monkeypatch.setattr(bench_online, "PORTION", 500)
    monkeypatch.setattr(bench_online, "MEMORY_TERMINALS", 100)
    found = memory()
    assert 2 * 5 * 8 < found["bytes_per_card"] < found["bytes_per_terminal"]  # twenty payments of a terminal


def test_the_table_grows_by_the_cells_that_are_measured():
    full = records()
    first = CELLS[0]
    assert {row.model for row in rows({first: full[first]})} == {first.model}
    assert conclusions({first: full[first]}) == ""
    assert {(row.task, row.model) for row in rows(full)} == {(cell.task, cell.model) for cell in CELLS}


def test_a_redis_that_is_not_there_is_said_and_has_no_row():
    found = records(**{REDIS: {"seconds": 1.0, "peak_mb": 9.0, "missing": "redis-server is not installed"}})
    assert REDIS not in {row.model for row in rows(found)}
    assert "Redis was not measured: redis-server is not installed." in conclusions(found)
