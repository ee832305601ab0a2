"""The training loop against AdamW written out by hand, and what it promises about batches and schedule."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lepton_solutions.training.loop import Recipe, fit, one_cycle

X = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.3, -0.7]], dtype=torch.float64)
Y = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def run(
    network: nn.Module, recipe: Recipe, *, rows: int = 3, seed: int = 0, loss_of=None, watch=lambda epoch: None
) -> None:
    fit(
        network,
        loss_of or (lambda batch: ((network(X[batch]).squeeze(1) - Y[batch]) ** 2).mean()),
        rows=rows,
        recipe=recipe,
        undecayed=lambda name: "bias" in name,
        generator=torch.Generator().manual_seed(seed),
        watch=watch,
    )


@pytest.mark.parametrize(("done", "factor"), [(0, 0), (0.05, 0.5), (0.1, 1), (0.55, 0.5), (1, 0)])
def test_one_cycle_rises_to_the_peak_and_falls_as_a_cosine(done: float, factor: float):
    assert one_cycle(done, warm_up=0.1) == pytest.approx(factor, abs=1e-12)


def test_without_warm_up_the_cycle_starts_at_the_peak():
    assert one_cycle(0, warm_up=0) == 1


def test_three_steps_are_those_of_adamw_by_hand():
    network = nn.Linear(2, 1).double()
    w, b = network.weight.detach().numpy().copy().ravel(), network.bias.detach().numpy().copy()
    run(network, Recipe(epochs=3, batch_size=3, learning_rate=0.1, weight_decay=0.3, warm_up=0.5))

    x, y = X.numpy(), Y.numpy()
    p, m, v = np.concatenate([w, b]), np.zeros(3), np.zeros(3)
    for step in range(3):
        rate = 0.1 * one_cycle(step / 3, warm_up=0.5)
        error = x @ p[:2] + p[2] - y
        g = 2 / 3 * np.array([*(x.T @ error), error.sum()])
        p = p * (1 - rate * np.array([0.3, 0.3, 0]))  # decoupled, and not of the bias
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        p = p - rate * (m / (1 - 0.9 ** (step + 1))) / (np.sqrt(v / (1 - 0.99 ** (step + 1))) + 1e-8)
    found = np.concatenate([network.weight.detach().numpy().ravel(), network.bias.detach().numpy()])
    np.testing.assert_allclose(found, p, rtol=1e-12)
    assert not np.allclose(found, np.concatenate([w, b]))


def seen(rows: int, batch_size: int, epochs: int, seed: int = 0) -> list[list[int]]:
    network, batches = nn.Linear(1, 1), []

    def loss_of(batch: Tensor) -> Tensor:
        batches.append(batch.tolist())
        return network(torch.ones(len(batch), 1)).sum()

    run(network, Recipe(epochs, batch_size, 0.1, 0), rows=rows, seed=seed, loss_of=loss_of)
    return batches


def test_every_epoch_sees_every_row_once_in_batches_of_even_size():
    batches = seen(rows=10, batch_size=4, epochs=2)
    assert [len(batch) for batch in batches] == [4, 3, 3] * 2
    first, second = ([row for batch in epoch for row in batch] for epoch in (batches[:3], batches[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_fewer_rows_than_a_batch_are_one_step():
    assert [len(batch) for batch in seen(rows=3, batch_size=256, epochs=1)] == [3]


def test_the_generator_decides_the_order():
    assert seen(20, 7, 1, seed=1) == seen(20, 7, 1, seed=1) != seen(20, 7, 1, seed=2)


def test_the_network_trains_in_training_mode_and_is_watched_in_evaluation_mode():
    network, modes, epochs = nn.Linear(2, 1).double(), [], []

    def loss_of(batch: Tensor) -> Tensor:
        modes.append(network.training)
        return network(X[batch]).sum()

    def watch(epoch: int) -> None:
        epochs.append((epoch, network.training))

    run(network, Recipe(2, 3, 0.1, 0), loss_of=loss_of, watch=watch)
    assert modes == [True, True]
    assert epochs == [(1, False), (2, False)]
