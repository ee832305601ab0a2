"""What is learned: better than the average life, and the same for the same seed."""

import json
from pathlib import Path

import numpy as np
import pytest
from histories_settings import failure
from small_fleets import fleet as by_hand

from lepton_solutions.data.splits import TEST
from lepton_solutions.progress import Progress
from manufacturing.failure.prepare import prepare, read_fleet
from manufacturing.failure.simulator import Machines, simulate
from manufacturing.failure.train import NETWORK, OURS, TREES, answers, horizon_of, read_learned, suited, train

SMALL = ("fit.epochs=6", "model.width=16", "model.layers=1", "inputs.window=16")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("rul"))


def trained(folder: Path, *asked: str) -> Path:
    settings = failure("data=machines", *SMALL, *asked)
    fleet = simulate(Machines(units=120, seed=1)).fleet
    prepare(settings, folder, folder, (fleet, None))
    train(settings, folder, folder, Progress(quiet=True))
    return folder


def test_every_model_is_judged_on_validation_machines_and_ours_beats_the_average_life(run: Path):
    validation = read_learned(run)["validation"]
    assert set(validation) == {OURS, NETWORK, "average_life", "linear", TREES}
    assert validation[OURS] < validation["average_life"]


def test_answers_are_remaining_life_up_to_the_cap(run: Path):
    test = read_fleet(run).of_part(TEST)
    said = answers(run, test, np.arange(test.rows))
    cap = read_learned(run)["cap"]
    for name, answer in said.items():
        assert answer.shape == (test.rows, 1), name
        assert answer.min() >= 0 and answer.max() <= cap + 1e-3, name


def test_the_same_seed_learns_the_same(run: Path, tmp_path: Path):
    again = trained(tmp_path)
    assert (again / "members" / "0.safetensors").read_bytes() == (run / "members" / "0.safetensors").read_bytes()


def test_a_failure_within_the_horizon_is_a_rising_probability(tmp_path: Path):
    run = trained(tmp_path, "question=failure")
    test = read_fleet(run).of_part(TEST)
    said = answers(run, test, np.arange(test.rows))[OURS]
    assert said.shape == (test.rows, 8)
    assert (np.diff(said, axis=1) >= 0).all()
    near, far = test.remaining() < read_learned(run)["horizon"], test.remaining() > 100
    assert said[near, -1].mean() > 5 * said[far, -1].mean()
    assert json.loads((run / "learned.json").read_text())["decisions"][OURS]["slope"] > 0


def test_the_horizon_is_a_tenth_of_the_median_life_unless_it_is_set():
    fleet = simulate(Machines(units=40, seed=1)).fleet
    lives = fleet.failed_at - fleet.time[fleet.starts[:-1]]
    assert horizon_of(failure("data=machines"), fleet) == pytest.approx(0.1 * np.nanmedian(lives))
    assert horizon_of(failure("data=machines", "decision.horizon=24"), fleet) == 24


def test_where_each_row_is_a_machine_the_network_has_no_memory_unless_it_is_asked_for():
    products = by_hand([(1, None)] * 3, label=[0, 1, 0])
    machines = simulate(Machines(units=4)).fleet
    asked = failure("data=machines")
    assert [suited(asked, one).model.name for one in (products, machines)] == ["mlp", "conv_gru"]
    assert suited(failure("data=machines", "model.name=lstm"), machines).model.name == "lstm"
