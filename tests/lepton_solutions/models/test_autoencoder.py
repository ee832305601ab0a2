"""Autoencoders: principal components as the second way, anomalies, export."""

import numpy as np
import pytest
import torch
from blocks import assert_exports, assert_trains_in_half_precision, digits, parameters
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from torch import nn

from lepton_solutions.models.autoencoder import Autoencoder, ConvAutoencoder, ReconstructionError

SPACES = {1: (16,), 2: (8, 12), 3: (4, 8, 8)}


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def train(network: nn.Module, x: torch.Tensor, *, steps: int) -> torch.Tensor:
    """The errors of the rows afterwards."""
    error = ReconstructionError(network.train())
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        error(x).mean().backward()
        optimiser.step()
    with torch.no_grad():
        return error.eval()(x)


def test_the_way_back_has_the_widths_reversed():
    assert parameters(Autoencoder(20, 8, 3)) == (20 * 8 + 8 + 8 * 3 + 3) + (3 * 8 + 8 + 8 * 20 + 20)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_convolutions_are_as_many_as_the_formula_says(dims):
    inward = 3**dims * (2 * 4 + 4 * 6) + 2 * (4 + 6)
    outward = 2**dims * (6 * 4 + 4 * 4) + 2 * (4 + 4)
    assert parameters(ConvAutoencoder(2, (4, 6), dims=dims)) == inward + outward + 3**dims * 4 * 2 + 2


def test_the_error_is_the_mean_square_of_each_row():
    network, x = Autoencoder(12, 4), torch.randn(5, 3, 4)
    expected = [float(np.mean((network(row[None])[0] - row).detach().numpy() ** 2)) for row in x]
    assert ReconstructionError(network)(x).tolist() == pytest.approx(expected, rel=1e-5)


def test_one_layer_each_way_finds_the_principal_components():
    # Baldi and Hornik 1989: no linear autoencoder is better, and all minima of the error are this one.
    x = digits()[0].flatten(1)
    best = PCA(4).fit(x)
    least = float(np.mean((best.inverse_transform(best.transform(x)) - x.numpy()) ** 2))
    error = float(train(Autoencoder(64, 4), x, steps=1500).mean())
    assert least - 1e-6 < error < 1.05 * least  # Adam nears it; without the fourth component it is 1.16


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_a_digit_never_seen_stands_out(kind):
    network = Autoencoder(64, 32, 4) if kind == "dense" else ConvAutoencoder(1, (8, 2), dims=2)
    x, target = digits()
    x = x.unsqueeze(1)
    train(network, x[target == 0][::2], steps=150)
    alike, new = x[target == 0][1::2], x[target == 1]
    with torch.no_grad():
        error = ReconstructionError(network).eval()(torch.cat([alike, new]))
    assert roc_auc_score([0] * len(alike) + [1] * len(new), error.numpy()) > 0.95


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_convolutions_answer_the_same_exported(dims):
    network, x = ConvAutoencoder(2, (4, 6), dims=dims), torch.randn(5, 2, *SPACES[dims])
    network(x)  # in training mode: the norms learn a mean that is not 0
    assert network(x).shape == x.shape
    assert_exports(network, x=x)
    assert_exports(ReconstructionError(network), x=x)


def test_dense_layers_answer_the_same_exported():
    network, x = Autoencoder(12, 8, 3), torch.randn(5, 3, 4)
    assert_exports(network, x=x)
    assert_exports(ReconstructionError(network), x=x)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_convolutions_train_in_half_precision(dims):
    assert_trains_in_half_precision(ConvAutoencoder(2, (4, 6), dims=dims), torch.randn(5, 2, *SPACES[dims]))


def test_dense_layers_train_in_half_precision():
    assert_trains_in_half_precision(Autoencoder(12, 8, 3), torch.randn(5, 12))


def test_a_side_that_does_not_halve_is_refused():
    with pytest.raises(ValueError, match="multiples of 4"):
        ConvAutoencoder(2, (4, 6), dims=2)(torch.randn(5, 2, 8, 10))
