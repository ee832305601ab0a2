"""What a run leaves: a bundle, the proof that stands before it, and its figures."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from fraud_run import FraudRun, fraud_run

from finance.fraud import proof
from finance.fraud.members import FOREST, OURS
from finance.fraud.proof import prove, table_of_rows
from finance.fraud.train import load_models, read_learned, sample_of
from lepton_solutions import bundle
from lepton_solutions.data.columns import Rows
from lepton_solutions.data.splits import TEST
from lepton_solutions.deploy.parity import TOLERANCE
from lepton_solutions.engines import Engine
from lepton_solutions.errors import UserError
from lepton_solutions.reporting.run import RunMetrics


@pytest.fixture(scope="module")
def run() -> FraudRun:
    return fraud_run()


@pytest.fixture(scope="module")
def metrics(run) -> dict:
    return json.loads((run.folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def test_rows(run) -> Rows:
    return sample_of(run.folder, run.prepared, TEST).rows


class Shifted:
    """A model whose log-odds are off by a little."""

    def __init__(self, model, by: float) -> None:
        self.model, self.by = model, by

    def logit(self, rows: Rows) -> np.ndarray:
        return self.model.logit(rows) + self.by


def test_the_bundle_is_whole_and_holds_no_pickle(run):
    folder = run.folder / "bundle"
    assert bundle.verify(folder) == "finance/fraud"
    listed = set(json.loads((folder / "manifest.json").read_text())["files"])
    expected = {"model.onnx", "inputs.json", "decision.json", "usual.npz", "card.md", "metrics.json"}
    assert expected <= listed
    assert {name.rpartition(".")[2] for name in listed} <= {"onnx", "json", "npz", "md", "safetensors", "txt"}
    np.load(folder / "usual.npz", allow_pickle=False)


def test_figures_of_every_model_have_the_shape_that_others_read(run, metrics):
    read = RunMetrics.model_validate(metrics)
    assert (read.primary, read.chosen, read.pipeline) == ("average_precision", OURS, "finance/fraud")
    assert {"baseline", OURS, "mlp", "sequence", "lightgbm", "logistic", "autoencoder"} <= set(read.variants)
    assert read.variants["baseline"].test == read.variants[read_learned(run.folder)["baseline"]].test
    assert [figure["name"] for figure in metrics["headline"]] == [
        "test average precision",
        "card precision",
        "money saved",
    ]
    for name, variant in read.variants.items():
        assert variant.size_bytes or name == FOREST, name
        assert 0 <= variant.test["average_precision"].value <= 1


def test_size_is_that_of_the_files_that_are_read_to_answer(run, metrics):
    folder = run.folder / "bundle"
    read = ("model.onnx", "inputs.json", "decision.json", "manifest.json", "usual.npz")
    assert metrics["variants"][OURS]["size_bytes"] == sum((folder / name).stat().st_size for name in read)


def test_the_proof_covers_what_exports_get_wrong_and_what_goes_online(metrics):
    cases = {case["case"]: case for case in metrics["parity"]["cases"]}
    assert {"rows", "single rows", "every value missing", "unseen categories", "online, from raw rows"} <= set(cases)
    assert cases["online, from raw rows"]["rows"] > 1000
    assert metrics["parity"]["flipped"] == 0
    assert metrics["parity"]["largest_difference"] <= TOLERANCE


def test_a_model_that_answers_otherwise_is_not_released(run, test_rows):
    model = Shifted(load_models(run.folder)[OURS], 0.01)
    with pytest.raises(UserError, match="does not answer as the trained one, first on `rows`"):
        prove(run.predictor, model, run.prepared, test_rows)


def test_a_history_that_was_counted_otherwise_is_not_released(run, test_rows):
    numeric = test_rows.numeric.copy()
    numeric[-1, 4] += 1  # `card: count, 1 d` of the last row; models and export still agree on it
    with pytest.raises(UserError, match=r"online otherwise than in training: .* as `card: count, 1 d`") as raised:
        prove(run.predictor, load_models(run.folder)[OURS], run.prepared, Rows(numeric, test_rows.codes))
    assert "1 rows differ; nothing was released" in raised.value.message


def test_an_engine_that_answers_otherwise_online_is_not_released(run, test_rows):
    models = load_models(run.folder)
    other = replace(run.predictor, engine=Engine(models["logistic"].graph().SerializeToString(), threads=1))
    with pytest.raises(UserError, match="does not answer as the trained one"):
        prove(other, models[OURS], run.prepared, test_rows)


def test_the_history_that_is_streamed_is_bounded(run, test_rows, monkeypatch):
    monkeypatch.setattr(proof, "BEFORE", 1000)
    found = prove(run.predictor, load_models(run.folder)[OURS], run.prepared, test_rows)
    assert 0 < found["cases"][-1]["rows"] < 1000


def test_rows_of_a_model_are_read_back_from_their_table(run, test_rows):
    columns = run.predictor.explainer.columns
    again = columns.encode(table_of_rows(test_rows, columns))
    np.testing.assert_array_equal(again.numeric, test_rows.numeric)
    np.testing.assert_array_equal(again.codes, test_rows.codes)
