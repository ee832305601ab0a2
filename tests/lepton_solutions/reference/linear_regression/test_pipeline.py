"""The linear regression on the power plant: gradients and weights against their closed forms, and a run in full."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.linear_model import LinearRegression

from lepton_solutions.config import read_jobs
from lepton_solutions.data.sources import Dataset
from lepton_solutions.errors import UserError
from lepton_solutions.pipeline import execute
from lepton_solutions.progress import Progress
from lepton_solutions.reference.linear_regression.measure import measured
from lepton_solutions.reference.linear_regression.report import verdict
from lepton_solutions.reference.linear_regression.sources import POWER_PLANT, power_plant
from lepton_solutions.reference.linear_regression.train import gradient_difference, load_line, new_line
from lepton_solutions.reference.linear_regression.train import read as read_rows


def run(folder: Path, *overrides: str) -> Path:
    (job,) = read_jobs("reference/linear_regression", [*overrides, f"run.dir={folder}"], multirun=False)
    return execute(job, Progress(quiet=True))


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The run as it is by default, for reading only."""
    return run(tmp_path_factory.mktemp("line") / "run")


def test_gradients_are_those_of_the_closed_form(finished):
    differences = read(finished, "trained/learned.json")["gradient_differences"]
    assert list(differences) == ["before", "after", "random 1", "random 2", "random 3"]
    assert max(differences.values()) <= 1e-6


def test_a_wrong_gradient_would_be_seen(finished, monkeypatch):
    rows = read_rows(finished, "train")
    line, x, y = new_line(rows), torch.from_numpy(rows.x), torch.from_numpy(rows.y)
    assert gradient_difference(line, x, y) <= 1e-6
    # Half the mean squared error, as some books have it: off by a factor of 2.
    monkeypatch.setattr("lepton_solutions.losses.F.mse_loss", lambda a, b, reduction: (a - b) ** 2 / 2)
    assert gradient_difference(line, x, y) > 1


def test_weights_are_those_of_least_squares(finished):
    rows, line = read_rows(finished, "train"), load_line(finished / "trained" / "weights.safetensors")
    other = LinearRegression().fit(line.standardised(torch.from_numpy(rows.x)).numpy(), rows.y)
    assert line.weights() == pytest.approx([*other.coef_, other.intercept_], abs=1e-5)
    assert read(finished, "trained/learned.json")["weight_difference"] <= 1e-5


def test_raw_weights_predict_from_raw_columns(finished):
    rows, line = read_rows(finished, "test"), load_line(finished / "trained" / "weights.safetensors")
    *slopes, bias = read(finished, "trained/learned.json")["raw_weights"]
    predicted = line(torch.from_numpy(rows.x)).detach().numpy()
    assert rows.x @ np.array(slopes) + bias == pytest.approx(predicted, abs=1e-9)


def test_test_errors_are_those_of_a_second_implementation(finished):
    train, test = read_rows(finished, "train"), read_rows(finished, "test")
    error = LinearRegression().fit(train.x, train.y).predict(test.x) - test.y
    found = read(finished, "metrics.json")["variants"]
    assert found["trained"]["test"]["rmse"]["value"] == pytest.approx(np.sqrt(np.mean(error**2)), abs=1e-5)
    assert found["trained"]["test"]["mae"]["value"] == pytest.approx(np.abs(error).mean(), abs=1e-5)
    mean = np.sqrt(np.mean((train.y.mean() - test.y) ** 2))
    assert found["baseline"]["test"]["rmse"]["value"] == pytest.approx(mean, abs=1e-9)


def test_the_interval_of_rmse_covers_the_truth_as_often_as_it_says():
    # Errors of a normal distribution with standard deviation 2: 95 of 100 intervals should hold a 2.
    chance = np.random.default_rng(0)
    found = [measured(chance.normal(scale=2, size=400), seed=seed)["rmse"] for seed in range(200)]
    covered = np.mean([interval.low <= 2 <= interval.high for interval in found])
    assert 0.9 <= covered <= 0.99  # 200 draws scatter by .015


def test_equal_rows_stay_in_one_part(finished):
    parts = [
        {(*x, y) for x, y in zip(rows.x.tolist(), rows.y.tolist(), strict=True)}
        for rows in (read_rows(finished, "train"), read_rows(finished, "test"))
    ]
    assert not parts[0] & parts[1]
    data = read(finished, "data.json")
    assert (sum(data["parts"].values()), data["repeated"]) == (9568, 41)


def test_the_released_line_answers_as_the_trained_one(finished):
    rows, line = read_rows(finished, "test"), load_line(finished / "export" / "weights.safetensors")
    session = onnxruntime.InferenceSession(finished / "export" / "model.onnx")
    (answers,) = session.run(["prediction"], {"columns": rows.x.astype(np.float32)})
    predicted = line(torch.from_numpy(rows.x)).detach().numpy()
    assert answers == pytest.approx(predicted, rel=1e-6)  # float32, about 450 MW


def test_metrics_and_report_say_how_near_it_came(finished):
    metrics = read(finished, "metrics.json")
    assert (metrics["pipeline"], metrics["primary"], metrics["chosen"]) == (
        "reference/linear_regression",
        "rmse",
        "trained",
    )
    assert metrics["checks"]["weights"] <= 1e-5 and metrics["checks"]["gradient"] <= 1e-6
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "The loop computes what it should" in page and "ambient temperature, °C" in page


def test_a_training_that_is_too_short_is_said_to_be(tmp_path):
    folder = run(tmp_path / "run", "fit.epochs=20")
    assert "The weights are not within tolerance" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_verdict_names_what_missed_its_tolerance():
    learned = {"weight_difference": 1e-9, "gradient_differences": {"before": 1e-3}}
    assert verdict(learned).startswith("The gradients are not within tolerance")


def test_the_workbook_of_the_package_holds_the_rows_of_the_text_file(tmp_path, monkeypatch):
    here = power_plant().rows
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    assert POWER_PLANT.find().suffix == ".xlsx"
    workbook = power_plant().rows
    assert workbook.shape == (9568, 5)
    assert workbook.equals(here)  # also where the first one was read from the data root


@pytest.mark.parametrize(
    ("text", "message"), [("1\t2\n", "expected 5 columns AT, V, AP, RH, PE"), ("a b\n", "cannot be read")]
)
def test_another_file_in_its_place_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    place = tmp_path / POWER_PLANT.name / POWER_PLANT.file
    place.parent.mkdir()
    place.write_text(text)
    with pytest.raises(UserError, match=message):
        power_plant()


def test_a_missing_value_is_named(tmp_path, monkeypatch):
    rows = power_plant().rows.slice(0, 50)
    values = rows.column("V").to_pylist()
    values[6] = None
    broken = rows.set_column(1, "V", [values])
    monkeypatch.setattr(
        "lepton_solutions.reference.linear_regression.sources.power_plant",
        lambda: Dataset(broken, name="plant", target="PE"),
    )
    with pytest.raises(UserError, match="plant, row 7, column `V`"):
        run(tmp_path / "run")
