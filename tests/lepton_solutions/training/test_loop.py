"""The training loop against AdamW written out by hand, and what it promises about stopping, splitting and rescue."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from fit_settings import fit_settings
from safetensors.torch import load_file
from torch import Tensor, nn

from lepton_solutions import tasks
from lepton_solutions.data.batches import Resident
from lepton_solutions.errors import UserError
from lepton_solutions.training.loop import Outcome, fit

X = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.3, -0.7]], dtype=torch.float64)
Y = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
CHANCE = torch.Generator().manual_seed(0)
ROWS = torch.randn(100, 4, generator=CHANCE)
CLASS = (ROWS[:, 0] > 0).float()


class Column(nn.Module):
    """One linear output as a vector [n]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).squeeze(1)


def small(seed: int = 0, dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(dropout), Column(8))


def train(network: nn.Module, *, x: Tensor = ROWS, y: Tensor = CLASS, task=None, weight=None, **more) -> Outcome:
    keys = {key: more.pop(key) for key in list(more) if key in type(fit_settings()).model_fields}
    task = task or tasks.binary()
    generator = torch.Generator().manual_seed(0)
    return fit(network, task, Resident((x,), y, weight), fit_settings(**keys), seed=0, generator=generator, **more)


def weights(network: nn.Module) -> np.ndarray:
    return torch.cat([p.detach().flatten() for p in network.parameters()]).numpy()


def cosine(done: float, warm_up: float) -> float:
    return done / warm_up if done < warm_up else 0.5 * (1 + np.cos(np.pi * (done - warm_up) / (1 - warm_up)))


def test_three_steps_are_those_of_adamw_by_hand():
    network = Column(2).double()
    p = weights(network).copy()
    start = p.copy()
    asked = {"epochs": 3, "batch_size": 3, "learning_rate": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.3}
    train(network, x=X, y=Y, task=tasks.regression(), warm_up=0.5, **asked)

    x, y, m, v = X.numpy(), Y.numpy(), np.zeros(3), np.zeros(3)
    for step in range(3):
        rate = 0.1 * cosine(step / 3, 0.5)
        error = x @ p[:2] + p[2] - y
        g = 2 / 3 * np.array([*(x.T @ error), error.sum()])
        p = p * (1 - rate * np.array([0.3, 0.3, 0]))  # decoupled, and not of the bias
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        p = p - rate * (m / (1 - 0.9 ** (step + 1))) / (np.sqrt(v / (1 - 0.99 ** (step + 1))) + 1e-8)
    np.testing.assert_allclose(weights(network), p, rtol=1e-12)
    assert not np.allclose(p, start)


def test_the_same_seed_gives_the_same_weights_bit_for_bit():
    first, second = small(dropout=0.3), small(dropout=0.3)
    train(first), train(second)
    assert (weights(first) == weights(second)).all()


def test_the_callers_random_state_is_left_alone():
    before = torch.get_rng_state()
    train(small(dropout=0.3))
    assert (torch.get_rng_state() == before).all()


def test_a_row_of_weight_two_counts_as_two_rows():
    weighted, doubled = Column(2).double(), Column(2).double()
    doubled.load_state_dict(weighted.state_dict())
    asked = {"task": tasks.regression(), "optimiser": "sgd", "momentum": 0.0, "learning_rate": 0.1, "epochs": 4}
    train(weighted, x=X, y=Y, weight=torch.tensor([1.5, 0.75, 0.75], dtype=torch.float64), batch_size=3, **asked)
    twice = [0, 0, 1, 2]
    train(doubled, x=X[twice], y=Y[twice], batch_size=4, **asked)
    np.testing.assert_allclose(weights(weighted), weights(doubled), rtol=1e-12)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(clip: float | None):
    whole, parts = small().double(), small().double()
    for network, accumulate in ((whole, 1), (parts, 3)):
        train(network, x=ROWS.double(), accumulate=accumulate, clip_norm=clip, batch_size=50)
    np.testing.assert_allclose(weights(whole), weights(parts), rtol=1e-9)  # float64; only the order of sums differs


def test_clipping_bounds_the_step():
    network = small()
    start = weights(network).copy()
    train(network, optimiser="sgd", momentum=0.0, weight_decay=0.0, schedule="constant", warm_up=0.0,
          learning_rate=1.0, clip_norm=1e-3, epochs=1, batch_size=100)  # fmt: skip
    assert np.linalg.norm(weights(network) - start) == pytest.approx(1e-3, rel=1e-3)


class Greedy(nn.Module):
    """Runs out of memory above so many rows."""

    def __init__(self, inner: nn.Module, most: int) -> None:
        super().__init__()
        self.inner, self.most = inner, most

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.most and self.training:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.inner(x)


