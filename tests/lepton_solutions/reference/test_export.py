"""The proof that an exported model answers as the trained one."""

import pytest
import torch
from torch import nn

from lepton_solutions.errors import UserError
from lepton_solutions.reference.export import Exported, parity

ROWS = torch.linspace(-1, 1, 60).reshape(20, 3)


def network(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4)).eval()


def test_an_exported_model_answers_as_the_trained_one():
    trained = network(0)
    proof = parity(trained, Exported.of(trained, ROWS[:2], face=("x", "y")), ROWS)
    assert [(case["case"], case["rows"], case["flipped"]) for case in proof["cases"]] == [
        ("test rows", 20, 0),
        ("single rows", 20, 0),
    ]
    assert proof["largest_difference"] <= 1e-6


def test_a_model_of_other_weights_is_not_released():
    with pytest.raises(UserError, match="does not answer as the trained one"):
        parity(network(0), Exported.of(network(1), ROWS[:2], face=("x", "y")), ROWS)


def test_size_and_speed_are_those_of_the_file():
    exported = Exported.of(network(0), ROWS[:2], face=("x", "y"))
    weight = exported.weight()
    assert weight["size_bytes"] == len(exported.content)
    assert 0 < weight["latency_ms"]["p50"] <= weight["latency_ms"]["p95"]
