"""Batch normalisation of averaged weights: its statistics are those of the rows under the weights that leave."""

from functools import partial

import pytest
import torch
from fit_settings import fit_settings
from torch import Tensor, nn

from lepton_solutions import tasks
from lepton_solutions.data.batches import Batch, Resident
from lepton_solutions.training.loop import fit

ROWS = 64


def brightened(batch: Batch, by: float) -> Batch:
    return batch._replace(inputs=(batch.inputs[0] + by,))


def trained(average: str, **asked: object) -> tuple[nn.Sequential, Tensor, dict[str, float]]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1))
    network.append(nn.Flatten(0))
    x = torch.randn(ROWS, 3)
    rows = Resident((x,), (x[:, 0] > 0).float(), augment=partial(brightened, by=5.0))
    settings = fit_settings(epochs=12, batch_size=ROWS, average=average, plan="eager", logger="none", **asked)
    told = fit(
        network, tasks.binary(), rows, settings, seed=0, generator=torch.Generator().manual_seed(0),
        judge=lambda one: {"mean": float(one[1].running_mean.mean())},
    )  # fmt: skip
    return network, x, told.metrics


@pytest.mark.parametrize("asked", [{}, {"patience": 3}])
@pytest.mark.parametrize("average", ["ema", "swa"])
def test_the_statistics_of_averaged_weights_are_those_of_the_rows_as_they_are(average: str, asked: dict):
    network, x, metrics = trained(average, **asked)
    with torch.no_grad():
        seen = network[0](x)
    torch.testing.assert_close(network[1].running_mean, seen.mean(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(network[1].running_var, seen.var(0), rtol=1e-5, atol=1e-6)
    assert network[1].momentum == 0.1
    assert metrics["mean"] == pytest.approx(float(seen.mean()), abs=1e-5)  # judged as it leaves


def test_weights_that_are_not_averaged_keep_the_statistics_of_their_training():
    network, x, _ = trained("none")
    with torch.no_grad():
        assert not torch.allclose(network[1].running_mean, network[0](x).mean(0), atol=0.1)
