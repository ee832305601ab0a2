"""Boosted trees: the exported trees decide every row as LightGBM does."""

import re

import numpy as np
import pytest
from real_rows import exported, german, spoiled

from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.models.boosting import Boosting, Trees, fit_boosting, float_thresholds, trees_graph

COLUMNS, ROWS, TARGET = german()
ONES = np.ones(len(ROWS))


def fitted(
    rows=ROWS, target=TARGET, weight=ONES, *, columns=COLUMNS, validation=None, rounds=60, threads=1, **more
) -> Boosting:
    shape = {"columns": columns, "trees": Trees(rounds=rounds, **more), "threads": threads}
    return fit_boosting(rows, target, weight, seed=3, validation=validation, **shape)


def splits(node: dict) -> list[tuple[int, float]]:
    """Column and threshold of every numeric split."""
    if "split_feature" not in node:
        return []
    below = splits(node["left_child"]) + splits(node["right_child"])
    return below + ([(node["split_feature"], node["threshold"])] if node["decision_type"] == "<=" else [])


def at_thresholds(model: Boosting, rows: Rows) -> Rows:
    """Three rows for each threshold: on it, and on the next float32 to either side."""
    found = [split for tree in model.booster.dump_model()["tree_info"] for split in splits(tree["tree_structure"])]
    found = [split for split in found if abs(split[1]) < 1e30]  # beyond that only a missing value goes right
    assert len(found) > 50
    taken = rows.take(np.arange(3 * len(found)) % len(rows))
    for i, (column, threshold) in enumerate(found):
        near = np.float32(threshold)
        around = (np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf)))
        taken.numeric[3 * i : 3 * i + 3, column] = around
    return taken


@pytest.mark.parametrize("rows", [ROWS, spoiled(ROWS), ROWS.take(slice(0, 1))], ids=["known", "spoiled", "one"])
def test_the_graph_gives_the_trained_log_odds(rows):
    model = fitted()
    # leaves are summed in float32: some hundred terms below 1
    assert exported(model.graph(), rows) == pytest.approx(model.logit(rows), abs=1e-5)


def test_rows_at_a_threshold_fall_to_the_same_side():
    fractions = Rows((ROWS.numeric / 7).astype(np.float32) - 1, ROWS.codes)  # thresholds that float32 cannot hold
    model = fitted(fractions)
    rows = at_thresholds(model, fractions)
    assert exported(model.graph(), rows) == pytest.approx(model.logit(rows), abs=1e-5)


def test_rows_around_zero_fall_to_the_same_side():
    chance = np.random.default_rng(0)
    values = np.where(chance.random((1000, 1)) < 0.5, 0, chance.normal(size=(1000, 1))).astype(np.float32)
    rows = Rows(values, np.empty((1000, 0), np.int64))
    model = fitted(rows, (values[:, 0] < 0).astype(np.int8), columns=Columns((Column("a", "numeric"),)))
    rows = at_thresholds(model, rows)
    assert exported(model.graph(), rows) == pytest.approx(model.logit(rows), abs=1e-5)


def test_float_thresholds_decide_every_float_as_the_doubles_did():
    import lightgbm

    chance = np.random.default_rng(0)
    x = chance.random((500, 3)).astype(np.float32)
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 1, "min_data_in_bin": 1}
    original = lightgbm.train(settings, lightgbm.Dataset(x, chance.integers(0, 2, 500), params=settings), 50)
    text = float_thresholds(original.model_to_string())
    values = [float(value) for line in re.findall("^threshold=(.*)$", text, re.MULTILINE) for value in line.split()]
    assert values == [float(np.float32(value)) for value in values]
    assert lightgbm.Booster(model_str=text).predict(x).tolist() == original.predict(x).tolist()


@pytest.mark.parametrize("kind", ["numeric", "category"])
def test_columns_of_one_kind_are_enough(kind):
    columns = Columns(tuple(column for column in COLUMNS.columns if column.kind == kind))
    rows = Rows(ROWS.numeric[:, : len(columns.numeric)], ROWS.codes[:, : len(columns.categories)])
    model = fitted(rows, columns=columns)
    assert exported(model.graph(), spoiled(rows)) == pytest.approx(model.logit(spoiled(rows)), abs=1e-5)


