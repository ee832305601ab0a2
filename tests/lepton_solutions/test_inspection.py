"""`lepton audit`: on a file, on the parts that somebody else made, and on a run folder."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest


def rows(count: int, seed: int) -> dict[str, list]:
    draw = np.random.default_rng(seed)
    return {
        "customer": [f"{seed}-{number}" for number in range(count)],
        "amount": draw.normal(1000, 300, count).round(2).tolist(),
        "years": draw.integers(1, 40, count).tolist(),
        "bad": draw.integers(0, 2, count).tolist(),
    }


def write(table: dict[str, list], place: Path) -> Path:
    place.parent.mkdir(exist_ok=True)
    save = pq.write_table if place.suffix == ".parquet" else pyarrow.csv.write_csv
    save(pa.table(table), place)
    return place


@pytest.mark.parametrize("name", ["loans.csv", "loans.parquet"])
def test_a_clean_file_passes(lepton, tmp_path: Path, name: str):
    place = write(rows(300, 0), tmp_path / name)
    answer = lepton("audit", place, "target=bad", "id=customer")
    assert answer.code == 0
    first, *_, last = answer.out.splitlines()
    assert first == f"{place}: 300 rows, 2 columns"
    assert last == "the audit passed"


def test_a_giveaway_column_fails_with_code_2_and_is_named(lepton, tmp_path: Path):
    table = rows(300, 0)
    place = write(table | {"collected": ["yes" if bad else "no" for bad in table["bad"]]}, tmp_path / "loans.csv")
    answer = lepton("audit", place, "target=bad", "id=customer")
    assert answer.code == 2
    assert any(line.startswith("fail ") and "`collected`" in line for line in answer.out.splitlines())
    assert answer.out.splitlines()[-1] == "the audit failed"


def test_parts_that_share_no_owner_pass(lepton, tmp_path: Path):
    write(rows(200, 0), tmp_path / "parts" / "train.csv")
    write(rows(100, 1), tmp_path / "parts" / "val.parquet")
    write(rows(100, 2), tmp_path / "parts" / "test.csv")
    answer = lepton("audit", tmp_path / "parts", "target=bad", "group=customer")
    assert answer.code == 0 and answer.out.startswith(f"{tmp_path / 'parts'}: 400 rows, 2 columns\n")


def test_an_owner_in_two_parts_fails(lepton, tmp_path: Path):
    write(rows(200, 0), tmp_path / "parts" / "train.csv")
    other = rows(100, 2)
    other["customer"][7] = "0-3"
    write(other, tmp_path / "parts" / "test.csv")
    answer = lepton("audit", tmp_path / "parts", "target=bad", "group=customer")
    assert answer.code == 2
    assert any(line.startswith("fail ") and "`customer`" in line for line in answer.out.splitlines())


def test_a_run_folder_tells_what_its_run_found(lepton, run_folder: Path):
    answer = lepton("audit", run_folder)
    findings = json.loads((run_folder / "audit.json").read_text())
    assert answer.code == 0
    assert answer.out.splitlines()[0] == str(run_folder)
    assert all(finding["message"] in answer.out for finding in findings)


def test_a_run_that_the_audit_ended_tells_why(lepton, german_csv: Path, tmp_path: Path):
    table = pyarrow.csv.read_csv(german_csv)
    pyarrow.csv.write_csv(table.append_column("arrears", table.column("default")), german_csv)
    run = lepton(
        "run", "finance/credit", f"data.path={german_csv}", "data.target=default", f"run.dir={tmp_path / 'run'}"
    )
    assert run.code == 2 and "`arrears`" in run.err
    answer = lepton("audit", tmp_path / "run")
    assert answer.code == 2 and "`arrears`" in answer.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "which column is learned?"),
        (("target=bda",), "loans.csv: target=bda: no such column; did you mean `bad`?"),
        (("target=bad", "grup=customer"), "`grup=customer`: expected key=value; did you mean `group`?"),
        (("target",), "`target`: expected key=value; did you mean `target`?"),
        (("target=customer",), "loans.csv, column `customer`: found 30 values"),
    ],
)
def test_a_mistake_is_one_message_and_code_2(lepton, tmp_path: Path, words: tuple[str, ...], message: str):
    place = write(rows(30, 0), tmp_path / "loans.csv")
    answer = lepton("audit", place, *words)
    assert answer.code == 2 and answer.err.startswith(f"error: {message}")
    assert answer.out == ""


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("train.csv",), "expected at least train and test files there"),
        (("train.csv", "holdout.csv"), "expected the name of a part: train, validation, calibration, test"),
    ],
)
def test_a_folder_that_is_no_split_is_refused(lepton, tmp_path: Path, files: tuple[str, ...], message: str):
    for name in files:
        write(rows(30, 0), tmp_path / "parts" / name)
    answer = lepton("audit", tmp_path / "parts", "target=bad")
    assert answer.code == 2 and message in answer.err


def test_parts_with_other_columns_are_refused_by_name(lepton, tmp_path: Path):
    write(rows(30, 0), tmp_path / "parts" / "train.csv")
    write(rows(30, 1) | {"city": ["x"] * 30}, tmp_path / "parts" / "test.csv")
    answer = lepton("audit", tmp_path / "parts", "target=bad")
    assert answer.code == 2 and "train.csv: other columns than the part before it: city" in answer.err


def test_a_missing_file_is_answered_with_the_nearest(lepton, tmp_path: Path):
    write(rows(30, 0), tmp_path / "loans.csv")
    answer = lepton("audit", tmp_path / "loan.csv", "target=bad")
    assert answer.code == 2 and "did you mean `loans.csv`?" in answer.err
