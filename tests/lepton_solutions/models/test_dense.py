"""Fully connected networks: sizes, the plain formula, export, digits."""

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
from torch import nn

from lepton_solutions.models.dense import mlp


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("widths", [(784, 128, 10), (5, 1), (8, 16, 16, 3)])
def test_each_layer_has_its_weights_and_biases(widths):
    assert parameters(mlp(*widths)) == sum(f * w + w for f, w in pairwise(widths))


def test_it_is_a_product_a_relu_and_a_product():
    network, x = mlp(4, 8, 3), torch.randn(5, 4)
    first, last = (layer for layer in network if isinstance(layer, nn.Linear))
    hidden = (x @ first.weight.T + first.bias).clamp(min=0)
    torch.testing.assert_close(network(x), hidden @ last.weight.T + last.bias)


def test_inputs_of_more_dimensions_are_flattened():
    network, x = mlp(24, 8, 3), torch.randn(5, 2, 3, 4)
    assert torch.equal(network(x), network(x.flatten(1)))


def test_one_width_is_no_network():
    with pytest.raises(ValueError, match="expected two or more"):
        mlp(3)


def test_dropout_rests_outside_training():
    network, x = mlp(4, 64, 3, dropout=0.5), torch.randn(5, 4)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


@pytest.mark.parametrize("shape", [(24,), (2, 3, 4)])
def test_it_answers_the_same_exported(shape):
    assert_exports(mlp(24, 8, 8, 3, dropout=0.5), x=torch.randn(5, *shape))


def test_it_trains_in_half_precision():
    assert_trains_in_half_precision(mlp(4, 8, 3), torch.randn(5, 4))


def test_it_learns_digits_better_than_the_nearest_mean():
    x, target = digits()
    assert accuracy_after(mlp(64, 32, 10), x, target=target, steps=60) > accuracy_of_nearest_mean(x, target)
