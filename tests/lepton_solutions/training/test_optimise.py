"""Optimisers against their formulas written out in numpy, schedules against closed forms and PyTorch's own."""

import json

import numpy as np
import pytest
import torch
from fit_settings import fit_settings
from torch import Tensor, nn
from torch.optim import lr_scheduler

from lepton_solutions.settings import Fit
from lepton_solutions.training.optimise import Plateau, default_undecayed, optimiser_for, rate_at

X = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.3, -0.7]], dtype=torch.float64)
Y = torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64)
RATES = (0.1, 0.07, 0.03, 0.2)


def linear() -> nn.Linear:
    network = nn.Linear(2, 1).double()
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.5, -0.25]]))
        network.bias.fill_(0.125)
    return network


def walk(network: nn.Linear, optimiser: torch.optim.Optimizer) -> np.ndarray:
    """The weights after a step at each of the rates."""
    x, y = X.to(network.weight.device), Y.to(network.weight.device)
    for rate in RATES:
        optimiser.zero_grad()
        ((network(x) - y) ** 2).mean().backward()
        for group in optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        optimiser.step()
    return np.array([*network.weight[0].tolist(), network.bias.item()])


def by_hand(fit: Fit) -> np.ndarray:
    """The same in numpy, by the formulas of the papers; weight decay does not touch the bias."""
    p, m, v = np.array([0.5, -0.25, 0.125]), np.zeros(3), np.zeros(3)
    decay = fit.weight_decay * np.array([1, 1, 0])
    x, y, (b1, b2) = X.numpy(), Y.numpy()[:, 0], fit.betas
    for step, rate in enumerate(RATES, 1):
        error = x @ p[:2] + p[2] - y
        g = 2 / 3 * np.array([*(x.T @ error), error.sum()])
        if fit.optimiser == "adamw":
            p = p * (1 - rate * decay)
        else:
            g = g + decay * p
        if fit.optimiser == "sgd":
            m = fit.momentum * m + g
            p = p - rate * m
        elif fit.optimiser == "adagrad":
            v = v + g**2
            p = p - rate * g / (np.sqrt(v) + 1e-10)
        else:
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            p = p - rate * (m / (1 - b1**step)) / (np.sqrt(v / (1 - b2**step)) + 1e-8)
    return p


OPTIMISERS = [
    {"optimiser": "sgd", "momentum": 0.0},
    {"optimiser": "sgd", "momentum": 0.9},
    {"optimiser": "adam", "betas": (0.8, 0.95)},
    {"optimiser": "adamw", "betas": (0.8, 0.95)},
    {"optimiser": "adagrad"},
]


@pytest.mark.parametrize("asked", OPTIMISERS, ids=str)
def test_an_optimiser_takes_the_steps_of_its_formula(asked: dict):
    fit, network = fit_settings(weight_decay=0.3, **asked), linear()
    found = walk(network, optimiser_for(network, fit, undecayed=lambda name: name == "bias"))
    np.testing.assert_allclose(found, by_hand(fit), rtol=1e-12)


@pytest.mark.parametrize("asked", OPTIMISERS, ids=str)
def test_with_the_rate_in_a_tensor_the_steps_are_the_same(asked: dict):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    fit, network = fit_settings(weight_decay=0.3, **asked), linear().to(device)
    optimiser = optimiser_for(network, fit, undecayed=lambda name: name == "bias", capturable=True)
    rates = [group["lr"] for group in optimiser.param_groups]
    assert all(isinstance(rate, Tensor) and rate.device.type == device for rate in rates) and rates[0] is not rates[1]
    found = walk(network, optimiser)
    assert all(group["lr"] is rate for group, rate in zip(optimiser.param_groups, rates, strict=True))
    np.testing.assert_allclose(found, by_hand(fit), rtol=1e-6)  # the rate is a float32


def test_decayed_weights_come_first_in_the_order_of_the_network():
    network = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    fit = fit_settings(weight_decay=0.3)
    first, second = optimiser_for(network, fit, undecayed=default_undecayed(network)).param_groups
    own = dict(network.named_parameters())
    assert [id(p) for p in first["params"]] == [id(own[name]) for name in ("0.weight", "2.weight")]
    assert [id(p) for p in second["params"]] == [id(own[n]) for n in ("0.bias", "1.weight", "1.bias", "2.bias")]
    assert (first["weight_decay"], second["weight_decay"]) == (0.3, 0.0)


def test_where_nothing_is_left_alone_a_group_is_empty():
    network = linear()
    optimiser = optimiser_for(network, fit_settings(), undecayed=lambda name: False)
    assert [len(group["params"]) for group in optimiser.param_groups] == [2, 0]
    walk(network, optimiser)


