"""Recurrent networks: sizes, torch's packed sequences as the second way, padding, export, digits."""

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
from torch.nn.utils.rnn import pack_padded_sequence

from lepton_solutions.models.recurrent import Recurrent

KINDS = ["rnn", "lstm", "gru"]
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
LENGTH = torch.tensor([3, 7, 1, 4, 7])


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def net_and_input(kind):
    return Recurrent(3, 8, 2, kind=kind, layers=2, dropout=0.2).eval(), torch.randn(5, 7, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_each_gate_has_weights_for_input_and_state_and_two_biases(kind):
    network, _ = net_and_input(kind)
    first, second = 8 * (3 + 8 + 2), 8 * (8 + 8 + 2)
    assert parameters(network) == GATES[kind] * (first + second) + 8 * 2 + 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_at_the_length_is_the_last_of_a_packed_sequence(kind):
    network, x = net_and_input(kind)
    packed = pack_padded_sequence(x, LENGTH, batch_first=True, enforce_sorted=False)
    _, state = network.cells(packed)
    last = (state[0] if kind == "lstm" else state)[-1]
    torch.testing.assert_close(network(x, LENGTH), network.head(last))


@pytest.mark.parametrize("kind", KINDS)
def test_a_padded_row_answers_as_the_row_by_itself(kind):
    network, x = net_and_input(kind)
    padded = network(x.masked_fill((torch.arange(7) >= LENGTH.unsqueeze(1)).unsqueeze(2), 99.0), LENGTH)
    alone = torch.cat([network(x[i : i + 1, :length]) for i, length in enumerate(LENGTH.tolist())])
    torch.testing.assert_close(padded, alone)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_length_all_steps_count(kind):
    network, x = net_and_input(kind)
    torch.testing.assert_close(network(x), network(x, torch.full((5,), 7)))


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_the_same_exported(kind):
    network, x = net_and_input(kind)
    assert_exports(network, x=x)
    assert_exports(network, x=x, length=LENGTH)


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_in_half_precision(kind):
    network, x = net_and_input(kind)
    assert_trains_in_half_precision(network, x, LENGTH)


def test_one_layer_with_dropout_raises_no_warning(recwarn):
    Recurrent(3, 8, 2, dropout=0.2)
    assert not recwarn.list


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_digits_row_by_row_better_than_the_nearest_mean(kind):
    x, target = digits()
    network = Recurrent(8, 32, 10, kind=kind)
    assert accuracy_after(network, x, target=target, steps=100) > accuracy_of_nearest_mean(x, target)
