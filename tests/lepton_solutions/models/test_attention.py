"""Attention and the transformer: torch's own modules as the second way, padding, export, digits."""

import math

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

from lepton_solutions.models.attention import (
    EncoderBlock,
    SelfAttention,
    Transformer,
    mean_over,
    positions,
    valid_steps,
)

LENGTH = torch.tensor([3, 7, 1, 4, 7])
VALID = valid_steps(LENGTH, 7)


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def copy_attention(ours: SelfAttention, theirs: nn.MultiheadAttention) -> None:
    theirs.in_proj_weight.data.copy_(ours.query_key_value.weight)
    theirs.in_proj_bias.data.copy_(ours.query_key_value.bias)
    theirs.out_proj.load_state_dict(ours.mix.state_dict())


@pytest.mark.parametrize("valid", [None, VALID])
def test_attention_is_that_of_torch_with_the_same_weights(valid):
    ours, theirs, x = SelfAttention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True), torch.randn(5, 7, 8)
    copy_attention(ours, theirs)
    expected, _ = theirs(x, x, x, key_padding_mask=None if valid is None else ~valid)
    torch.testing.assert_close(ours(x, valid), expected)


@pytest.mark.parametrize("valid", [None, VALID])
def test_a_block_is_that_of_torch_with_the_same_weights(valid):
    ours, x = EncoderBlock(8, 2), torch.randn(5, 7, 8)
    theirs = nn.TransformerEncoderLayer(8, 2, 4 * 8, dropout=0, norm_first=True, batch_first=True)
    copy_attention(ours.attention, theirs.self_attn)
    for norm in (ours.attention_norm, ours.dense_norm):  # as a fresh norm would hide which one is used
        nn.init.normal_(norm.weight)
    pairs = [
        (ours.attention_norm, theirs.norm1),
        (ours.dense_norm, theirs.norm2),
        (ours.dense[0], theirs.linear1),
        (ours.dense[3], theirs.linear2),
    ]
    for one, other in pairs:
        other.load_state_dict(one.state_dict())
    expected = theirs(x, src_key_padding_mask=None if valid is None else ~valid)
    torch.testing.assert_close(ours(x, valid), expected)


def test_a_position_is_a_sine_and_a_cosine_of_each_wave():
    found = positions(50, 6)
    for step in (0, 1, 49):
        angles = [step / 10_000 ** (2 * i / 6) for i in range(3)]
        expected = [f(angle) for angle in angles for f in (math.sin, math.cos)]
        assert found[step].tolist() == pytest.approx(expected, abs=1e-5)  # float32 angles of up to 49


def test_the_mean_is_over_the_valid_steps():
    x = torch.randn(5, 7, 2)
    expected = torch.stack([row[:length].mean(0) for row, length in zip(x, LENGTH.tolist(), strict=True)])
    torch.testing.assert_close(mean_over(x, VALID), expected)


def test_the_weights_are_as_many_as_the_formula_says():
    f, w, outputs, layers = 3, 8, 2, 2
    attention, dense, norms = 4 * (w * w + w), 8 * w * w + 5 * w, 4 * w
    expected = f * w + w + layers * (attention + dense + norms) + 2 * w + w * outputs + outputs
    assert parameters(Transformer(f, w, outputs, heads=2, layers=layers)) == expected


def net_and_input():
    return Transformer(3, 8, 2, heads=2, dropout=0.2).eval(), torch.randn(5, 7, 3)


def test_a_padded_row_answers_as_the_row_by_itself():
    network, x = net_and_input()
    padded = network(x.masked_fill(~VALID.unsqueeze(2), 99.0), LENGTH)
    alone = torch.cat([network(x[i : i + 1, :length]) for i, length in enumerate(LENGTH.tolist())])
    torch.testing.assert_close(padded, alone)


def test_the_order_of_the_steps_matters():
    network, x = net_and_input()
    assert (network(x) - network(x.flip(1))).abs().max() > 1e-3


@pytest.mark.parametrize(("width", "heads"), [(10, 4), (9, 3)])
def test_a_width_that_does_not_divide_is_refused(width, heads):
    with pytest.raises(ValueError, match=f"width {width}"):
        Transformer(3, width, 2, heads=heads)


def test_it_answers_the_same_exported():
    network, x = net_and_input()
    assert_exports(network, x=x)
    assert_exports(network, x=x, length=LENGTH)


def test_it_trains_in_half_precision():
    network, x = net_and_input()
    assert_trains_in_half_precision(network, x, LENGTH)


def test_it_learns_digits_row_by_row_better_than_the_nearest_mean():
    x, target = digits()
    network = Transformer(8, 32, 10)
    assert accuracy_after(network, x, target=target, steps=60) > accuracy_of_nearest_mean(x, target)
