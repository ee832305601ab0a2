"""The training loop against AdamW written out by hand, and what it promises about stopping, splitting and mistakes."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from fit_settings import CLASS, ROWS, Column, small, train, weights
from torch import Tensor, nn

from lepton_solutions import tasks
from lepton_solutions.errors import UserError

X = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.3, -0.7]], dtype=torch.float64)
Y = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


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


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said():
    with pytest.raises(UserError, match=r"fit\.device=cuda: "):
        train(small(), device="cuda")
