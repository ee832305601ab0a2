"""The bench of equipment failure: what its rows hold, and that every cell is a config that can be read."""

import numpy as np
import pytest
from histories_settings import failure as failure_settings

from lepton_solutions.bench import Cell
from manufacturing.failure.bench import failure
from manufacturing.failure.bench_engines import BOTH, ENSEMBLE, NETWORK, SEEDS, TREES, scores
from manufacturing.failure.bench_parts import ABLATIONS, FOLDS, HELD, cuts
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


def test_network_and_trees_are_averaged_by_seed_and_all_of_them_together():
    networks = {Cell("fd001", NETWORK, seed): record(seed) for seed in SEEDS}
    trees = {Cell("fd001", TREES, seed): record(100 + seed) for seed in SEEDS}
    table = {(row.model, row.metric): row for row in failure().rows(networks | trees) if row.task == "fd001"}
    remaining = np.array(record(0)["remaining"])
    each = [np.array(one["predicted"]) for one in (*networks.values(), *trees.values())]
    pairs = [(network + forest) / 2 for network, forest in zip(each[:5], each[5:], strict=True)]
    assert table[NETWORK, "rmse"].value == pytest.approx(np.mean([scores(p, remaining)["rmse"] for p in each[:5]]))
    assert table[BOTH, "rmse"].value == pytest.approx(np.mean([scores(p, remaining)["rmse"] for p in pairs]))
    expected = scores(np.mean(each, axis=0), remaining)["rmse"]
    assert table[ENSEMBLE, "rmse"].value == pytest.approx(expected)
    assert table[ENSEMBLE, "rmse"].low < expected < table[ENSEMBLE, "rmse"].high
    assert f"**{expected:.2f}**" in failure().conclusions(networks | trees)
    assert table["DCNN 2018", "rmse"].value == 12.61


def test_every_change_of_the_ablation_is_a_config():
    for changes in ABLATIONS.values():
        failure_settings("data=cmapss_fd001", *(f"{key}={value}" for key, value in changes.items()))
    assert len({cell.key for cell in failure().cells}) == len(failure().cells)


def test_the_ablation_compares_fold_by_fold():
    task = next(iter(HELD))
    better = {Cell(task, BOTH, fold): record(fold) for fold in range(FOLDS)}
    worse = {}
    for fold in range(FOLDS):
        said = record(fold)
        worse[Cell(task, NETWORK, fold)] = said | {"predicted": [x + 10 for x in said["predicted"]]}
    told = failure().conclusions(better | worse)
    gap = float(told.split(f"FD001, {NETWORK} | ")[1].split(" | ")[1])
    each = [
        scores(np.array(one["predicted"]), np.array(one["remaining"]))["rmse"]
        for one in (*worse.values(), *better.values())
    ]
    assert gap == pytest.approx(np.mean(each[:FOLDS]) - np.mean(each[FOLDS:]), abs=0.006)


def test_held_out_machines_are_cut_between_a_quarter_of_their_life_and_shortly_before_its_end():
    fleet = simulate(Machines(units=20, seed=0)).fleet
    life = fleet.life_of_row()[cuts(fleet)]
    age = cuts(fleet) - fleet.starts[life]
    length = np.diff(fleet.starts)[life]
    assert (np.bincount(life) == 8).all()
    assert (age >= length // 4).all() and (age < length - 5).all()
