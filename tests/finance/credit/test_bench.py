"""The bench: reported seeds stay unseen while tuning, and its table is the folds' mean."""

import numpy as np
import pytest

from finance.credit import bench
from lepton_solutions.bench import Cell
from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.prepare import Sample


def test_tuning_never_sees_a_reported_seed(monkeypatch):
    chance, seen, split = np.random.default_rng(0), [], bench.splits

    def watched(target, seed):
        seen.append(seed)
        return split(target, seed)

    monkeypatch.setattr(bench, "splits", watched)
    x = chance.normal(size=(200, 1)).astype(np.float32)
    sample = Sample(Rows(x, np.empty((200, 0), np.int64)), (x[:, 0] > 0).astype(np.int8), np.ones(200))
    bench.tune("logistic", sample, Columns((Column("x", "numeric"),)))
    assert set(seen) == {bench.TUNING_SEED}
    assert not {bench.TUNING_SEED} & {seed for seeds in bench.SEEDS.values() for seed in seeds}


def record(**signs: float) -> dict:
    """Ten rows in five folds, each of one positive and one negative; AUC 1 for sign 1, 0 for sign -1."""
    return {
        "target": [0, 1] * 5,
        "fold": [0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
        "logit": {name: [-sign, sign] * 5 for name, sign in signs.items()},
        "seconds": dict.fromkeys(signs, 2.0),
        "peak_mb": 100,
    }


def test_the_table_holds_the_mean_over_folds_and_seeds():
    cells = {Cell("german", "logistic", seed): record(logistic=sign) for seed, sign in enumerate((1.0, 1.0, -1.0))}
    rows = {row.model: row for row in bench.table(cells)}
    assert rows["logistic"].value == pytest.approx(2 / 3)
    assert (rows["logistic"].seeds, rows["logistic"].seconds, rows["logistic"].ours) == (3, 2.0, False)
    assert not set(bench.OURS) & rows.keys()  # not measured
    assert all(row.source.startswith("published: ") for name, row in rows.items() if name != "logistic")


def test_one_record_of_ours_makes_a_row_for_each_of_our_models():
    rows = {row.model: row for row in bench.table({Cell("german", "ours", 0): record(mlp=-1.0, combination=1.0)})}
    assert (rows["MLP"].value, rows["combination"].value) == (0.0, 1.0)
    assert rows["MLP"].ours and rows["combination"].ours
