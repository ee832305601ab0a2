"""Logistic regression: what it ignores, what it honours, and its graph."""

from functools import partial

import numpy as np
import pytest
from real_rows import exported, german, spoiled
from scipy import optimize
from sklearn.linear_model import LogisticRegression

from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.models.linear import Additive, choose_penalty, fit_logistic, fit_weights

COLUMNS, ROWS, TARGET = german()
ONES = np.ones(len(ROWS))


def fitted(rows=ROWS, target=TARGET, weight=ONES, *, columns=COLUMNS, penalty=0.01) -> Additive:
    return fit_logistic(rows, target, weight, columns=columns, seed=0, penalty=penalty)


@pytest.mark.parametrize("rows", [ROWS, spoiled(ROWS), ROWS.take(slice(0, 1))], ids=["known", "spoiled", "one"])
def test_the_graph_gives_the_trained_log_odds(rows):
    model = fitted()
    # float32 has a relative step of 1.2e-7; twenty terms of size 1 stay well below 1e-5.
    assert exported(model.graph(), rows) == pytest.approx(model.logit(rows), abs=1e-5)


@pytest.mark.parametrize("kind", ["numeric", "category"])
def test_columns_of_one_kind_are_enough(kind):
    columns = Columns(tuple(column for column in COLUMNS.columns if column.kind == kind))
    rows = Rows(ROWS.numeric[:, : len(columns.numeric)], ROWS.codes[:, : len(columns.categories)])
    model = fitted(rows, columns=columns)
    assert exported(model.graph(), spoiled(rows)) == pytest.approx(model.logit(spoiled(rows)), abs=1e-5)


def test_what_is_not_bent_rises_with_the_number_itself():
    """Of a share that is nearly always 0 the odds rise in a straight line; scikit-learn's model is one."""
    draw = np.random.default_rng(0)
    share = np.where(draw.random(20_000) < 0.02, draw.random(20_000), 0.0)
    target = (draw.random(20_000) < 1 / (1 + np.exp(3 - 8 * share))).astype(np.int8)
    rows, columns = (
        Rows(share[:, None].astype(np.float32), np.empty((20_000, 0), np.int64)),
        Columns((Column("share", "numeric"),)),
    )
    straight = LogisticRegression(C=1e3).fit(share[:, None], target).decision_function(share[:, None])
    of_all = partial(fit_logistic, rows, target, np.ones(20_000), columns=columns, seed=0, penalty=1e-6)
    losses = [np.logaddexp(0, np.where(target == 1, -logit, logit)).mean()
              for logit in (straight, of_all(bent=False).logit(rows), of_all().logit(rows))]  # fmt: skip
    assert losses[1] == pytest.approx(losses[0], abs=2e-5) and losses[2] > losses[0] + 2e-4


def test_a_whole_weight_is_that_many_equal_rows():
    weight = np.random.default_rng(0).integers(0, 4, len(ROWS))
    repeated = np.repeat(np.arange(len(ROWS)), weight)
    weighted = fitted(weight=weight.astype(float)).logit(ROWS)
    # tolerance of the Newton steps, passed through float32 weights
    assert fitted(ROWS.take(repeated), TARGET[repeated], np.ones(len(repeated))).logit(ROWS) == pytest.approx(
        weighted, abs=1e-5
    )


def test_the_scale_of_the_weights_does_not_matter():
    assert fitted(weight=ONES * 1e-6).logit(ROWS) == pytest.approx(fitted().logit(ROWS), abs=1e-5)


def test_the_weights_minimise_the_penalised_mean_loss():
    chance = np.random.default_rng(0)
    x, y, weight = chance.normal(size=(200, 3)), chance.integers(0, 2, 200).astype(np.int8), chance.random(200)

    def loss(at: np.ndarray) -> float:
        margin = np.where(y == 1, 1, -1) * (x @ at[1:] + at[0])
        return np.average(np.logaddexp(0, -margin), weights=weight) + 0.05 / 2 * at[1:] @ at[1:]

    intercept, coefficients = fit_weights(x, y, weight, penalty=0.05)
    assert [intercept, *coefficients] == pytest.approx(optimize.minimize(loss, np.zeros(4), tol=1e-10).x, abs=1e-5)


def test_noise_is_penalised_more_than_a_signal():
    chance = np.random.default_rng(0)
    x = chance.normal(size=(300, 20))
    noise, signal = chance.integers(0, 2, 300).astype(np.int8), (x.sum(1) > 0).astype(np.int8)
    assert choose_penalty(x, noise, np.ones(300), seed=0) > choose_penalty(x, signal, np.ones(300), seed=0)


def test_an_unseen_level_counts_as_the_average_row():
    model = fitted()
    means = [model.table[j, ROWS.codes[:, j]].mean() for j in range(ROWS.codes.shape[1])]
    assert model.table[:, 0] == pytest.approx(means, abs=1e-6)


def test_one_absurd_value_does_not_own_the_slope():
    extreme = Rows(ROWS.numeric.copy(), ROWS.codes)
    extreme.numeric[0, 0] = 1e9
    ends = Rows(np.repeat(ROWS.numeric[:1], 2, axis=0), np.repeat(ROWS.codes[:1], 2, axis=0))
    ends.numeric[:, 0] = 6, 60  # months
    usual, beside_it = (np.diff(model.logit(ends))[0] for model in (fitted(), fitted(extreme)))
    # The column keeps a good part of its effect; merely standardised, it would keep a ten-millionth.
    assert usual > beside_it > usual / 4


def test_a_constant_and_a_wholly_missing_column_change_nothing():
    more = np.column_stack([ROWS.numeric, np.full(1000, 7), np.full(1000, np.nan)]).astype(np.float32)
    columns = Columns((*COLUMNS.columns, Column("constant", "numeric"), Column("empty", "numeric")))
    model = fitted(Rows(more, ROWS.codes), columns=columns)
    assert model.logit(Rows(more, ROWS.codes)) == pytest.approx(fitted().logit(ROWS), abs=1e-5)


def test_a_saved_model_is_the_same_model(tmp_path):
    model = fitted()
    model.save(tmp_path / "a")
    fitted().save(tmp_path / "b")
    assert Additive.load(tmp_path / "a").logit(ROWS).tolist() == model.logit(ROWS).tolist()
    names = [path.name for path in (tmp_path / "a").iterdir()]
    assert [(tmp_path / "a" / name).read_bytes() for name in names] == [
        (tmp_path / "b" / name).read_bytes() for name in names
    ]