@pytest.mark.parametrize("plan", ["eager", "auto"])
def test_out_of_memory_splits_the_batch_and_says_so(said: list[str], plan: str):
    plain, greedy = small().double(), Greedy(small().double(), 15)
    for network in (plain, greedy):
        train(network, x=ROWS.double(), batch_size=50, plan=plan, precision="fp32")
    np.testing.assert_allclose(weights(plain), weights(greedy), rtol=1e-9)
    assert [line for line in said if "in 2 parts" in line] and [line for line in said if "in 4 parts" in line]


def test_when_one_row_is_too_much_the_message_says_so():
    with pytest.raises(UserError, match="single row"):
        train(Greedy(small(), 0))


def judge_of(figures: list[float], seen: list[np.ndarray]):
    def judge(network: nn.Module) -> dict[str, float]:
        assert not network.training
        seen.append(weights(network).copy())
        return {"loss": figures[len(seen) - 1]}

    return judge


def test_early_stopping_waits_its_patience_and_restores_the_best_weights():
    network, seen = small(), []
    outcome = train(network, judge=judge_of([0.9, 0.5, 0.7, 0.6, 0.55, 0.1], seen), patience=3, epochs=6)
    assert (outcome.stopped, outcome.epochs, outcome.epoch, outcome.metrics) == ("patience", 5, 2, {"loss": 0.5})
    assert (weights(network) == seen[1]).all() and not (seen[1] == seen[4]).all()


def test_where_more_is_better_early_stopping_turns_round():
    outcome = train(small(), judge=judge_of([0.5, 0.9, 0.8, 0.7], []), patience=2, epochs=9, higher_is_better=True)
    assert (outcome.stopped, outcome.epoch) == ("patience", 2)


def test_without_patience_every_epoch_runs_and_the_last_weights_stay():
    network, seen = small(), []
    outcome = train(network, judge=judge_of([0.1, 0.5, 0.7, 0.6, 0.8], seen))
    assert (outcome.stopped, outcome.epochs) == ("epochs", 5)
    assert (weights(network) == seen[-1]).all()


def test_a_time_budget_ends_the_training_inside_an_epoch():
    outcome = train(small(), seconds=1e-6, epochs=1000, batch_size=1)
    assert outcome.stopped == "seconds" and 0 < outcome.steps < 100


def test_averaged_weights_are_judged_and_kept():
    network, seen = small(), []
    train(network, judge=judge_of([0.0] * 5, seen), average="ema", average_decay=0.9)
    plain = small()
    train(plain)
    assert (weights(network) == seen[-1]).all() and not np.allclose(weights(plain), weights(network))


def test_the_history_holds_every_epoch_with_its_figures(tmp_path: Path):
    train(small(), judge=judge_of([0.9, 0.8, 0.7, 0.6, 0.5], []), folder=tmp_path)
    with (tmp_path / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["7", "14", "21", "28", "35"]
    assert [float(row["validation_loss"]) for row in rows] == [0.9, 0.8, 0.7, 0.6, 0.5]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert all(float(row["gradient_norm"]) > 0 and float(row["rows_per_second"]) > 0 for row in rows)


def test_a_finished_training_gives_way_to_another_in_the_same_folder(tmp_path: Path):
    train(small(), epochs=5, folder=tmp_path)
    first = small()
    train(first, epochs=2, folder=tmp_path)
    again = small(seed=1)
    outcome = train(again, epochs=2, folder=tmp_path)  # found finished: its weights, and no further step
    assert outcome.steps == 14 and (weights(first) == weights(again)).all()


# -- not finite ------------------------------------------------------------------------------------------------------


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


# -- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said_so"),
    [
        ({"batch_size": 101}, "fit.batch_size: found 101, expected at most the 100 rows"),
        ({"patience": 3}, "fit.patience: stops early by validation rows, and there are none"),
        ({"y": CLASS + 1}, "expected"),
        ({"plan": "graph"}, "fit.plan=graph: needs a CUDA device, this run is on cpu"),
        ({"mixup": 0.2, "x": ROWS.long()}, "fit.mixup: some inputs are whole numbers"),
    ],
)
def test_a_mistake_is_named_before_the_first_step(change: dict, said_so: str):
    network = small()
    before = weights(network).copy()
    with pytest.raises(UserError, match=re.escape(said_so)):
        train(network, **change)
    assert (weights(network) == before).all()


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


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said():
    with pytest.raises(UserError, match=r"fit\.device=cuda: "):
        train(small(), device="cuda")
