"""The speed bench: every loop trains the same case, and the table says what was measured."""

import pytest
import torch

from lepton_solutions import tasks
from lepton_solutions.bench import Cell
from lepton_solutions.models.dense import mlp
from lepton_solutions.reference.speed import bench
from lepton_solutions.reference.speed.cases import CASES, Case, Rows, new_network
from lepton_solutions.reference.speed.digits import first_at
from lepton_solutions.reference.speed.loops import LOOPS, planned


def rows() -> Rows:
    x = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
    return Rows(x, (x[:, 0] > 0).float(), "96 rows")


TINY = Case(rows, lambda: mlp(4, 8, 1), tasks.binary(), 32, 2, "tiny")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_returns_the_seconds_of_each_epoch_but_the_first(loop: str):
    seconds = LOOPS[loop](TINY, rows(), 2)
    assert len(seconds) == 2 and min(seconds) > 0


def test_the_planned_loop_also_says_what_it_tried():
    seconds, plan = planned(TINY, rows(), 2)
    assert len(seconds) == 2 and plan["chosen"]["device"] == "cpu"


@pytest.mark.parametrize("name", CASES)
def test_every_network_takes_its_rows(name: str):
    case = CASES[name]
    found = case.rows()
    output = new_network(case, 0)(found.inputs[:2])
    assert case.task.loss(output, found.target[:2]).shape == (2,)


def test_the_first_epoch_at_the_target_counts():
    record = {"ends": [1.0, 2.0, 3.0], "accuracy": [0.96, 0.973, 0.971]}
    assert (first_at(record, 0.972), first_at(record, 0.96), first_at(record, 0.98)) == (2.0, 1.0, None)


def made_up() -> dict[Cell, dict]:
    """Keras needs 20 s and ends at 97.8 %, ours is there after 1 s; epochs take as many seconds as letters."""
    records: dict[Cell, dict] = {}
    for cell in bench.speed().cells:
        if cell.task == "mnist":
            ends = [10.0, 20.0] if cell.model == "keras" else [0.5, 1.0]
            records[cell] = {"ends": ends, "accuracy": [0.972, 0.978]}
        elif cell.task in CASES:
            epochs = [float(len(cell.model))] * 2
            records[cell] = {"epochs": epochs, "rows": 100, "peak_mb": 1, "what": ""}
            records[cell] |= {
                "plan": {"chosen": {"device": "cpu"}, "seconds": 7.0},
                "versions": {"keras": "3", "tensorflow": "2"},
            }
        elif cell.task == "growth":
            records[cell] = {"small": [1.0], "large": [9.5]}
        elif cell.task == "checkpoints":
            records[cell] = {"share": 0.004, "megabytes": 3.0}
        else:
            records[cell] = {
                "stream": [80.0],
                "resident": [100.0],
                "peaks": {"stream": 900.0, "resident": 1500.0},
                "gigabytes": 20.0,
            }
    return records


def test_the_table_holds_the_ratios_that_were_asked_for():
    text = bench.conclusions(made_up())
    assert "20.0x: 1.00 s against 20.0 s" in text
    assert f"| {len('lepton, eager') / len('pytorch by hand'):.3f} |" in text
    assert "| 9.50x |" in text and "80%, 900 MB" in text and "0.40%" in text


def test_a_target_that_one_seed_misses_is_no_row():
    records = made_up()
    records[Cell("mnist", "ours", 1)]["accuracy"] = [0.96, 0.977]
    metrics = [row.metric for row in bench.table(records) if row.task == "mnist" and row.ours]
    assert "seconds_to_accuracy" not in metrics and "final_accuracy" in metrics