def test_many_levels_and_many_leaves_still_export():
    chance = np.random.default_rng(0)
    codes = chance.integers(2, 1002, (5000, 1))
    target = (chance.normal(size=1002)[codes[:, 0]] + chance.normal(size=5000) > 0).astype(np.int8)
    columns = Columns((Column("a", "category", tuple(map(str, range(1000)))),))
    rows = Rows(np.empty((5000, 0), np.float32), codes)
    model = fitted(rows, target, np.ones(5000), columns=columns, rounds=5, leaves=63, leaf_rows=2)
    assert exported(model.graph(), spoiled(rows)) == pytest.approx(model.logit(spoiled(rows)), abs=1e-5)


def test_rows_too_few_to_split_give_the_share_of_the_class():
    few = ROWS.take(slice(0, 8))
    model = fitted(few, np.array([0, 1] * 4, np.int8), np.arange(1.0, 9.0))
    assert model.logit(few) == pytest.approx(np.log(20 / 16), abs=1e-6)  # weights 2 + 4 + 6 + 8 against 1 + 3 + 5 + 7
    assert exported(model.graph(), few) == pytest.approx(np.log(20 / 16), abs=1e-6)


def test_a_value_missing_where_training_had_none_counts_as_the_median():
    model = fitted()
    gone, median = (Rows(ROWS.numeric.copy(), ROWS.codes) for _ in range(2))
    gone.numeric[:, 0] = np.nan
    median.numeric[:, 0] = np.quantile(ROWS.numeric[:, 0], 0.5, method="inverted_cdf")
    assert model.logit(gone).tolist() == model.logit(median).tolist()


def test_a_row_without_weight_teaches_nothing():
    weight = np.where(np.arange(1000) < 700, 1.0, 0.0)
    assert fitted(weight=weight).text == fitted(ROWS.take(slice(0, 700)), TARGET[:700], np.ones(700)).text


def test_a_doubled_weight_is_nearly_a_doubled_row():
    weight = np.where(TARGET == 1, 2.0, 1.0)
    repeated = np.repeat(np.arange(1000), weight.astype(int))
    plain = {"row_share": 1.0, "feature_share": 1.0, "leaf_rows": 1}
    weighted = fitted(weight=weight, **plain).logit(ROWS)
    doubled = fitted(ROWS.take(repeated), TARGET[repeated], np.ones(len(repeated)), **plain).logit(ROWS)
    # Bins and smallest leaves count rows, not weights, so trees differ here and there.
    assert weighted.mean() == pytest.approx(doubled.mean(), abs=0.02)
    assert np.corrcoef(weighted, doubled)[0, 1] > 0.99
    assert weighted.mean() > fitted(**plain).logit(ROWS).mean() + 0.4  # of ln 2 = .69, in full for a constant model


def test_training_stops_when_the_validation_rows_gain_nothing_more():
    held = (ROWS.take(slice(600, None)), TARGET[600:], ONES[600:])
    train = (ROWS.take(slice(0, 600)), TARGET[:600], ONES[:600])
    stopped = fitted(*train, validation=held, rounds=10).booster.num_trees()
    assert 10 <= stopped < 1000
    assert fitted(*train, validation=held, rounds=700).booster.num_trees() >= 700


def test_the_same_seed_gives_the_same_text_whatever_the_threads():
    assert fitted().text == fitted(threads=2).text


def test_a_saved_model_is_the_same_model(tmp_path):
    model = fitted()
    model.save(tmp_path / "trees")
    loaded = Boosting.load(tmp_path / "trees")
    assert loaded.text == model.text
    assert loaded.logit(spoiled(ROWS)).tolist() == model.logit(spoiled(ROWS)).tolist()


@pytest.mark.parametrize(("objective", "outputs"), [("regression", 1), ("binary", 1), ("multiclass", 3)])
def test_trees_of_any_objective_export_their_raw_sums(objective, outputs):
    import lightgbm
    import onnxruntime

    values = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    target = np.clip(np.floor(values[:, 0] + 1.5), 0, 2 if objective == "multiclass" else 1)
    asked = {"objective": objective, "verbosity": -1} | ({"num_class": 3} if outputs == 3 else {})
    model = lightgbm.train(asked, lightgbm.Dataset(values, target), 20)
    text = float_thresholds(model.model_to_string())
    session = onnxruntime.InferenceSession(trees_graph(text, "values", "raw").SerializeToString())
    (raw,) = session.run(["raw"], {"values": values})
    np.testing.assert_allclose(raw, model.predict(values, raw_score=True).reshape(500, outputs), atol=1e-5)
