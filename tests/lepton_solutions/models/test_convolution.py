"""Convolution and pooling in one to three dimensions: sizes, the plain formula, export, digits."""

from itertools import pairwise

import pytest
import torch
from blocks import (
    accuracy_after,
    accuracy_of_nearest_mean,
    assert_exports,
    assert_trains_in_half_precision,
    digits,
    parameters,
)

from lepton_solutions.models.convolution import ConvNet, stage

SPACES = {1: (20,), 2: (9, 12), 3: (8, 9, 10)}


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def net_and_input(dims, rows=5):
    network, x = ConvNet(2, (4, 6), 3, dims=dims), torch.randn(rows, 2, *SPACES[dims])
    network(x)  # in training mode: the norms learn a mean that is not 0
    return network, x


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_each_stage_has_kernels_of_3_a_side_and_a_norm(dims):
    network, _ = net_and_input(dims)
    stages = sum(3**dims * c * width + 2 * width for c, width in pairwise([2, 4, 6]))
    assert parameters(network) == stages + 6 * 3 + 3


def test_a_stage_is_the_largest_of_each_pair_of_neighbourhood_sums():
    block, x = stage(1, 1, dims=1).eval(), torch.randn(1, 1, 6)  # a fresh norm changes nothing but for its 1e-5
    left, middle, right = block.convolution.weight.flatten().tolist()
    padded = [0.0, *x.flatten().tolist(), 0.0]
    sums = [max(0.0, left * padded[i - 1] + middle * padded[i] + right * padded[i + 1]) for i in range(1, 7)]
    expected = [max(sums[i : i + 2]) for i in (0, 2, 4)]
    assert block(x).flatten().tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_head_sees_the_mean_over_space(dims):
    network, x = net_and_input(dims)
    left = network.eval().stages(x)
    assert left.shape == (5, 6, *(side // 4 for side in SPACES[dims]))
    torch.testing.assert_close(network(x), network.head(left.mean(tuple(range(2, dims + 2)))))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_it_answers_the_same_exported(dims):
    network, x = net_and_input(dims)
    assert_exports(network, x=x)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_it_trains_in_half_precision(dims):
    network, x = net_and_input(dims)
    assert_trains_in_half_precision(network, x)


def test_channels_last_gives_the_same():
    network, x = net_and_input(2)
    expected = network.eval()(x)
    found = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_it_learns_digits_better_than_the_nearest_mean():
    x, target = digits()
    network = ConvNet(1, (8, 16), 10, dims=2)
    assert accuracy_after(network, x.unsqueeze(1), target=target, steps=60) > accuracy_of_nearest_mean(x, target)
