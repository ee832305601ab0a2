"""Two processes learn what one learns at the same batch; one of them may be killed at any step."""

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lepton_solutions.errors import UserError
from lepton_solutions.training import processes as module
from lepton_solutions.training.processes import ALONE, accelerator_for, apart, processes

SCRIPT = Path(__file__).parent / "two_processes.py"
EXACT = ("plain", "weighted", "accumulated")  # cases without draws of a process's own
# One process adds the gradients of 120 rows, two add those of 60 each and then the two sums. In fp32 another order of a
# sum moves a step by about 1e-7; 45 steps of Adam, which divides by the gradient's size, leave up to ten times as much.
RELATIVE = 1e-5


def run(folder: Path, *words: object, world: int) -> list[int]:
    """Exit codes of the processes, by rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(exist_ok=True)
    base = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    counts = {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)} if world > 1 else {}
    command = [sys.executable, str(SCRIPT), str(folder), *map(str, words)]
    started = [
        subprocess.Popen(
            command,
            env=base | counts | ({"RANK": str(rank), "LOCAL_RANK": str(rank)} if world > 1 else {}),
            stderr=subprocess.DEVNULL if rank == 0 and words[0] else None,
        )
        for rank in range(world)
    ]
    return [process.wait(120) for process in started]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    assert run(folder, 0, *EXACT, world=1) == [0]
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    assert run(folder, 0, *EXACT, "state", world=2) == [0, 0]
    return folder


def losses(folder: Path) -> np.ndarray:
    with (folder / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return np.array([[float(row["loss"]), float(row["validation_loss"])] for row in rows if row["validation_loss"]])


@pytest.mark.parametrize("case", EXACT)
def test_two_processes_have_the_loss_curve_of_one_at_the_same_batch(one: Path, two: Path, case: str):
    found = losses(two / case)
    assert found.shape == (3, 2)
    np.testing.assert_allclose(found, losses(one / case), rtol=RELATIVE)


@pytest.mark.parametrize("case", EXACT)
def test_two_processes_end_with_the_weights_of_one(one: Path, two: Path, case: str):
    found, expected = load_file(two / f"{case}.safetensors"), load_file(one / f"{case}.safetensors")
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-5, msg=name)


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_go_on_to_the_same_weights_bit_for_bit(two: Path, tmp_path: Path):
    step = int(np.random.default_rng().integers(8, 30))
    codes = run(tmp_path, step, "state", world=2)
    assert codes[1] == -9 and codes[0] != 0, step
    assert run(tmp_path, 0, "state", world=2) == [0, 0]
    found, expected = load_file(tmp_path / "state.safetensors"), load_file(two / "state.safetensors")
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), (name, step)


# -- one process, no torchrun --------------------------------------------------------------------------------------


def test_a_process_on_its_own_decides_and_sums_alone():
    assert processes() is ALONE
    assert ALONE.device is None
    assert ALONE.agree(lambda: "decided") == "decided"
    values = torch.tensor([1.0, 2.0])
    assert ALONE.total(values) is values
    assert ALONE.gather(values) == [values]
    network = torch.nn.Linear(1, 1)
    assert ALONE.wrap(network)[0] is network


def test_inside_apart_a_process_of_many_is_on_its_own(monkeypatch):
    many = module.Processes(rank=1, world=4)
    monkeypatch.setattr(module, "_join", lambda device: many)
    with apart():
        assert processes() is ALONE
        with apart():
            pass
        assert processes() is ALONE
    assert processes() is many


@pytest.mark.parametrize(
    ("device", "gpus", "expected"), [("cpu", 8, "cpu"), ("auto", 0, "cpu"), ("auto", 4, "cuda"), ("cuda", 4, "cuda")]
)
def test_each_process_has_a_gpu_of_its_own_or_none_has(monkeypatch, device: str, gpus: int, expected: str):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert accelerator_for(device, 4) == expected


@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [
        ("auto", 1, "4 processes on this machine, and it has 1 GPU; each needs its own\n\n"
                    "hint: fit.devices=1, or fit.device=cpu"),
        ("cuda", 0, "4 processes on this machine, and it has 0 GPUs; each needs its own\n\n"
                    "hint: fit.device=cpu, or see `lepton doctor`"),
    ],
)  # fmt: skip
def test_more_processes_than_gpus_are_refused(monkeypatch, device: str, gpus: int, message: str):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UserError) as refused:
        accelerator_for(device, 4)
    assert str(refused.value) == message


def test_machines_with_unequal_numbers_of_processes_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "5")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(UserError, match="5 processes, 4 of them on this machine; expected as many on each"):
        module._join.__wrapped__("cpu")
