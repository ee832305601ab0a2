"""A run from histories to a bundle: the proof that stands before a release, and the figures of the run."""

import copy
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from lepton_solutions import bundle
from lepton_solutions.config import Job, read_jobs
from lepton_solutions.data.splits import TEST
from lepton_solutions.engines import Engine
from lepton_solutions.errors import UserError
from lepton_solutions.pipeline import execute, run_stages, stages_of
from lepton_solutions.progress import Progress
from lepton_solutions.reporting.run import RunMetrics, read_record
from manufacturing.failure import release, simulator
from manufacturing.failure.exported import Exported, graph, load
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.parity import TOLERANCE, check_parity
from manufacturing.failure.predictor import PIPELINE, MachinePredictor
from manufacturing.failure.prepare import read_fleet
from manufacturing.failure.simulator import Machines, simulate
from manufacturing.failure.train import OURS, answers

TINY = ("data=machines", "fit.epochs=1", "model.width=16", "model.layers=1", "inputs.window=12")
SAID = {"rul": "remaining", "failure": "probability"}


@dataclass(frozen=True)
class Run:
    folder: Path
    job: Job

    @property
    def test(self) -> Fleet:
        return read_fleet(self.folder).of_part(TEST)

    @property
    def metrics(self) -> dict:
        return json.loads((self.folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A whole run of each question that looks ahead, of 50 machines."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulator, "machines", lambda data: simulate(Machines(units=50, seed=1)).fleet)
        for question in SAID:
            folder = tmp_path_factory.mktemp("runs") / question
            (job,) = read_jobs(PIPELINE, [*TINY, f"question={question}", f"run.dir={folder}"], multirun=False)
            found[question] = Run(execute(job, Progress(quiet=True)), job)
    return found


@pytest.fixture(params=list(SAID))
def run(request: pytest.FixtureRequest, runs: dict[str, Run]) -> Run:
    return runs[request.param]


def table_of(fleet: Fleet, predictor: MachinePredictor) -> pa.Table:
    """A fleet as its user has it: a row a reading, the names of levels instead of their indicators."""
    layout, place = predictor.inputs.layout, {name: column for column, name in enumerate(fleet.sensors)}
    table: dict[str, object] = {layout.unit: np.repeat(fleet.unit, np.diff(fleet.starts)), layout.time: fleet.time}
    for column in layout.columns.columns:
        if column.kind == "category":
            shown = [place[f"{column.name}={level}"] for level in column.levels]
            table[column.name] = np.array(column.levels)[fleet.values[:, shown].argmax(1)]
        else:
            table[column.name] = pa.array(fleet.values[:, place[column.name]].astype(np.float64), from_pandas=True)
    return pa.table(table)


def another(exported: Exported, by: float) -> Exported:
    """With one weight changed, the bias of the last layer."""
    changed = copy.deepcopy(exported)
    with torch.no_grad():
        list(changed.parameters())[-1][0] += by
    return changed


def test_the_bundle_answers_a_table_as_the_trained_model_was_measured(run: Run):
    predictor, test = MachinePredictor.open(run.folder), run.test
    found = predictor.predict(table_of(test, predictor))
    last = test.last_rows()
    expected = predictor.decision.applied(answers(run.folder, test, last)[OURS], test.time[last])
    assert [one["unit"] for one in found] == test.unit.tolist()
    said = np.array([one[SAID[predictor.inputs.question]] for one in found])
    truth = expected[SAID[predictor.inputs.question]]
    np.testing.assert_allclose(said, truth, atol=TOLERANCE * max(1.0, np.abs(truth).max()))
    assert [one["decision"] for one in found] == expected["decision"].tolist()


def test_every_case_was_compared_before_the_release(run: Run):
    parity = run.metrics["parity"]
    names = [case["case"] for case in parity["cases"]]
    assert names[:2] == ["test machines", "one row a call"]
    assert {"readings missing", "a sensor never read", "no reading at all", "readings out of range"} < set(names)
    assert ("a new regime" in names) == bool(run.test.settings)
    assert parity["largest_difference"] <= TOLERANCE
    assert parity["flipped"] == 0


def test_metrics_have_the_shape_of_every_pipeline(run: Run):
    metrics = run.metrics
    assert (metrics["pipeline"], metrics["chosen"]) == (PIPELINE, "trained")
    assert metrics["primary"] == release.PRIMARY[run.job.settings.question]
    assert set(metrics["seconds"]) == {"prepare", "train", "evaluate"}
    assert metrics["audit"]["failed"] is False
    assert {"plan", "environment", "command", "seed", "headline", "decision"} < set(metrics)
    assert {"baseline", "trained", "linear", "lightgbm"} <= set(metrics["variants"])
    for name, variant in metrics["variants"].items():
        assert set(variant["test"][metrics["primary"]]) == {"value", "low", "high"}, name
        assert variant["size_bytes"] > 0, name
    ours = metrics["variants"]["trained"]
    assert 0 < ours["latency_ms"]["p50"] <= ours["latency_ms"]["p95"]
    assert ours["engine"].startswith("onnxruntime")
    assert read_record(run.folder / "metrics.json", RunMetrics).chosen == "trained"
    assert json.loads((run.folder / "bundle" / "metrics.json").read_text()) == ours["test"]


def test_the_baseline_is_the_best_simple_model_of_the_validation_machines(run: Run):
    variants = run.metrics["variants"]
    ((judged, _),) = variants["baseline"]["validation"].items()
    simple = {name: one["validation"][judged] for name, one in variants.items() if name not in ("baseline", "trained")}
    assert variants["baseline"] == variants[min(simple, key=lambda name: simple[name])]


def test_the_size_counts_both_graphs_and_what_explains_them(run: Run):
    read = ("step.onnx", "model.onnx", "inputs.json", "decision.json", "manifest.json")
    size = sum((run.folder / "bundle" / name).stat().st_size for name in read)
    assert run.metrics["variants"]["trained"]["size_bytes"] == size


def test_the_report_and_its_figures_are_there(run: Run):
    page = (run.folder / "report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "NaN" not in page
    for entry in run.metrics["variants"].values():
        assert entry["label"] in page
    assert {"models.png", "cost.png", "lead.png"} <= {file.name for file in (run.folder / "figures").iterdir()}


def test_a_file_of_the_bundle_that_was_changed_is_not_opened(runs: dict[str, Run], tmp_path: Path):
    folder = shutil.copytree(runs["rul"].folder / "bundle", tmp_path / "bundle")
    assert bundle.verify(folder) == PIPELINE
    (folder / "step.onnx").write_bytes((folder / "step.onnx").read_bytes() + b" ")
    with pytest.raises(UserError, match=r"step\.onnx: changed since the bundle was made"):
        MachinePredictor.open(folder)


def test_a_network_with_one_changed_weight_stops_the_release_and_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = shutil.copytree(run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("bundle", "metrics.json"))
    before = sorted(file.name for file in folder.iterdir())
    monkeypatch.setattr(release, "graph", lambda exported, *sizes: graph(another(exported, 0.05), *sizes))
    (export,) = (stage for stage in stages_of(run.job) if stage.name == "export")
    with pytest.raises(UserError, match=r"first on `test machines`: .* nothing was released"):
        run_stages([export], folder, Progress(quiet=True))
    assert sorted(file.name for file in folder.iterdir()) == before


def test_decisions_that_flip_are_counted(runs: dict[str, Run]):
    run = runs["rul"]
    steps, exported = load(run.folder)
    predictor = MachinePredictor.open(run.folder)
    longest = float(np.median(answers(run.folder, run.test, run.test.last_rows())[OURS]))
    predictor = replace(predictor, decision=replace(predictor.decision, line=longest))  # half of them are due
    inputs = predictor.inputs
    never = Engine(graph(another(exported, -9.0), inputs.window, inputs.features), threads=1)
    check_parity(steps, exported, predictor, run.test)
    with pytest.raises(UserError, match=r"[1-9]\d* answers flipped; nothing was released"):
        check_parity(steps, exported, replace(predictor, network=never), run.test)


def test_a_stream_that_forgets_its_state_is_not_released(runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch):
    run = runs["rul"]
    steps, exported = load(run.folder)
    step = MachinePredictor.step
    monkeypatch.setattr(MachinePredictor, "step", lambda self, row, state: (step(self, row, state)[0], state))
    with pytest.raises(UserError, match="does not answer as the trained one"):
        check_parity(steps, exported, MachinePredictor.open(run.folder), run.test)
