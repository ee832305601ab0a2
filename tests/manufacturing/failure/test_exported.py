"""What two models say together."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from manufacturing.failure.baselines import Trees, fit_baselines, seen
from manufacturing.failure.exported import Exported, answer_of, combined, graph
from manufacturing.failure.inputs import first_rows
from manufacturing.failure.simulator import Machines, simulate
from manufacturing.failure.targets import outcome_of


def logit(chance: np.ndarray) -> np.ndarray:
    return np.log(chance / (1 - chance))


def test_remaining_lives_and_chances_of_faults_are_averaged():
    assert combined("rul", torch.tensor([[30.0]]), torch.tensor([[50.0]])).tolist() == [[40.0]]
    both = combined("diagnosis", torch.tensor([[0.2, 0.8]]), torch.tensor([[0.6, 0.4]]))
    assert both.flatten().tolist() == pytest.approx([0.4, 0.6])


def test_chances_of_a_failure_meet_in_log_odds_at_the_end_of_the_horizon_and_rise_until_then():
    network = answer_of(
        "failure", torch.randn(50, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), None
    )
    trees = torch.rand(50, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    both = combined("failure", network, trees).numpy()
    expected = (logit(network.numpy()[:, -1]) + logit(trees.numpy()[:, 0])) / 2
    np.testing.assert_allclose(logit(both[:, -1]), expected, atol=1e-9)
    assert (np.diff(both, axis=1) >= 0).all()
    # The course is the network's: cumulative hazards keep their proportions.
    share = np.log1p(-both) / np.log1p(-both[:, -1:])
    np.testing.assert_allclose(share, np.log1p(-network.numpy()) / np.log1p(-network.numpy()[:, -1:]), rtol=1e-9)


def test_trees_that_agree_with_the_network_change_nothing():
    network = answer_of("failure", torch.randn(20, 4, dtype=torch.float64), None)
    np.testing.assert_allclose(combined("failure", network, network[:, -1:]), network, rtol=1e-9)


@pytest.mark.parametrize(("chance", "trees"), [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_certainties_stay_finite(chance, trees):
    both = combined("failure", torch.full((1, 3), chance), torch.full((1, 1), trees))
    assert torch.isfinite(both).all() and (both >= 0).all() and (both <= 1).all()


class Network(nn.Module):
    """Any network of a window [n, 4, F]."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(4 * features, outputs)

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        return self.head(window.flatten(1))


@pytest.mark.parametrize(("question", "outputs"), [("rul", 1), ("failure", 5)])
def test_the_graph_of_networks_and_trees_answers_as_both_do(question, outputs):
    fleet = simulate(Machines(units=30, censored=0.0)).fleet
    features = torch.from_numpy(
        np.nan_to_num((fleet.values - np.nanmean(fleet.values, 0)) / np.nanstd(fleet.values, 0))
    )
    rows, target = outcome_of(question, fleet, cap=100.0, horizon=20.0)
    looked = seen(features, torch.from_numpy(first_rows(fleet)), fleet, rows, window=4, sensors=features.shape[1])
    pair = (looked, target)
    trees = fit_baselines(
        question, fleet, pair, pair, cap=100.0, sensors=features.shape[1], seed=0, names=["lightgbm"]
    )["lightgbm"]
    assert isinstance(trees, Trees)
    exported = Exported([Network(features.shape[1], outputs)], question, 100.0, trees).eval()
    session = onnxruntime.InferenceSession(graph(exported, 4, features.shape[1]), providers=["CPUExecutionProvider"])
    window = features[:400].reshape(100, 4, -1)
    with torch.no_grad():
        np.testing.assert_allclose(
            session.run(None, {"window": window.numpy()})[0], exported(window), rtol=2e-4, atol=2e-4
        )
