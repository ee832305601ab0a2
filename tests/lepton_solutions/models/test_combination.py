"""Combinations: the mean of log-odds, trained, exported and saved alike."""

import numpy as np
import pytest
from real_rows import exported, german, spoiled

from lepton_solutions.models.boosting import Boosting, Trees, fit_boosting
from lepton_solutions.models.combination import Combination
from lepton_solutions.models.linear import Additive, fit_logistic

COLUMNS, ROWS, TARGET = german()
MODELS = {
    "trees": fit_boosting(ROWS, TARGET, np.ones(1000), columns=COLUMNS, seed=0, trees=Trees(rounds=20)),
    "logistic": fit_logistic(ROWS, TARGET, np.ones(1000), columns=COLUMNS, seed=0, penalty=0.01),
}


def test_log_odds_are_the_weighted_mean_of_the_members():
    trees, logistic = (MODELS[name].logit(ROWS) for name in ("trees", "logistic"))
    assert Combination(MODELS).logit(ROWS) == pytest.approx((trees + logistic) / 2)
    assert Combination(MODELS, {"logistic": 3, "trees": 1}).logit(ROWS) == pytest.approx((trees + 3 * logistic) / 4)


@pytest.mark.parametrize("rows", [ROWS, spoiled(ROWS), ROWS.take(slice(0, 1))], ids=["known", "spoiled", "one"])
def test_the_graph_gives_the_trained_log_odds(rows):
    model = Combination(MODELS, {"logistic": 3, "trees": 1})
    assert exported(model.graph(), rows) == pytest.approx(model.logit(rows), abs=1e-5)  # see the members' tests


def test_a_saved_combination_is_the_same(tmp_path):
    model = Combination(MODELS, {"logistic": 3, "trees": 1})
    model.save(tmp_path / "both")
    loaded = Combination.load(tmp_path / "both", {"trees": Boosting, "logistic": Additive})
    assert loaded.weights == model.weights
    assert loaded.logit(ROWS).tolist() == model.logit(ROWS).tolist()


@pytest.mark.parametrize("weights", [{"trees": 1}, {"trees": -1, "logistic": 2}, {"trees": 0, "logistic": 0}])
def test_weights_must_fit_the_members(weights):
    with pytest.raises(ValueError, match="weights"):
        Combination(MODELS, weights)
