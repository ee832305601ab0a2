"""A training killed with SIGKILL at any step goes on to bitwise the same weights (CPU)."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

SCRIPT = Path(__file__).parent / "killed.py"
SLOW = ("sgd none plateau", "adagrad swa cosine")
CHANCE = np.random.default_rng()  # other steps every time; the ones that failed are in the name of the test


def run(folder: Path, *words: str) -> int:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, SCRIPT, folder, *words], env=environment).returncode


RECIPES = ["adamw ema one_cycle", *(pytest.param(x, marks=pytest.mark.slow) for x in SLOW)]


@pytest.fixture(scope="module", params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def uninterrupted(recipe: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder, recipe, "0") == 0
    return load_file(folder / "weights.safetensors")


@pytest.mark.parametrize("steps", [CHANCE.integers(3, 40, 2).tolist()], ids=str)
def test_it_ends_with_the_same_weights(recipe: str, uninterrupted: dict, steps: list[int], tmp_path: Path):
    for step in steps:  # batches of each process, which goes on from its last checkpoint; 96 are the whole
        assert run(tmp_path, recipe, str(step)) == -9
    assert run(tmp_path, recipe, "0") == 0
    found = load_file(tmp_path / "weights.safetensors")
    assert found.keys() == uninterrupted.keys()
    for name, tensor in uninterrupted.items():
        assert torch.equal(found[name], tensor), name


def test_a_finished_training_is_not_done_again(tmp_path: Path):
    recipe = "adamw ema one_cycle"
    assert run(tmp_path, recipe, "0") == 0
    first = load_file(tmp_path / "weights.safetensors")
    (tmp_path / "weights.safetensors").unlink()
    assert run(tmp_path, recipe, "3") == 0  # a kill at the first step would befall a second training
    assert torch.equal(load_file(tmp_path / "weights.safetensors")["0.weight"], first["0.weight"])
