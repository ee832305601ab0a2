"""`lepton predict`: any file in, `row or id, probability, decision` out in the same order, or nothing at all."""

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from lepton_solutions import Predictor, bundle
from lepton_solutions.deploy.scoring import score_file
from lepton_solutions.errors import UserError


def csv_text(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pyarrow.csv.write_csv(table, out)
    return out.getvalue()


def json_text(table: pa.Table) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode()


def write(table: pa.Table, place: Path) -> Path:
    if place.suffix == ".parquet":
        pq.write_table(table, place)
    elif place.suffix == ".jsonl":
        place.write_bytes(json_text(table))
    elif place.suffix == ".gz":
        place.write_bytes(gzip.compress(csv_text(table)))
    else:
        place.write_bytes(csv_text(table))
    return place


def read(place: Path) -> list[dict]:
    if place.suffix == ".jsonl":
        return [json.loads(line) for line in place.read_text().splitlines()]
    table = pq.read_table(place) if place.suffix == ".parquet" else pyarrow.csv.read_csv(place)
    return table.to_pylist()


@pytest.fixture(scope="module")
def few(applicants: pa.Table) -> pa.Table:
    return applicants.slice(0, 50)


@pytest.fixture(scope="module")
def expected(run_folder: Path, few: pa.Table) -> list[Mapping[str, object]]:
    answers = Predictor.open(run_folder).decide(few)
    return [{"row": number, **answer} for number, answer in enumerate(answers, 1)]


@pytest.fixture
def with_id(bundle_copy: Path) -> Path:
    """The bundle of a run with `data.id=loan`."""
    inputs = json.loads((bundle_copy / "inputs.json").read_text()) | {"id": "loan"}
    (bundle_copy / "inputs.json").write_text(json.dumps(inputs))
    (bundle_copy / "manifest.json").unlink()
    bundle.seal(bundle_copy, pipeline="finance/credit")
    return bundle_copy


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet", "rows.jsonl"])
def test_every_format_is_scored_alike_and_in_order(
    run_folder: Path, few: pa.Table, expected, tmp_path: Path, name: str
):
    told = score_file(run_folder, str(write(few, tmp_path / name)), str(tmp_path / "out.parquet"))
    assert read(tmp_path / "out.parquet") == expected
    assert told.startswith("50 rows scored")


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.jsonl"])
def test_every_format_is_written_alike(run_folder: Path, few: pa.Table, expected, tmp_path: Path, name: str):
    score_file(run_folder, str(write(few, tmp_path / "rows.csv")), str(tmp_path / name))
    assert read(tmp_path / name) == expected
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([name, "rows.csv"])


@pytest.mark.parametrize("text", [csv_text, json_text])
def test_stdin_to_stdout(
    run_folder: Path, few: pa.Table, expected, monkeypatch, lepton, text: Callable[[pa.Table], bytes]
):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text(few))))
    answer = lepton("predict", run_folder, "-")
    assert pyarrow.csv.read_csv(io.BytesIO(answer.out.encode())).to_pylist() == expected
    assert answer.code == 0 and answer.err.startswith("50 rows scored")


def test_ids_are_copied_and_rows_keep_their_order(with_id: Path, few: pa.Table, expected, tmp_path: Path):
    names = [f"L-{number:04}" for number in range(50, 0, -1)]
    rows = write(few.append_column("loan", pa.array(names)), tmp_path / "rows.csv")
    assert score_file(with_id, str(rows), str(tmp_path / "out.csv")).find("loan") == -1
    found = read(tmp_path / "out.csv")
    assert [row["loan"] for row in found] == names
    assert [row["probability"] for row in found] == [row["probability"] for row in expected]


def test_rows_without_the_id_column_are_scored_under_their_numbers(with_id: Path, few: pa.Table, tmp_path: Path):
    score_file(with_id, str(write(few, tmp_path / "rows.csv")), str(tmp_path / "out.jsonl"))
    assert [row["loan"] for row in read(tmp_path / "out.jsonl")] == [str(number) for number in range(1, 51)]


def test_columns_that_are_not_used_are_named(run_folder: Path, few: pa.Table, tmp_path: Path):
    rows = few.append_column("colour", pa.array(["red"] * 50))
    told = score_file(run_folder, str(write(rows, tmp_path / "rows.csv")), str(tmp_path / "out.csv"))
    assert told == "50 rows scored; columns not used: personal_status, age, foreign_worker, colour"


