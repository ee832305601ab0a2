"""The simple models: what they read of a window, and that they answer as the formula says."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from small_fleets import fleet

from manufacturing.failure.baselines import Seen, fit_baselines, load_baseline, loss_of, seen, summary_of


def rows(n: int, seed: int) -> Seen:
    chance = np.random.default_rng(seed)
    return Seen(chance.normal(size=(n, 4)).astype(np.float32), np.arange(n, dtype=np.float64))


def test_a_window_is_its_last_row_the_mean_and_the_slope_of_each_sensor():
    steps = torch.arange(5.0)
    window = torch.stack([3 + 2 * steps, torch.full((5,), 7.0), steps**2], 1)[None]
    found = summary_of(window, sensors=2)[0].tolist()
    # Over a window as wide as 2, the first sensor moves from 3 to 11: 4 a unit.
    assert found == pytest.approx([11, 7, 16, 7, 7, 4, 0])


def test_a_machine_lives_as_long_as_others_did():
    machines = fleet([(10, 10.0), (20, 20.0), (8, None)])
    looked = seen(
        torch.from_numpy(machines.values),
        torch.zeros(38, dtype=torch.int64),
        machines,
        np.arange(38),
        window=3,
        sensors=1,
    )
    pair = (looked, np.zeros(38))
    model = fit_baselines("rul", machines, pair, pair, cap=12.0, sensors=1, seed=0, names=["average_life"])[
        "average_life"
    ]
    assert model.answer(looked)[:10, 0].tolist() == [12, 12, 12, 12, 11, 10, 9, 8, 7, 6]


def test_the_linear_model_is_ridge_with_the_penalty_that_validation_rows_prefer():
    fitted, judged = rows(200, 0), rows(100, 1)
    target = [50 + 10 * one.summary[:, 0].astype(np.float64) for one in (fitted, judged)]
    model = fit_baselines(
        "rul",
        fleet([(3, 3.0)]),
        (fitted, target[0]),
        (judged, target[1]),
        cap=100.0,
        sensors=1,
        seed=0,
        names=["linear"],
    )["linear"]
    x = (fitted.summary - fitted.summary.mean(0, dtype=np.float64)) / fitted.summary.std(0, dtype=np.float64)
    by_hand = Ridge(0.1).fit(x, target[0] / 100)
    asked = (judged.summary - fitted.summary.mean(0, dtype=np.float64)) / fitted.summary.std(0, dtype=np.float64)
    np.testing.assert_allclose(model.answer(judged)[:, 0], 100 * by_hand.predict(asked), rtol=1e-5)


@pytest.mark.parametrize("question", ["rul", "failure", "diagnosis"])
@pytest.mark.parametrize("name", ["linear", "lightgbm"])
def test_a_saved_model_answers_as_before(question, name, tmp_path):
    fitted = rows(300, 0)
    score = fitted.summary[:, 0]
    target = {"rul": 50 + 10 * score, "failure": score > 0.5, "diagnosis": (score > 0.5) + (score > -0.5) * 1}[question]
    target = target.astype(np.float64 if question == "rul" else np.int64)
    pair = (fitted, target)
    found = fit_baselines(question, fleet([(3, 3.0)]), pair, pair, cap=100.0, sensors=1, seed=0, names=[name])[name]
    found.save(tmp_path / name)
    answer = load_baseline(tmp_path / name).answer(fitted)
    np.testing.assert_array_equal(answer, found.answer(fitted))
    assert answer.shape == (300, {"rul": 1, "failure": 1, "diagnosis": 3}[question])


def test_the_loss_is_that_of_the_field():
    chance, target = np.array([[0.1], [0.7], [0.4]]), np.array([0, 1, 1])
    assert loss_of("failure", chance, target) == pytest.approx(log_loss(target, chance[:, 0]))
    classes = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    assert loss_of("diagnosis", classes, np.array([1, 2])) == pytest.approx(log_loss([1, 2], classes, labels=[0, 1, 2]))
    assert loss_of("rul", np.array([[3.0], [5.0]]), np.array([0.0, 9.0])) == pytest.approx(np.sqrt((9 + 16) / 2))
