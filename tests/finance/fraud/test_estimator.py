"""`FraudDetector` learns from a frame, answers, and comes back from a bundle."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from fraud_run import fraud_run, table_of

from finance import FraudDetector
from lepton_solutions.deploy.parity import TOLERANCE
from lepton_solutions.errors import UserError

OVERRIDES = ("model.members=2", "model.anomaly=[]")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return table_of(60, 60).to_pandas().drop(columns=["tx", "action", "channel"])


@pytest.fixture(scope="module")
def fitted(frame) -> FraudDetector:
    """Learned from all but the last 100 rows."""
    asked = FraudDetector(budget=5, epochs=10, overrides=OVERRIDES)
    return asked.fit(frame[:-100], time="ts", entity=["card", "terminal"], amount="amount", target="fraud")


def test_what_comes_after_is_answered_from_what_was_learned_from(fitted, frame):
    new = frame[-100:]
    answers = fitted.score(new)
    assert answers.columns.tolist() == ["id", "probability", "decision"]
    with fitted.stream() as stream:
        streamed = stream.score_many(new.astype({"ts": str}).to_dict("records"))
    assert answers["id"].tolist() == [answer["id"] for answer in streamed]
    expected = [answer["probability"] for answer in streamed]
    np.testing.assert_allclose(answers["probability"], expected, rtol=0, atol=TOLERANCE)
    cold = FraudDetector.load(fitted._folder).score(new)
    assert np.abs(cold["probability"] - answers["probability"]).max() > TOLERANCE  # no history, other answers


def test_rows_that_were_learned_from_are_not_counted_twice(fitted, frame):
    new = frame[-100:]
    again = fitted.score(frame[-300:])  # 200 of them were there in `fit`
    np.testing.assert_allclose(again["probability"][-100:], fitted.score(new)["probability"], rtol=0, atol=TOLERANCE)


def test_answers_keep_the_order_of_the_frame(fitted, frame):
    new = frame[-100:]
    mixed = new.sample(frac=1, random_state=0)
    answers, expected = fitted.score(mixed), fitted.score(new)
    by_id = expected.set_index("id")["probability"]
    assert answers["id"].tolist() != expected["id"].tolist()
    np.testing.assert_allclose(answers["probability"], by_id[answers["id"]], rtol=0, atol=TOLERANCE)


def test_explanations_say_why_and_name_past_frauds(fitted, frame):
    told = fitted.explain(frame[-20:])
    assert told.columns.tolist() == ["id", "probability", "decision", "reasons", "log_odds", "nearest"]
    pd.testing.assert_series_equal(told["id"], fitted.score(frame[-20:])["id"])
    assert all(len(row.reasons) == len(row.log_odds) <= 4 for row in told.itertuples())
    assert all(near["amount"] >= 0 for nearest in told["nearest"] for near in nearest)


def test_a_saved_detector_answers_as_before(fitted, frame, tmp_path):
    fitted.save(tmp_path / "bundle")
    loaded = FraudDetector.load(tmp_path / "bundle")
    expected = fitted.score(frame[-100:])
    # What is loaded knows no past, so it is given along.
    found = loaded.score(frame)[-100:].reset_index(drop=True)
    np.testing.assert_allclose(found["probability"], expected["probability"], rtol=0, atol=TOLERANCE)
    with pytest.raises(UserError, match="exists and is not empty"):
        fitted.save(tmp_path / "bundle")


def test_a_bundle_of_the_command_line_is_loaded(tmp_path):
    run = fraud_run()
    answers = FraudDetector.load(run.folder).score(run.folder.parent / "tx.csv")
    assert answers["id"].tolist() == run.table.column("tx").to_pylist()


def test_a_store_that_holds_something_is_not_filled_again(fitted, frame, tmp_path):
    with fitted.stream(tmp_path / "state.db") as stream:
        begun = stream.state.newest
        first = stream.score(frame[-1:].astype({"ts": str}).to_dict("records")[0])
        assert stream.state.newest > begun
    with fitted.stream(tmp_path / "state.db") as stream:
        assert stream.score(frame[-1:].astype({"ts": str}).to_dict("records")[0]) == first


def test_nothing_is_answered_before_anything_is_learned(frame):
    with pytest.raises(UserError, match="has learned nothing yet"):
        FraudDetector().score(frame)


def test_a_name_that_is_no_column_is_refused(frame):
    with pytest.raises(UserError, match="found no column `terminals`"):
        FraudDetector().fit(frame, time="ts", entity=["card", "terminals"], amount="amount", target="fraud")


def test_finance_is_imported_without_pandas_or_torch():
    code = "import finance, sys; print([name for name in ('torch', 'pandas', 'sklearn') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
