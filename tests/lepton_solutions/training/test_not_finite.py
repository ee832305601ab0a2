"""What is not finite in training: a lower rate rescues it where one can, else layer, parameter or row are named."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from fit_settings import ROWS, Column, small, train, weights
from safetensors.torch import load_file
from torch import Tensor, nn

from lepton_solutions.errors import UserError


class Explodes(nn.Module):
    """Gives NaN at one call in training, or from it on."""

    def __init__(self, at: int, *, forever: bool) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), Column(8)
        self.at, self.forever, self.calls = at, forever, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        hidden = self.first(x).relu()
        return self.last(hidden * float("nan") if self._now() else hidden)

    def _now(self) -> bool:
        return self.training and (self.calls >= self.at if self.forever else self.calls == self.at)


def test_a_loss_that_is_not_finite_once_costs_a_lower_rate_and_no_more(said: list[str]):
    network = Explodes(20, forever=False)
    outcome = train(network)
    assert outcome.steps == 35 and np.isfinite(weights(network)).all()
    assert [line for line in said if "back to step 0, with 0.1 of the learning rate" in line]


def test_a_loss_that_stays_infinite_ends_with_step_layer_and_rows(said: list[str]):
    x = ROWS.clone()
    x[17] = 3e38  # finite, but its square is not
    network = nn.Sequential(Square(), small())
    with pytest.raises(UserError, match=r"step \d+: the output of `0` \(Square\) is not finite, because of row 17 "):
        train(network, x=x)
    assert len([line for line in said if "of the learning rate" in line]) == 2


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x


class Root(nn.Module):
    """The slope of a square root is infinite at 0, its value is not."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return (x.abs() * self.scale.abs()).sqrt() * 0.5


def test_a_gradient_that_is_not_finite_is_found_though_the_loss_is():
    x = ROWS.abs() + 1
    x[3, 2] = 0
    with pytest.raises(UserError, match=r"the gradient of `0.scale` is not finite, because of row 3 "):
        train(nn.Sequential(Root(), small()), x=x)


class LateRoot(nn.Module):
    """A square root whose slope is infinite in the last step of the training, and in no forward pass."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.inner, self.scale = small(), nn.Parameter(torch.ones(()))
        self.last, self.calls = last, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        bad = (self.scale * (0.0 if self.calls == self.last else 1.0)).sqrt() - (self.calls != self.last) * 1.0
        return self.inner(x) + bad


def test_a_gradient_that_is_not_finite_in_the_last_step_spoils_nothing(tmp_path: Path, said: list[str]):
    network = LateRoot(35)
    outcome = train(network, folder=tmp_path, checkpoint_steps=35)
    assert outcome.steps == 35 and np.isfinite(weights(network)).all()
    assert [line for line in said if "with 0.1 of the learning rate" in line]
    for file in (tmp_path / "checkpoints").iterdir():
        assert all(bool(tensor.isfinite().all()) for tensor in load_file(file).values() if tensor.is_floating_point())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_missing_input_is_placed_unless_the_network_fills_it_in(value: float):
    x = ROWS.clone()
    x[41, 2] = value
    with pytest.raises(UserError, match=re.escape(f"row 41, input 0[2]: found {value}")):
        train(small(), x=x)
    if value != value:
        assert np.isfinite(weights(trained_on_missing(x))).all()


def trained_on_missing(x: Tensor) -> nn.Module:
    class Fills(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.nan_to_num(x)

    network = nn.Sequential(Fills(), small())
    train(network, x=x, imputes=True)
    return network