def test_missing_and_unseen_values_are_scored(run_folder: Path, few: pa.Table, tmp_path: Path):
    records = few.to_pylist()
    records[0] |= {"duration": None, "purpose": "A999"}
    rows = write(pa.Table.from_pylist(records), tmp_path / "rows.csv")
    score_file(run_folder, str(rows), str(tmp_path / "out.csv"))
    assert 0 < read(tmp_path / "out.csv")[0]["probability"] < 1


def refusal(run: Path, rows: Path | str, out: Path, **options: str) -> str:
    with pytest.raises(UserError) as refused:
        score_file(run, str(rows), str(out), **options)
    assert not out.exists()
    return refused.value.message


def test_an_absent_column_is_named_and_nothing_written(run_folder: Path, few: pa.Table, tmp_path: Path):
    rows = write(few.rename_columns({"duration": "durations"}), tmp_path / "rows.csv")
    message = f"{rows}: column `duration` is absent; did you mean `durations`?"
    assert refusal(run_folder, rows, tmp_path / "out.csv") == message
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


def test_text_among_numbers_is_named_by_its_row_in_the_whole_file(
    run_folder: Path, applicants: pa.Table, tmp_path: Path
):
    many = pa.concat_tables([applicants] * 70)  # more than one batch of 65,536 rows
    spoilt = many.column("duration").to_pylist()
    spoilt[69_999 - 1] = "two years"
    rows = write(many.set_column(1, "duration", pa.array(spoilt)), tmp_path / "rows.parquet")
    message = f"{rows}, row 69999, column `duration`: found `two years`, expected a number"
    assert refusal(run_folder, rows, tmp_path / "out.csv") == message
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_refused_file_leaves_an_earlier_output_as_it_was(run_folder: Path, few: pa.Table, tmp_path: Path):
    (tmp_path / "out.csv").write_text("earlier")
    rows = write(few.drop_columns(["duration"]), tmp_path / "rows.csv")
    with pytest.raises(UserError):
        score_file(run_folder, str(rows), str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text() == "earlier"


def test_an_unknown_suffix_is_refused_before_anything_is_read(run_folder: Path, tmp_path: Path):
    out = tmp_path / "out.xlsx"
    message = f"-o {out}: expected a name that ends in .csv, .parquet, .jsonl, or - for stdout"
    assert refusal(run_folder, tmp_path / "nowhere.csv", out) == message


def test_a_missing_file_is_refused(run_folder: Path, tmp_path: Path):
    message = f"{tmp_path / 'nowhere.csv'}: there is no such file"
    assert refusal(run_folder, tmp_path / "nowhere.csv", tmp_path / "out.csv") == message


def test_a_file_without_rows_is_refused(run_folder: Path, few: pa.Table, tmp_path: Path):
    rows = write(few.slice(0, 0), tmp_path / "rows.csv")
    assert "found no rows" in refusal(run_folder, rows, tmp_path / "out.csv")


def test_an_output_that_cannot_be_written_is_refused(run_folder: Path, few: pa.Table, tmp_path: Path):
    out = tmp_path / "nowhere" / "out.csv"
    message = refusal(run_folder, write(few, tmp_path / "rows.csv"), out)
    assert message.startswith(f"-o {out}: cannot be written: ")


def test_an_encoding_can_be_given(run_folder: Path, few: pa.Table, expected, tmp_path: Path):
    rows = tmp_path / "rows.csv"
    rows.write_bytes(csv_text(few.append_column("città", pa.array(["è"] * 50))).decode().encode("latin-1"))
    assert "0xE0" in refusal(run_folder, rows, tmp_path / "out.csv")
    score_file(run_folder, str(rows), str(tmp_path / "out.csv"), encoding="latin-1")
    assert read(tmp_path / "out.csv") == expected


def test_a_reader_that_goes_away_ends_it_without_complaint(run_folder: Path, applicants: pa.Table, tmp_path: Path):
    rows = write(pa.concat_tables([applicants] * 100), tmp_path / "rows.parquet")
    command = [sys.executable, "-m", "lepton_solutions.cli", "predict", str(run_folder), str(rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().strip() == b'"row","probability","decision"'
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(60) == 0
