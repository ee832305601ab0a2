"""Averages of weights against their closed forms, and what of a network is not averaged."""

import numpy as np
import pytest
import torch
from fit_settings import fit_settings
from torch import nn

from lepton_solutions.training.averages import Average, average_for

EMA = {"average": "ema", "average_decay": 0.9}
SWA = {"average": "swa", "average_start": 0.5}
STEPS = 20


def numbers(network: nn.Module) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in network.parameters()])


def move(network: nn.Module, chance: torch.Generator) -> np.ndarray:
    """A step to anywhere; where it led."""
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn(p.shape, generator=chance, dtype=p.dtype))
    return numbers(network).copy()


def averaged(network: nn.Module, asked: dict) -> Average:
    average = average_for(network, fit_settings(**asked))
    assert average is not None
    return average


def walked(asked: dict, steps: int = STEPS) -> tuple[nn.Module, Average, np.ndarray]:
    """A network, its average, and the weights after each step."""
    network = nn.Linear(3, 2).double()
    average, chance = averaged(network, asked), torch.Generator().manual_seed(0)
    path = []
    for step in range(steps):
        path.append(move(network, chance))
        average.update(network, (step + 1) / STEPS)
    return network, average, np.array(path)


def test_an_exponential_mean_has_its_closed_form():
    network, average, path = walked(EMA)
    share = 0.1 * 0.9 ** np.arange(STEPS - 1, -1, -1)
    share[0] = 0.9 ** (STEPS - 1)  # it starts from the weights after the first step
    average.give_to(network)
    assert share.sum() == pytest.approx(1)
    np.testing.assert_allclose(numbers(network), share @ path, rtol=1e-12)


@pytest.mark.parametrize(("start", "first"), [(0.0, 0), (0.5, 10), (0.75, 15), (0.99, 19)])
def test_a_stochastic_weight_average_is_the_mean_of_the_steps_after_the_start(start: float, first: int):
    network, average, path = walked({"average": "swa", "average_start": start})
    average.give_to(network)
    np.testing.assert_allclose(numbers(network), path[first:].mean(0), rtol=1e-6)  # torch's 1 / n is a float32


def test_until_there_is_an_average_the_weights_stand_for_it():
    network, average, path = walked(SWA, steps=10)
    assert not average.begun
    with average.lent_to(network):
        assert (numbers(network) == path[-1]).all()
    average.give_to(network)
    assert (numbers(network) == path[-1]).all()


def test_no_average_is_none():
    assert average_for(nn.Linear(1, 1), fit_settings(average="none")) is None


def test_lent_weights_are_given_back_bit_for_bit():
    network, average, path = walked(EMA)
    places = [p.data_ptr() for p in network.parameters()]
    with pytest.raises(ZeroDivisionError), average.lent_to(network):
        assert not np.allclose(numbers(network), path[-1])
        raise ZeroDivisionError
    assert (numbers(network) == path[-1]).all()
    assert [p.data_ptr() for p in network.parameters()] == places  # a captured graph reads there


def test_a_network_goes_on_learning_after_an_average_was_taken():
    network, average, _ = walked(EMA)
    with average.lent_to(network):
        pass
    network(torch.ones(1, 3, dtype=torch.float64)).sum().backward()
    assert all(p.requires_grad and p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("at", [1, 9, 10, 11, 19])
@pytest.mark.parametrize("asked", [EMA, SWA], ids=lambda asked: asked["average"])
def test_a_resumed_average_is_the_uninterrupted_one_bit_for_bit(asked: dict, at: int):
    network, whole, _ = walked(asked, steps=at)
    saved = {name: tensor.clone() for name, tensor in whole.tensors().items()}
    other = nn.Linear(3, 2).double()
    resumed = averaged(other, asked)
    resumed.load(saved)
    chance = torch.Generator().manual_seed(1)
    for step in range(at, STEPS):
        move(network, chance)
        whole.update(network, (step + 1) / STEPS)
        resumed.update(network, (step + 1) / STEPS)
    first, second = whole.tensors(), resumed.tensors()
    assert first.keys() == second.keys() and all((first[name] == second[name]).all() for name in first)
    whole.give_to(network)
    resumed.give_to(other)
    assert (numbers(network) == numbers(other)).all()


class Binned(nn.Module):
    """A normalisation, bins with open ends, codes, and a table that is not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("edges", torch.tensor([-torch.inf, 0.1, torch.inf]))
        self.register_buffer("codes", torch.tensor([5, 7, 11]))
        self.register_buffer("table", torch.tensor([0.1, 0.7]), persistent=False)


@pytest.mark.parametrize("asked", [EMA, {"average": "swa", "average_start": 0.0}], ids=lambda asked: asked["average"])
def test_of_the_buffers_only_statistics_are_averaged(asked: dict):
    network, chance = Binned(), torch.Generator().manual_seed(0)
    average, path = averaged(network, asked), []
    for step in range(4):
        network.norm(torch.randn(8, 2, generator=chance))
        path.append(network.norm.running_mean.numpy().copy())
        average.update(network, (step + 1) / 4)
    average.give_to(network)
    share = [0.9**3, 0.1 * 0.81, 0.1 * 0.9, 0.1] if asked is EMA else [0.25] * 4
    np.testing.assert_allclose(network.norm.running_mean.numpy(), np.array(share) @ np.array(path), rtol=1e-5)
    assert network.norm.num_batches_tracked == 4
    assert network.edges.tolist() == [-torch.inf, torch.tensor(0.1).item(), torch.inf]
    assert network.codes.tolist() == [5, 7, 11]
    assert (network.table == torch.tensor([0.1, 0.7])).all()


def test_weights_in_the_layout_of_images_keep_it():
    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    average = averaged(network, EMA)
    average.update(network, 0.5)
    average.give_to(network)
    assert network.weight.is_contiguous(memory_format=torch.channels_last)
