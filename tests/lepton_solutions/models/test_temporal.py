"""Networks that look back only."""

import numpy as np
import pytest
import torch

from lepton_solutions.engines import Engine
from lepton_solutions.models.graphs import export_module
from lepton_solutions.models.temporal import TCN, CausalBlock, ConvGRU


def test_no_later_step_changes_an_earlier_output_of_a_causal_block():
    block = CausalBlock(4, dilation=2).eval()
    x = torch.randn(2, 4, 20, generator=torch.Generator().manual_seed(0))
    later = x.clone()
    later[:, :, 12:] += 5
    before, after = block(x), block(later)
    assert torch.equal(before[:, :, :12], after[:, :, :12])
    assert not torch.equal(before[:, :, 12], after[:, :, 12])


@pytest.mark.parametrize(("layers", "reach"), [(1, 5), (2, 13), (3, 29)])
def test_a_tcn_sees_as_far_back_as_its_dilations_reach(layers, reach):
    """Two convolutions of 3 steps a block: 1 + 4 (1 + 2 + 4 + ...) steps."""
    network = TCN(3, 8, 1, layers=layers).eval()
    x = torch.randn(1, 60, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    network(x).sum().backward()
    moved = np.flatnonzero(x.grad.abs().sum((0, 2)).numpy())  # type: ignore[union-attr]
    assert 60 - moved.min() <= reach
    assert 60 - moved.min() > reach - 2 * 2 ** (layers - 1)  # a dead ReLU may cut the far end


@pytest.mark.parametrize("network", [ConvGRU(3, 8, 2, layers=2, dropout=0.1), TCN(3, 8, 2, layers=2)])
def test_the_exported_network_answers_as_the_network(network):
    network = network.eval()
    window = torch.randn(5, 12, 3, generator=torch.Generator().manual_seed(0))
    engine = Engine(export_module(network, {"window": window[:2]}, output="answer").SerializeToString(), threads=1)
    with torch.no_grad():
        expected = network(window).numpy()
    np.testing.assert_allclose(engine.answer(window=window.numpy()), expected, atol=1e-5)
