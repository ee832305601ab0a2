"""`lepton bench NAME`: measures what is not measured, keeps it, and writes one table."""

import json
from pathlib import Path

import pytest
from scipy import stats

from lepton_solutions.bench import interval

MODULE = '''"""A bench on a model that answers seed + 1 beside one that answers seed; each measurement leaves a mark."""

from pathlib import Path

from lepton_solutions.bench import Bench, Cell, Row, interval


def measure(task, model, seed):
    with Path("measured.txt").open("a") as marks:
        marks.write(f"{task}-{model}-{seed}\\n")
    if Path("trouble").is_file() and Path("trouble").read_text() == f"{task}-{model}-{seed}":
        raise ZeroDivisionError
    return {"score": seed + (model == "mine")}


def rows(records):
    found = [Row("hills", "paper", False, "score", 0.25, None, None, None, None, None, "published: a paper")]
    for task, model in dict.fromkeys((cell.task, cell.model) for cell in records):
        cells = {cell: record for cell, record in records.items() if (cell.task, cell.model) == (task, model)}
        mean, low, high = interval([record["score"] for record in cells.values()])
        cost = [max(record[key] for record in cells.values()) for key in ("seconds", "peak_mb")]
        found.append(Row(task, model, model == "mine", "score", mean, low, high, len(cells), *cost, "measured here"))
    return [row for row in found if row.task in {cell.task for cell in records}]


def toy():
    cells = [Cell(task, model, seed) for task in ("hills", "lakes") for model in ("mine", "theirs") for seed in (0, 1)]
    return Bench("Toys", "One seed after the other.", cells, measure, rows, lambda records: "Mine wins.", ("numpy",))
'''


@pytest.fixture
def bench(toy) -> Path:
    """A checkout with `lepton bench toy`."""
    (toy.root / "conf" / "bench" / "toy.yaml").write_text("_target_: toy_bench.toy\n")
    (toy.root / "toy_bench.py").write_text(MODULE)
    return toy.root


def measured(root: Path) -> list[str]:
    marks = root / "measured.txt"
    return marks.read_text().splitlines() if marks.is_file() else []


def test_a_bench_keeps_what_is_measured_and_writes_one_table(bench: Path, lepton):
    part = lepton("bench", "toy", "--rows", "lakes", "--seeds", "1", "--json", "part.json")
    assert part.code == 0
    assert measured(bench) == ["lakes-mine-0", "lakes-theirs-0"]
    assert [line.split()[:4] for line in part.out.splitlines()] == [
        ["lakes", "mine", "score", "1.0"], ["lakes", "theirs", "score", "0.0000"]
    ]  # fmt: skip
    assert not (bench / "docs").exists()  # a part is not the table

    whole = lepton("bench", "toy", "--json", "whole.json")
    assert whole.code == 0
    assert sorted(measured(bench)) == sorted(
        f"{task}-{model}-{seed}" for task in ("hills", "lakes") for model in ("mine", "theirs") for seed in (0, 1)
    )  # each once
    record = json.loads((bench / "whole.json").read_text())
    assert set(record) == {"bench", "command", "machine", "versions", "rows"}
    assert (record["bench"], record["command"]) == ("toy", "lepton bench toy")
    assert set(record["versions"]) == {"python", "numpy"}
    found = {(row["task"], row["model"]): row for row in record["rows"]}
    assert len(found) == 5
    mine = found["hills", "mine"]
    assert list(mine) == [
        "task", "model", "ours", "metric", "value", "low", "high", "seeds", "seconds", "peak_mb", "source"
    ]  # fmt: skip
    assert mine["value"] == 1.5 and mine["ours"] and mine["seeds"] == 2 and mine["peak_mb"] > 10
    assert found["hills", "paper"]["source"] == "published: a paper" and found["hills", "paper"]["seconds"] is None

    page = (bench / "docs" / "benchmarks" / "toy.md").read_text()
    assert page.startswith("# Toys\n") and "Mine wins." in page
    assert "| **mine** | score | 1.5 |" in page and "| theirs | score | 0.5000 |" in page
    assert "| paper | score | 0.2500 |  |  |  |  | published: a paper |" in page
    assert json.loads((bench / "docs" / "benchmarks" / "toy.json").read_text()) == record

    lepton("bench", "toy")
    assert len(measured(bench)) == 8  # nothing is measured twice


def test_a_bench_that_was_stopped_goes_on(bench: Path, lepton):
    (bench / "trouble").write_text("hills-theirs-0")
    with pytest.raises(ZeroDivisionError):
        lepton("bench", "toy", "--rows", "hills", "--seeds", "1")
    assert sorted(file.name for file in (bench / ".bench" / "toy").iterdir()) == ["hills-mine-0.json"]
    (bench / "trouble").unlink()
    assert lepton("bench", "toy", "--rows", "hills", "--seeds", "1").code == 0
    assert measured(bench) == ["hills-mine-0", "hills-theirs-0", "hills-theirs-0"]


def test_a_model_with_fewer_seeds_than_others_of_its_task_is_shown_at_the_end(bench: Path, lepton):
    fewer = MODULE.replace("for seed in (0, 1)]", 'for seed in ((0, 1) if model == "mine" else (0,))]')
    (bench / "uneven_bench.py").write_text(fewer)
    (bench / "conf" / "bench" / "uneven.yaml").write_text("_target_: uneven_bench.toy\n")
    told = [line.split()[:4] for line in lepton("bench", "uneven", "--rows", "lakes").out.splitlines()]
    assert told == [["lakes", "mine", "score", "1.5"], ["lakes", "theirs", "score", "0.0000"]]


def test_an_unknown_bench_is_answered_with_the_nearest(bench: Path, lepton):
    answer = lepton("bench", "tou")
    assert (answer.code, answer.err) == (2, "error: unknown bench `tou`: did you mean `toy`?\n")


def test_an_unknown_task_is_answered_with_the_nearest_before_anything_is_measured(bench: Path, lepton):
    answer = lepton("bench", "toy", "--rows", "hils")
    assert (answer.code, answer.err) == (2, "error: --rows hils: did you mean `hills`?\n")
    assert measured(bench) == []


def test_no_seeds_are_refused(bench: Path, lepton):
    assert lepton("bench", "toy", "--seeds", "0").code == 2


def test_the_interval_is_that_of_students_t():
    values = [0.1, 0.4, 0.35, 0.2]
    mean, low, high = interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((0.2625, expected.low, expected.high))


def test_one_value_has_no_spread_to_show():
    assert interval([0.3]) == (0.3, 0.3, 0.3)
