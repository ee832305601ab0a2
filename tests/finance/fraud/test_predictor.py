"""A bundle answers raw transactions: as they come, and by whole files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from fraud_run import FraudRun, fraud_run, records

from finance.fraud import scoring
from finance.fraud.features import names
from finance.fraud.predictor import FraudPredictor
from finance.fraud.prepare import kept
from lepton_solutions import bundle
from lepton_solutions.data.splits import TEST
from lepton_solutions.deploy.dispatch import predict
from lepton_solutions.deploy.parity import TOLERANCE
from lepton_solutions.errors import UserError

HEAVY = ("torch", "pandas", "sklearn", "lightgbm", "monai", "optbinning", "matplotlib", "onnx", "hydra")
LAST = 300  # rows of the table that the tests answer


@pytest.fixture(scope="module")
def run() -> FraudRun:
    return fraud_run()


@pytest.fixture(scope="module")
def predictor(run) -> FraudPredictor:
    return run.predictor


@pytest.fixture
def past(run) -> pa.Table:
    return run.table.slice(0, len(run.table) - LAST)


@pytest.fixture
def last(run) -> list[dict]:
    return records(run.table.slice(len(run.table) - LAST))


def scored(path) -> dict[str, float]:
    table = pa.csv.read_csv(path)
    return dict(zip(map(str, table.column("tx").to_pylist()), table.column("probability").to_pylist(), strict=True))


def assert_alike(found: list[dict], expected: list[dict]) -> None:
    """But for arithmetic: a call of other rows adds up in another order."""
    assert [answer["id"] for answer in found] == [answer["id"] for answer in expected]
    chance = [answer["probability"] for answer in found]
    assert chance == pytest.approx([answer["probability"] for answer in expected], abs=TOLERANCE)


def test_the_same_answers_one_by_one_together_by_file_and_in_training(run, predictor, past, last, tmp_path):
    with predictor.stream() as stream:
        stream.history(past)
        alone = [stream.score(row) for row in last]
    with predictor.stream() as stream:
        stream.history(past)
        assert_alike(stream.score_many(last), alone)
    predict(run.folder, str(run.folder.parent / "tx.csv"), str(tmp_path / "out.csv"))
    by_file = scored(tmp_path / "out.csv")
    for answer in alone:
        assert by_file[answer["id"]] == pytest.approx(answer["probability"], abs=TOLERANCE)
    prepared = run.prepared
    test = prepared.transactions.id[prepared.rows(TEST)]
    stored = np.load(run.folder / "features.npy")[
        np.searchsorted(np.flatnonzero(kept(prepared.parts)), prepared.rows(TEST))
    ]
    with predictor.stream() as stream:
        stream.history(past)
        answers = stream.take(last)
    _, offline, online = np.intersect1d(test, answers.id, return_indices=True)
    assert len(offline) > LAST / 2
    features = len(names(predictor.definition))
    np.testing.assert_array_equal(answers.rows.numeric[online, :features], stored[offline])


def test_a_bundle_opens_and_answers_where_torch_pandas_and_scikit_learn_are_not_installed(run, tmp_path):
    out = str(tmp_path / "out.csv")
    code = (
        "import sys\nclass Absent:\n def find_spec(self, name, path=None, target=None):\n"
        f"  if name.split('.')[0] in {HEAVY!r}: raise ModuleNotFoundError(name)\nsys.meta_path.insert(0, Absent())\n"
        "from finance.fraud.predictor import FraudPredictor\n"
        f"with FraudPredictor.open({str(run.folder)!r}).stream({str(tmp_path / 'state.db')!r}) as stream:\n"
        f" print(stream.score({records(run.table.slice(0, 1))[0]!r})['id'])\n"
        "from lepton_solutions.deploy.dispatch import predict\n"
        f"from pathlib import Path; predict(Path({str(run.folder)!r}), {str(run.folder.parent / 'tx.csv')!r}, {out!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == run.table.column("tx").slice(0, 1).to_pylist()
    assert len(scored(out)) == len(run.table)


def test_an_alert_has_reasons_and_nothing_else_has(predictor, past, last):
    with predictor.stream() as stream:
        stream.history(past)
        answers = stream.score_many(last)
    alerts = [answer for answer in answers if answer["decision"] == "investigate"]
    assert 0 < len(alerts) < LAST
    assert all(("reasons" in answer) == (answer["decision"] == "investigate") for answer in answers)
    assert any(" is " in reason for answer in alerts for reason in answer["reasons"])


def test_a_card_and_a_terminal_never_seen_are_scored(predictor, past, last):
    with predictor.stream() as stream:
        stream.history(past)
        answer = stream.score({**last[0], "card": "nobody's", "terminal": "somewhere", "channel": "a new one"})
    assert 0 < answer["probability"] < 1


def test_what_is_known_later_need_not_be_there(predictor, past, last):
    row = {key: last[0][key] for key in ("ts", "card", "terminal", "amount", "channel", "age", "tx")}
    with predictor.stream() as stream:
        stream.history(past)
        assert stream.score(row)["id"] == row["tx"]


def test_an_id_is_answered_again_and_counted_once(predictor, last):
    first, again, after = last[0], last[0], {**last[1], "card": last[0]["card"]}
    with predictor.stream() as stream:
        answers = [stream.score(first), stream.score(again)]
        assert answers[0] == answers[1]
        both = stream.take([after]).features
    with predictor.stream() as stream:
        stream.score_many([first, again])
        np.testing.assert_array_equal(stream.take([after]).features, both)


def test_without_an_id_equal_rows_are_one_transaction_and_others_are_not(predictor, last):
    row = {key: value for key, value in last[0].items() if key != "tx"}
    with predictor.stream() as stream:
        one, same, other = stream.score_many([row, dict(row), {**row, "amount": 3.25}])
    assert one["id"] == same["id"] != other["id"]


def test_answers_come_in_the_order_given_and_see_what_was_before_them(predictor, last):
    with predictor.stream() as stream:
        in_order = stream.score_many(last)
    with predictor.stream() as stream:
        assert_alike(stream.score_many(last[::-1]), in_order[::-1])


def test_an_outcome_counts_from_the_delay_on(predictor, last):
    column = names(predictor.definition).index("terminal: known frauds, 90 d")
    row = {**last[0], "ts": "2018-06-01 12:00:00", "fraud": None, "action": None}
    soon = {**row, "ts": "2018-06-08 11:59:59", "tx": "soon"}
    later = {**row, "ts": "2018-06-08 12:00:01", "tx": "later"}
    with predictor.stream() as stream:
        stream.score(row)
        assert stream.learn(str(row["tx"]), fraud=True)
        assert not stream.learn("an id that nobody sent", fraud=True)
        found = [stream.take([given]).features[0, column] for given in (soon, later)]
    assert found == [0, 1]  # the delay is 7 days


def test_a_stream_goes_on_where_it_was_closed(predictor, past, last, tmp_path):
    with predictor.stream() as stream:
        stream.history(past)
        expected = stream.score_many(last)
    with predictor.stream(tmp_path / "state.db") as stream:
        stream.history(past)
        begun = stream.score_many(last[:100])
    with predictor.stream(tmp_path / "state.db") as stream:
        assert_alike(begun + stream.score_many(last[100:]), expected)
        assert_alike(stream.score_many(last), expected)


def test_late_transactions_are_what_the_policy_says(predictor, last):
    late = {**last[0], "tx": "late"}
    with predictor.stream(when_late="reject") as stream:
        stream.score(last[-1])
        with pytest.raises(UserError, match=r"`late`: found time .* expected none before the newest"):
            stream.score(late)
    with predictor.stream(when_late="count") as stream:
        stream.score(last[-1])
        stream.score(late)
        assert stream.state.late == 1


def test_explain_keeps_nothing_and_names_past_frauds(run, predictor, past, last):
    frauds = set(run.prepared.transactions.id[run.prepared.transactions.label == 1].tolist())
    with predictor.stream() as stream:
        stream.history(past)
        before = stream.explain(last[:3])
        answers = stream.score_many(last[:3])
    assert [found["id"] for found in before] == [answer["id"] for answer in answers]
    assert before[0]["probability"] == answers[0]["probability"]
    assert {near["id"] for found in before for near in found["nearest"]} <= frauds


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"amount": "much"}, "row 1, column `amount`: found `much`, expected a number"),
        ({"card": None}, "row 1, column `card`: found nothing, expected a name"),
        ({"ts": "yesterday"}, "row 1, column `ts`: found `yesterday`, expected a date"),
        ({"tx": None}, "row 1, column `tx`: found nothing, expected an id"),
        ({"tx": "x" * 200}, "column `tx`: found 200 letters, expected at most 128"),
        ({"ts": "2999-01-01 00:00:00"}, "found time 2999-01-01"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_and_nothing_is_kept(predictor, last, changed, message):
    with predictor.stream() as stream:
        with pytest.raises(UserError, match=message):
            stream.score({**last[0], **changed})
        assert stream.state.newest is None


def test_no_transactions_have_no_answers(predictor):
    with predictor.stream() as stream:
        stream.history([])
        assert stream.score_many([]) == stream.explain([]) == []


def test_a_column_that_is_absent_is_named(predictor, last):
    with predictor.stream() as stream, pytest.raises(UserError, match="found no column `terminal`"):
        stream.score({key: value for key, value in last[0].items() if key != "terminal"})


def test_a_file_out_of_order_is_answered_as_the_sorted_one(run, tmp_path):
    order = np.random.default_rng(0).permutation(len(run.table))
    pa.csv.write_csv(run.table.take(pa.array(order)), tmp_path / "mixed.csv")
    for name, path in (("plain", run.folder.parent / "tx.csv"), ("mixed", tmp_path / "mixed.csv")):
        told = predict(run.folder, str(path), str(tmp_path / f"{name}.out.csv"))
    assert "sorted" in told
    assert scored(tmp_path / "mixed.out.csv") == scored(tmp_path / "plain.out.csv")
    written = pa.csv.read_csv(tmp_path / "mixed.out.csv").column("tx").to_pylist()
    assert [str(name) for name in written] == run.table.column("tx").take(pa.array(order)).to_pylist()


def test_a_file_is_counted_in_blocks_as_at_once(run, tmp_path, monkeypatch):
    path = str(run.folder.parent / "tx.csv")
    predict(run.folder, path, str(tmp_path / "once.csv"))
    monkeypatch.setattr(scoring, "BLOCK", 1000)
    monkeypatch.setattr(scoring, "ALERTS", 7)
    predict(run.folder, path, str(tmp_path / "blocks.csv"))
    assert (tmp_path / "blocks.csv").read_text() == (tmp_path / "once.csv").read_text()


def test_a_file_without_ids_is_numbered_by_its_rows(run, tmp_path):
    pa.csv.write_csv(run.table.drop_columns(["tx", "fraud", "action"]).slice(0, 50), tmp_path / "bare.csv")
    predict(run.folder, str(tmp_path / "bare.csv"), str(tmp_path / "out.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rows] == list(range(1, 51))
    assert set(rows[0]) == {"row", "probability", "decision", "reasons"}


def test_an_id_twice_in_a_file_is_refused_and_nothing_is_written(run, tmp_path):
    twice = pa.concat_tables([run.table.slice(0, 5), run.table.slice(3, 1)])
    pa.csv.write_csv(twice, tmp_path / "twice.csv")
    with pytest.raises(UserError, match="rows 4 and 6, column `tx`: both hold"):
        predict(run.folder, str(tmp_path / "twice.csv"), str(tmp_path / "out.csv"))
    assert not (tmp_path / "out.csv").exists()


def test_a_bundle_that_was_changed_or_is_another_pipelines_is_not_opened(run, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(run.folder / "bundle", changed)
    (changed / "usual.npz").write_bytes(b"")
    with pytest.raises(UserError, match=r"usual\.npz: changed since the bundle was made"):
        FraudPredictor.open(changed)
    (changed / "usual.npz").unlink()
    bundle.seal(changed, pipeline="finance/fraud")
    with pytest.raises(UserError, match=r"does not list `usual\.npz`"):
        FraudPredictor.open(changed)
    bundle.seal(changed, pipeline="finance/credit")
    with pytest.raises(UserError, match="a bundle of `finance/credit`, expected one of `finance/fraud`"):
        FraudPredictor.open(changed)


def test_objects_for_an_archive_are_refused(run, tmp_path):
    with pytest.raises(UserError, match="--dicom"):
        predict(run.folder, "tx.csv", str(tmp_path / "out.csv"), dicom=True)
