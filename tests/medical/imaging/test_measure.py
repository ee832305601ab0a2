from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score
from stored_images import imaging_settings, stored

from lepton_solutions.data.splits import TEST
from lepton_solutions.errors import UserError
from lepton_solutions.progress import Progress
from lepton_solutions.reporting.run import read_record
from medical.imaging import judge, measure
from medical.imaging.evaluation import Evaluation
from medical.imaging.exported import load
from medical.imaging.maps import Maps
from medical.imaging.store import Store
from medical.imaging.train import logits, train

SETTINGS = imaging_settings("fit.epochs=2", "fit.batch_size=32")


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run that has learned from `stored` images for two epochs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run_of(task: str, *, labels: int = 2) -> Path:
        run = tmp_path / "run"
        stored(run, task, labels=labels)
        train(SETTINGS, run, run, Progress(quiet=True))
        return run

    return run_of


@pytest.mark.parametrize("task, labels", [("binary", 2), ("multilabel", 3)])
def test_a_trained_run_is_measured_on_its_test_part(trained, task, labels):
    run = trained(task, labels=labels)
    measure.evaluate(SETTINGS, run, run, Progress(quiet=True))
    found, table = read_record(run / "evaluation.json", Evaluation), pq.read_table(run / "predictions.parquet")
    assert found.task == task and set(found.test) == {"trained", "baseline"}
    assert table.num_rows == found.parts["test"].units == 32
    Maps.read(run / "explained.npz")
    if task == "binary":
        logit, far = logits(load(run), Store.read(run).pixels(TEST))
        np.testing.assert_allclose(table.column("distance").to_numpy(), far)
        target = Store.read(run).target(TEST)
        assert found.test["trained"]["auc"].value == pytest.approx(roc_auc_score(target, logit))
        assert found.patients == 16


def test_a_test_part_without_any_label_is_an_error(trained, monkeypatch):
    run = trained("binary")
    known = Store.target

    def target(self: Store, part: int) -> np.ndarray:
        return np.full(32, -1) if part == TEST else known(self, part)

    monkeypatch.setattr(Store, "target", target)
    with pytest.raises(UserError, match="test part: found 32 images and no label"):
        measure.evaluate(SETTINGS, run, run, Progress(quiet=True))


def test_judging_needs_no_torch():
    import subprocess
    import sys

    code = f"import sys, {judge.__name__}, {measure.__name__}; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
