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


def test_log_odds_are_the_mean_of_the_members():
    trees, logistic = (MODELS[name].logit(ROWS) for name in ("trees", "logistic"))
    assert Combination(MODELS).logit(ROWS) == pytest.approx((trees + logistic) / 2)


@pytest.mark.parametrize("rows", [ROWS, spoiled(ROWS), ROWS.take(slice(0, 1))], ids=["known", "spoiled", "one"])
def test_the_graph_gives_the_trained_log_odds(rows):
    model = Combination(MODELS)
    assert exported(model.graph(), rows) == pytest.approx(model.logit(rows), abs=1e-5)  # see the members' tests


def test_what_is_saved_makes_the_same_combination(tmp_path):
    Combination(MODELS).save(tmp_path / "both")
    kinds = {"trees": Boosting, "logistic": Additive}
    loaded = Combination({name: kind.load(tmp_path / "both" / name) for name, kind in kinds.items()})
    assert loaded.logit(ROWS).tolist() == Combination(MODELS).logit(ROWS).tolist()


def test_a_combination_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one member"):
        Combination({})
