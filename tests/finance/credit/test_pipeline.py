"""A credit run: the cut-off, what it refuses, and a file of the user's own from end to end."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finance.credit.settings import DecisionSettings
from finance.credit.train import decide
from lepton_solutions.data.decision import sigmoid

QUICK = ("fit.epochs=2", "model.members=2")


def settings(*, default=5.0, refusal=1.0, approval_rate=None, review=0.0) -> DecisionSettings:
    return DecisionSettings(
        cost_of_default=default, cost_of_refusal=refusal, approval_rate=approval_rate, review=review
    )


@pytest.mark.parametrize(("default", "refusal"), [(1.0, 1.0), (5.0, 1.0), (1.0, 3.0)])
def test_no_other_threshold_is_cheaper_than_the_cut_off(default, refusal):
    risk = np.linspace(0.0005, 0.9995, 1000)  # calibrated, hence also the share that defaults
    found = decide(settings(default=default, refusal=refusal), (1.0, 0.0), np.zeros(3), np.ones(3)).threshold
    paid = [np.where(risk < at, default * risk, refusal * (1 - risk)).sum() for at in risk]
    assert found == pytest.approx(refusal / (refusal + default), rel=1e-12)
    assert found == pytest.approx(risk[int(np.argmin(paid))], abs=1e-3)  # step of the grid


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.83])
def test_an_approval_rate_approves_that_share_of_the_calibration_rows(rate):
    logit = np.random.default_rng(0).normal(size=1000)
    chosen = decide(settings(approval_rate=rate), (1.7, -0.3), logit, np.ones(1000))
    assert chosen.words(chosen.probability(logit)).count("approve") == round(1000 * rate)


def test_an_approval_rate_counts_weights():
    logit, weight = np.array([-2.0, -1.0, 0.0, 1.0]), np.array([3.0, 3.0, 2.0, 2.0])
    chosen = decide(settings(approval_rate=0.6), (1.0, 0.0), logit, weight)
    assert chosen.words(chosen.probability(logit)) == ["approve", "approve", "refuse", "refuse"]


def test_the_review_band_catches_its_share_of_the_calibration_rows():
    logit = np.random.default_rng(0).normal(size=1000)
    chosen = decide(settings(review=0.2), (1.0, 0.0), logit, np.ones(1000))
    caught = chosen.words(chosen.probability(logit)).count("review")
    assert caught in (199, 200)  # the row at the upper bound itself is decided
    assert chosen.review_low < chosen.threshold < chosen.review_high


def test_the_cut_off_is_in_calibrated_probability():
    chosen = decide(settings(), (0.5, 1.0), np.zeros(1), np.ones(1))
    assert chosen.probability(np.array([2.0])) == pytest.approx(sigmoid(np.array([2.0])))


# -- files that no run comes from ---------------------------------------------------------------------------------


def rows(n: int = 60) -> list[list[str]]:
    """income, city, default; nothing in them is wrong."""
    chance = np.random.default_rng(0)
    return [[f"{chance.normal(30, 5):.2f}", "abc"[i % 3], str(int(chance.random() < 0.4))] for i in range(n)]


def text_of(body: list[list[str]], head: str = "income,city,default") -> bytes:
    return "\n".join([head, *(",".join(row) for row in body), ""]).encode()


def with_cell(value: str, *, column: int, row: int = 4) -> bytes:
    body = rows()
    body[row][column] = value
    return text_of(body)


def with_target(values: list[str]) -> bytes:
    return text_of([[*row[:2], values[i % len(values)]] for i, row in enumerate(rows())])


BAD = {
    "no rows": (b"", "loans.csv"),
    "header only": (text_of([]), "found no rows"),
    "absent target": (text_of(rows(), "income,city,defualt"), "did you mean `defualt`?"),
    "constant target": (with_target(["1"]), "found 1 value (`1`)"),
    "three values": (with_target(["0", "1", "2"]), "found 3 values"),
    "few of a class": (
        text_of([[*row[:2], str(int(i < 2))] for i, row in enumerate(rows())]),
        "fewer than the 4 parts",
    ),
    "duplicate names": (text_of(rows(), "income,income,default"), "more than one column named `income`"),
    "text in numbers": (with_cell("lots", column=0), "row 5, column `income`: found `lots`, expected a number"),
    "infinity": (with_cell("inf", column=0), "row 5, column `income`: found inf"),
    "wrong encoding": (with_cell("Zürich", column=1).decode().encode("latin-1"), "encoding"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD.keys())
def test_a_file_that_cannot_be_learned_from_is_refused(content, message, tmp_path, lepton):
    file = tmp_path / "loans.csv"
    file.write_bytes(content)
    refused(lepton, file, tmp_path / "run", message)


def refused(lepton, file: Path, run: Path, message: str, *more: str) -> None:
    answer = lepton("run", "finance/credit", "-q", f"data.path={file}", "data.target=default", f"run.dir={run}", *more)
    assert answer.code == 2
    assert answer.out == ""
    assert message in answer.err and answer.err.count("error:") == 1 and "Traceback" not in answer.err
    assert not run.exists()


def test_a_missing_file_is_refused(tmp_path, lepton):
    refused(lepton, tmp_path / "loan.csv", tmp_path / "run", "loan.csv")


def test_a_truncated_parquet_is_refused(tmp_path, lepton):
    whole = tmp_path / "loans.parquet"
    pq.write_table(pa.table({"income": np.arange(500.0), "default": np.arange(500) % 2}), whole)
    whole.write_bytes(whole.read_bytes()[:-200])
    refused(lepton, whole, tmp_path / "run", "loans.parquet")


def test_a_giveaway_column_fails_the_run_and_leaves_the_audit(tmp_path, lepton):
    file, run = tmp_path / "loans.csv", tmp_path / "run"
    file.write_bytes(
        text_of([[*row, "paid" if row[2] == "0" else "lost"] for row in rows(200)], "income,city,default,end")
    )
    answer = lepton("run", "finance/credit", "-q", f"data.path={file}", "data.target=default", f"run.dir={run}")
    assert answer.code == 2 and "`end`" in answer.err and "Traceback" not in answer.err
    assert [found["columns"] for found in json.loads((run / "audit.json").read_text()) if found["level"] == "fail"] == [
        ["end"]
    ]
    assert not (run / "rows.parquet").exists()


def test_a_file_of_ones_own_runs_with_a_path_and_a_target_alone(tmp_path, lepton):
    chance = np.random.default_rng(0)
    lines = ["Einkommen;Stadt;leer;Ausfall"]
    for i in range(300):
        income = chance.normal(30, 5)
        lost = "yes" if chance.random() < 1 / (1 + np.exp(income - 30)) else "no"
        lines.append(f"{income:.2f}".replace(".", ",") + f";{'abc'[i % 3]};;{lost}")
    file, run = tmp_path / "kredite.csv", tmp_path / "run"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    answer = lepton("run", "finance/credit", "-q", f"data.path={file}", "data.target=Ausfall", f"run.dir={run}", *QUICK)
    assert answer.code == 0, answer.err
    facts = json.loads((run / "data.json").read_text())
    assert [(column["name"], column["kind"]) for column in facts["columns"]] == [
        ("Einkommen", "numeric"),
        ("Stadt", "category"),
    ]
    assert facts["ignored"] == {"leer": "wholly missing"}
    assert facts["positive"] == "yes"
    # Income alone gives an AUC near .95; a comma read as a thousands separator or a wrong target would not.
    assert json.loads((run / "metrics.json").read_text())["variants"]["trained"]["test"]["auc"]["value"] > 0.8
    assert (run / "report.html").is_file() and (run / "bundle" / "manifest.json").is_file()
