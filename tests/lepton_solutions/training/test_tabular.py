"""Training the tabular ensemble: reproducible, weighted, and able to learn."""

import numpy as np
from fit_settings import fit_settings

from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.settings import TabularMLP as Shape
from lepton_solutions.training.tabular import bins_for, fit_mlp, input_dropout_for, recipe_for

COLUMNS = Columns((Column("x", "numeric"), Column("z", "numeric")))
CHANCE = np.random.default_rng(0)
ROWS = Rows(CHANCE.normal(size=(400, 2)).astype(np.float32), np.empty((400, 0), np.int64))
TARGET = (ROWS.numeric[:, 0] > 0).astype(np.int8)
ONES = np.ones(400)


TABLE = {"epochs": 10, "batch_size": 64, "learning_rate": 0.01, "betas": (0.9, 0.99), "weight_decay": 0.1}


def fitted(target=TARGET, weight=ONES, *, seed=0, **more):
    shape = Shape(members=4, width=16, bins=8, dropout=0.1, input_dropout=0.0)
    return fit_mlp(
        ROWS, target, weight, columns=COLUMNS, shape=shape, settings=fit_settings(**TABLE), seed=seed, **more
    )


def test_the_same_seed_gives_the_same_weights_bit_for_bit():
    first, second, other = fitted(), fitted(), fitted(seed=1)
    states = [model.net.state_dict() for model in (first, second, other)]
    assert all((states[0][name] == states[1][name]).all() for name in states[0])
    assert any((states[0][name] != states[2][name]).any() for name in states[0])


def test_a_separable_class_is_learned():
    assert ((fitted().logit(ROWS) > 0) == TARGET).mean() > 0.97


def test_a_row_without_weight_has_no_say_in_what_is_learned():
    weight = np.where(np.arange(400) < 200, 1.0, 0.0)
    turned = np.where(weight > 0, TARGET, 1 - TARGET).astype(np.int8)
    assert fitted(turned, weight).logit(ROWS).tolist() == fitted(TARGET, weight).logit(ROWS).tolist()


def test_the_watcher_sees_every_epoch():
    shares: list[float] = []
    fitted(watch=lambda share, text: shares.append(share))
    assert shares[-1] == 1 and shares == sorted(shares)
    assert {round(share, 9) for share in shares} >= {round(epoch / 10, 9) for epoch in range(1, 11)}


def test_what_is_set_is_what_runs_and_the_rest_follows_the_rows():
    assert recipe_for(600, fit_settings(epochs=7, batch_size=9)).epochs == 7
    few, many = (recipe_for(n, fit_settings(epochs=None, batch_size=None)) for n in (600, 1_000_000))
    assert few.epochs > many.epochs
    assert bins_for(100) <= bins_for(100_000) and input_dropout_for(100) >= input_dropout_for(100_000)
