"""The measured run: policies by a hand count of the predictions that lie beside them, groups, and weights."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from finance.credit.measure import _policy


def test_a_policy_is_counted_by_hand():
    y, refused, w = np.array([1, 1, 0, 0]), np.array([False, True, True, False]), np.array([1.0, 2.0, 3.0, 4.0])
    costs = {"cost_of_missed_positive": 5.0, "cost_of_false_alarm": 1.0}
    found = _policy("x", y, refused, w, generator=np.random.default_rng(0), **costs)
    assert found["cost"]["value"] == pytest.approx((5 * 1 + 1 * 3) / 10)
    assert found["approval_rate"]["value"] == pytest.approx(5 / 10)
    assert found["bad_rate"]["value"] == pytest.approx(1 / 5)


def test_a_policy_that_approves_nobody_has_no_bad_rate():
    costs = {"cost_of_missed_positive": 5.0, "cost_of_false_alarm": 1.0}
    y, w = np.array([1, 0]), np.ones(2)
    assert _policy("x", y, np.ones(2, dtype=bool), w, generator=np.random.default_rng(0), **costs)["bad_rate"] is None


def test_the_policies_of_a_run_follow_from_its_predictions(run_folder):
    found = json.loads((run_folder / "evaluation.json").read_text())
    rows = pq.read_table(run_folder / "predictions.parquet")
    y, risk = rows.column("target").to_numpy(), rows.column("trained").to_numpy()
    refused = risk >= found["decision"]["threshold"]
    by_name = {policy["policy"]: policy for policy in found["policies"]}
    ours = (5 * (y[~refused] == 1).sum() + (y[refused] == 0).sum()) / len(y)
    assert by_name["this model"]["cost"]["value"] == pytest.approx(ours)
    assert by_name["approve all"]["cost"]["value"] == pytest.approx(5 * y.mean())
    assert by_name["refuse all"]["cost"]["value"] == pytest.approx(1 - y.mean())
    assert found["saved_over_rule"]["value"] == pytest.approx(min(5 * y.mean(), 1 - y.mean()) - ours)


def test_outcomes_are_reported_by_every_protected_column(run_folder):
    found = json.loads((run_folder / "evaluation.json").read_text())
    facts = json.loads((run_folder / "data.json").read_text())
    tested = found["parts"]["test"]["rows"]
    counted = {name: sum(g["rows"] for g in found["groups"] if g["column"] == name) for name in facts["protected"]}
    assert counted == dict.fromkeys(("personal_status", "age", "foreign_worker"), tested)
    assert not {column["name"] for column in facts["columns"]} & set(facts["protected"])
