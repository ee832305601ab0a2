"""A file of histories is scored as a stream would answer."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from machine_model import SENSORS, predictor

from lepton_solutions.errors import UserError
from manufacturing.failure import scoring


@pytest.fixture
def opened(monkeypatch):
    model = predictor()
    monkeypatch.setattr(scoring.MachinePredictor, "open", lambda folder: model)
    return model


def table(units: int, rows: int) -> pa.Table:
    values = np.random.default_rng(1).random((units * rows, len(SENSORS)))
    machine = [f"pump {unit}" for unit in range(units) for _ in range(rows)]
    hours = [float(hour) for _ in range(units) for hour in range(rows)]
    return pa.table({"machine": machine, "hour": hours, **dict(zip(SENSORS, values.T, strict=True))})


@pytest.mark.parametrize("mixed", [False, True])
def test_each_unit_gets_what_its_stream_answered_last(opened, tmp_path, mixed):
    rows = table(5, 12)
    rows = rows.sort_by([("hour", "ascending"), ("machine", "ascending")]) if mixed else rows
    pa.csv.write_csv(rows, tmp_path / "rows.csv")
    said = scoring.score(tmp_path, tmp_path / "rows.csv", str(tmp_path / "out.csv"), dicom=False)
    assert said == "5 units scored from 60 rows"
    with (tmp_path / "out.csv").open() as file:
        found = list(csv.DictReader(file))
    stream = opened.stream()
    last = {one["machine"]: stream.update(one["machine"], one) for one in rows.to_pylist()}
    assert [line["unit"] for line in found] == [f"pump {unit}" for unit in range(5)]
    for line in found:
        assert float(line["time"]) == 11
        assert float(line["remaining"]) == pytest.approx(last[line["unit"]]["remaining"], rel=1e-6)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_parquet_and_json_lines_answer_as_csv(opened, tmp_path, suffix):
    rows, place = table(2, 4), tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        pa.parquet.write_table(rows, place)
    else:
        place.write_text("".join(json.dumps(one) + "\n" for one in rows.to_pylist()))
    pa.csv.write_csv(rows, tmp_path / "rows.csv")
    for given in (place, tmp_path / "rows.csv"):
        scoring.score(tmp_path, given, str(tmp_path / f"{given.suffix[1:]}.jsonl"), dicom=False)
    assert (tmp_path / f"{suffix[1:]}.jsonl").read_text() == (tmp_path / "csv.jsonl").read_text()


def test_flags_of_the_last_row_are_written_and_counted(opened, tmp_path):
    rows = table(2, 3).to_pylist()
    rows[1]["heat"] = 50.0  # was mended since
    rows[5]["load"] = 99.0
    pa.csv.write_csv(pa.Table.from_pylist(rows), tmp_path / "rows.csv")
    said = scoring.score(tmp_path, tmp_path / "rows.csv", str(tmp_path / "out.jsonl"), dicom=False)
    assert said.endswith("; 1 unlike training, see `flags`")
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert first["flags"] == ""
    assert second["flags"].startswith("`load`: 99, outside 0 to 1 seen in training")


def test_a_time_that_goes_backward_is_named_by_its_row_and_nothing_is_written(opened, tmp_path):
    rows = table(2, 3).to_pylist()
    rows[4]["hour"] = 0.0
    pa.csv.write_csv(pa.Table.from_pylist(rows), tmp_path / "rows.csv")
    with pytest.raises(
        UserError, match=r"rows\.csv, row 5, unit `pump 1`: found the time 0\.0, expected one after 0\.0"
    ):
        scoring.score(tmp_path, tmp_path / "rows.csv", str(tmp_path / "out.csv"), dicom=False)
    assert not (tmp_path / "out.csv").exists()


def test_a_table_that_does_not_say_whose_rows_they_are_is_refused(opened, tmp_path):
    pa.csv.write_csv(table(1, 3).drop_columns("machine"), tmp_path / "rows.csv")
    with pytest.raises(UserError, match="column `machine` is absent, which says whose row each is"):
        scoring.score(tmp_path, tmp_path / "rows.csv", str(tmp_path / "out.csv"), dicom=False)
