"""The bench of equipment failure: what its rows hold, and that every cell is a config that can be read."""

import numpy as np
import pytest
from histories_settings import failure as failure_settings

from lepton_solutions.bench import Cell
from manufacturing.failure.bench import (
    ABLATIONS,
    ENSEMBLE,
    OURS,
    SEEDS,
    conclusions,
    cuts,
    failure,
    scores,
    table,
)
from manufacturing.failure.simulator import Machines, simulate


def record(seed: int) -> dict:
    chance = np.random.default_rng(seed)
    remaining = np.linspace(5, 180, 50)
    predicted = np.minimum(remaining, 125) + chance.normal(size=50) * 8
    return {"predicted": predicted.tolist(), "remaining": remaining.tolist(), "fit_seconds": 10.0, "peak_mb": 400}


def test_scores_clip_the_target_and_say_so():
    found = scores(np.array([125.0, 50.0]), np.array([165.0, 47.0]))
    assert found["rmse"] == pytest.approx(np.sqrt(9 / 2))
    assert found["rmse_uncapped"] == pytest.approx(np.sqrt((40**2 + 9) / 2))
    assert found["phm_score"] == pytest.approx(np.exp(0.3) - 1)


def test_rows_hold_the_mean_of_the_seeds_and_their_ensemble():
    records = {Cell("fd001", OURS, seed): record(seed) for seed in SEEDS}
    rows = {(row.model, row.metric): row for row in table(records) if row.task == "fd001"}
    single = [scores(np.array(one["predicted"]), np.array(one["remaining"]))["rmse"] for one in records.values()]
    assert rows[OURS, "rmse"].value == pytest.approx(np.mean(single))
    together = np.mean([one["predicted"] for one in records.values()], axis=0)
    expected = scores(together, np.array(record(0)["remaining"]))["rmse"]
    assert rows[ENSEMBLE, "rmse"].value == pytest.approx(expected)
    assert rows[ENSEMBLE, "rmse"].low < expected < rows[ENSEMBLE, "rmse"].high
    assert expected < min(single)
    assert f"{expected:.2f}" in conclusions(records)
    assert rows["DCNN 2018", "rmse"].value == 12.61


def test_every_change_of_the_ablation_is_a_config():
    for changes in ABLATIONS.values():
        failure_settings("data=cmapss_fd001", *(f"{key}={value}" for key, value in changes.items()))
    assert len({cell.key for cell in failure().cells}) == len(failure().cells)


def test_held_out_machines_are_cut_between_a_quarter_of_their_life_and_shortly_before_its_end():
    fleet = simulate(Machines(units=20, seed=0)).fleet
    life = fleet.life_of_row()[cuts(fleet)]
    age = cuts(fleet) - fleet.starts[life]
    length = np.diff(fleet.starts)[life]
    assert (np.bincount(life) == 8).all()
    assert (age >= length // 4).all() and (age < length - 5).all()
