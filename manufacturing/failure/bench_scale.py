"""Ten times the machines in `lepton bench failure`: time and memory from raw rows to answers."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from lepton_solutions.bench import Cell, Row
from lepton_solutions.config import read_settings
from manufacturing.failure.exported import Exported
from manufacturing.failure.inputs import fit_scaling
from manufacturing.failure.learning import answered, form_of, learn, view_of
from manufacturing.failure.settings import Failure
from manufacturing.failure.simulator import Machines, simulate
from manufacturing.failure.targets import goal_of
from manufacturing.failure.train import cap_of, suited

TASK = "scale"
UNITS = (150, 1500)
CELLS = [Cell(TASK, f"{units:,} machines", 0) for units in UNITS]
ABOUT = """
- Scale: scaling, features, one epoch and the answers at all rows for 150 and for 1,500 simulated machines, each in a
  process of its own; `windows_mb` is what all windows would take if they were laid out.
"""


def measure(task: str, model: str, seed: int) -> dict[str, object]:
    """Seconds without the simulation, rows, and megabytes."""
    fleet = simulate(Machines(units=UNITS[[cell.model for cell in CELLS].index(model)], seed=seed)).fleet
    settings = suited(read_settings("manufacturing/failure", ["fit.epochs=1"], Failure), fleet)
    start = time.perf_counter()
    scaling, cap = fit_scaling(fleet, settings.inputs), cap_of(settings, fleet)
    form = form_of(settings, scaling, 1)
    view = view_of(fleet, scaling, form.window)
    goal = goal_of("rul", fleet, cap=cap, horizon=None)
    network, _ = learn(form, view, goal, settings, seed=seed, cap=cap, horizon=None)
    answered(Exported([network], "rul", cap).eval(), view, np.arange(fleet.rows))
    return {
        "fit_seconds": time.perf_counter() - start,
        "rows": fleet.rows,
        "data_mb": (fleet.values.nbytes + view.features.numel() * 4) / 2**20,
        "windows_mb": fleet.rows * form.window * form.features * 4 / 2**20,
    }


def rows(records: Mapping[Cell, dict]) -> list[Row]:
    """Of the cells that are measured."""
    found = []
    for cell in CELLS:
        if cell in records:
            record = records[cell]
            figures = {"rows": record["rows"], "data_mb": record["data_mb"], "windows_mb": record["windows_mb"],
                       "peak_mb": record["peak_mb"]}  # fmt: skip
            for metric, value in figures.items():
                found.append(Row(TASK, cell.model, True, metric, float(value), None, None, 1, record["fit_seconds"],
                                 record["peak_mb"], "measured here"))  # fmt: skip
    return found


def conclusions(records: Mapping[Cell, dict]) -> str:
    """In a sentence."""
    if any(cell not in records for cell in CELLS):
        return ""
    few, many = (records[cell] for cell in CELLS)
    return (
        f"Ten times the machines ({many['rows'] / few['rows']:.1f} times the rows) take "
        f"{many['fit_seconds'] / few['fit_seconds']:.1f} times as long and {many['peak_mb'] - few['peak_mb']:.0f} MB "
        f"more; their rows and features are {many['data_mb'] - few['data_mb']:.0f} MB more, their windows would be "
        f"{many['windows_mb'] - few['windows_mb']:,.0f} MB."
    )