def test_adamw_is_pytorchs_fused_one_bit_for_bit():
    networks = [nn.Linear(20, 30), nn.Linear(20, 30)]
    networks[1].load_state_dict(networks[0].state_dict())
    fit = fit_settings(learning_rate=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    ours = optimiser_for(networks[0], fit, undecayed=lambda name: name == "bias")
    weight, bias = networks[1].parameters()
    groups = [{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0}]
    theirs = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99), fused=True)
    x = torch.randn(50, 20, generator=torch.Generator().manual_seed(0))
    for _ in range(5):
        for network, optimiser in zip(networks, (ours, theirs), strict=True):
            optimiser.zero_grad()
            network(x).square().mean().backward()
            optimiser.step()
    assert all((a == b).all() for a, b in zip(networks[0].parameters(), networks[1].parameters(), strict=True))


def test_a_bias_is_left_alone_whatever_its_shape():
    network = nn.Module()
    for name, shape in {"hidden": (3, 2), "hidden_bias": (4, 2), "scale": (3,), "temperature": ()}.items():
        network.register_parameter(name, nn.Parameter(torch.zeros(shape)))
    network.add_module("lstm", nn.LSTM(2, 3))
    undecayed = default_undecayed(network)
    decayed = [name for name, _ in network.named_parameters() if not undecayed(name)]
    assert decayed == ["hidden", "lstm.weight_ih_l0", "lstm.weight_hh_l0"]


# -- schedules -------------------------------------------------------------------------------------------------------


def rates(scheduler_of, steps: int) -> list[float]:
    """The learning rates of a PyTorch scheduler over a peak of 1."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = scheduler_of(optimiser)
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


def test_one_cycle_is_pytorchs():
    fit = fit_settings(schedule="one_cycle", warm_up=0.3)
    # PyTorch ends each leg a step early, so that both ends are met: its 101 steps are our shares of 100.
    expected = rates(
        lambda optimiser: lr_scheduler.OneCycleLR(
            optimiser, 1.0, total_steps=101, pct_start=31 / 101, cycle_momentum=False, final_div_factor=1e4
        ),
        100,
    )
    np.testing.assert_allclose([rate_at(fit, step / 100) for step in range(100)], expected, rtol=1e-9)


def test_the_fall_along_a_cosine_is_pytorchs():
    fit = fit_settings(schedule="cosine", warm_up=0.2)
    expected = rates(lambda optimiser: lr_scheduler.CosineAnnealingLR(optimiser, 80), 80)
    np.testing.assert_allclose([rate_at(fit, step / 100) for step in range(20, 100)], expected, atol=1e-12)
    assert rate_at(fit, 1.0) == pytest.approx(0, abs=1e-15)


def test_steps_drop_where_the_medmnist_protocol_has_them():
    fit = fit_settings(schedule="step", warm_up=0.0)
    expected = rates(lambda optimiser: lr_scheduler.MultiStepLR(optimiser, [50, 75], gamma=0.1), 100)
    np.testing.assert_allclose([rate_at(fit, step / 100) for step in range(100)], expected, rtol=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "plateau"])
def test_the_other_schedules_warm_up_in_a_straight_line(schedule: str):
    fit = fit_settings(schedule=schedule, warm_up=0.25)
    assert [rate_at(fit, done) for done in (0.0, 0.0625, 0.125, 0.25)] == [0.0, 0.25, 0.5, 1.0]
    assert rate_at(fit_settings(schedule=schedule, warm_up=0.0), 0.0) == 1.0


def test_a_constant_rate_and_one_that_waits_for_a_plateau_stay():
    for schedule in ("constant", "plateau"):
        assert {rate_at(fit_settings(schedule=schedule, warm_up=0.1), done) for done in (0.1, 0.5, 1.0)} == {1.0}


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_plateau_is_where_pytorch_sees_one(mode: str):
    chance = np.random.default_rng(0)
    figures = np.exp(-np.arange(80) / 5) + 0.5 + chance.choice([0, 1e-5, 1e-3], 80)
    ours, sign = Plateau(), 1 if mode == "min" else -1
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(optimiser, mode, patience=4, threshold=1e-4)  # the fifth bad epoch drops
    found, expected = [], []
    for figure in figures if mode == "min" else 2 - figures:
        ours.step(sign * figure)
        theirs.step(figure)
        found.append(ours.factor)
        expected.append(optimiser.param_groups[0]["lr"])
    assert found[0] == 1 and found[-1] < 1e-2
    keep = np.array(expected) > 1e-6  # where PyTorch stops to follow changes below 1e-8
    np.testing.assert_allclose(np.array(found)[keep], np.array(expected)[keep], rtol=1e-9)


def test_a_plateau_goes_on_from_json():
    whole, part = Plateau(), Plateau()
    figures = [1.0, 0.9, 0.95, float("nan"), 0.9, 0.92, 0.91, 0.91, 0.5, 0.6]
    for figure in figures[:4]:
        whole.step(figure)
        part.step(figure)
    saved = json.loads(json.dumps(part.state(), allow_nan=False))
    resumed = Plateau()
    resumed.load(saved)
    for figure in figures[4:]:
        whole.step(figure)
        resumed.step(figure)
    assert resumed == whole and whole.factor == pytest.approx(0.1) and whole.best == 0.5
    json.dumps(Plateau().state(), allow_nan=False)  # before the first epoch too
