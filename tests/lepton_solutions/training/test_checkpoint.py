"""Checkpoints: whole or not at all, known by their bytes, and of one training only."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lepton_solutions.errors import UserError
from lepton_solutions.training.checkpoint import Checkpoint, newest, write

WHO = {"task": "binary", "fit.learning_rate": 0.01, "network.weight": [1, 2]}


def at(step: int, *, done: bool = False, **identity: object) -> Checkpoint:
    facts = {"step": step, "identity": WHO | identity, "done": done}
    return Checkpoint({"network.weight": torch.full((1, 2), float(step)), "order": torch.arange(3)}, facts)


def test_what_was_written_comes_back(tmp_path: Path):
    write(tmp_path, at(7))
    found = newest(tmp_path, WHO)
    assert found is not None and found.facts == at(7).facts
    assert {name: tensor.tolist() for name, tensor in found.tensors.items()} == {
        "network.weight": [[7.0, 7.0]],
        "order": [0, 1, 2],
    }


def test_the_last_two_are_kept_and_the_newest_is_read(tmp_path: Path):
    for step in (5, 30, 200, 1000):
        write(tmp_path, at(step))
    assert len(list(tmp_path.iterdir())) == 2
    found = newest(tmp_path, WHO)
    assert found is not None and found.facts["step"] == 1000


def test_an_empty_folder_has_none(tmp_path: Path):
    assert newest(tmp_path / "absent", WHO) is None


@pytest.mark.parametrize("harm", ["truncated", "one byte turned", "emptied"])
def test_a_damaged_one_is_passed_over_with_a_word(tmp_path: Path, said: list[str], harm: str):
    write(tmp_path, at(5))
    last = write(tmp_path, at(6))
    whole = last.read_bytes()
    spoilt = {"truncated": whole[:-9], "one byte turned": whole[:-1] + bytes([whole[-1] ^ 1]), "emptied": b""}
    last.write_bytes(spoilt[harm])
    found = newest(tmp_path, WHO)
    assert found is not None and found.facts["step"] == 5
    assert len(said) == 1 and last.name in said[0] and "the one before" in said[0]


def test_when_all_are_damaged_there_is_none(tmp_path: Path):
    for step in (1, 2):
        write(tmp_path, at(step)).write_bytes(b"nothing")
    assert newest(tmp_path, WHO) is None


@pytest.mark.parametrize(
    ("here", "named"),
    [
        ({"fit.learning_rate": 0.02}, "`fit.learning_rate` was `0.01`, and is `0.02` here"),
        ({"network.weight": [1, 3]}, "`network.weight` was `[1, 2]`, and is `[1, 3]` here"),
        ({"network.bias": [1]}, "`network.bias` was absent, and is `[1]` here"),
        ({"task": "ordinal", "network.weight": [9]}, "`task` was `binary`, and is `ordinal` here"),
    ],
)
def test_one_of_another_training_names_the_first_difference(tmp_path: Path, here: dict, named: str):
    write(tmp_path, at(5))
    with pytest.raises(UserError, match=re.escape(named)):
        newest(tmp_path, WHO | here)


def test_a_finished_training_of_another_config_is_no_obstacle(tmp_path: Path):
    write(tmp_path, at(5, done=True))
    assert newest(tmp_path, WHO | {"fit.learning_rate": 0.02}) is None
    assert newest(tmp_path, WHO) is not None


def test_a_kill_while_writing_leaves_the_one_before(tmp_path: Path):
    write(tmp_path, at(5))
    code = f"""
import os, signal, pathlib
import lepton_solutions.training.checkpoint as checkpoint
from safetensors.torch import save_file
import torch
def half(tensors, place, metadata):
    save_file(tensors, place, metadata=metadata)
    data = place.read_bytes()
    place.write_bytes(data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save_file = half
checkpoint.write(pathlib.Path({str(tmp_path)!r}), checkpoint.Checkpoint({{"x": torch.ones(9)}}, {{"step": 6}}))
"""
    ended = subprocess.run([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert ended.returncode == -9
    found = newest(tmp_path, WHO)
    assert found is not None and found.facts["step"] == 5
    write(tmp_path, at(8))
    assert len(list(tmp_path.iterdir())) == 2  # the half is gone too
