"""A run from a folder of images to the bundle: what it writes, what the bundle then says, and what is not released."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lepton_solutions import bundle
from lepton_solutions.data.splits import TEST
from lepton_solutions.errors import UserError

QUICK = ("fit.epochs=2", "fit.plan=eager", "fit.logger=none", "model.width=4")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for label in ("benign", "malignant"):
        folder = tmp_path / "images" / label
        folder.mkdir(parents=True)
        for number in range(30):
            pixels = draw.integers(0, 120, (24, 24), dtype=np.uint8)
            if label == "malignant":
                pixels[6:14, 6:14] = 200
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "images"


def test_the_bundle_of_a_run_says_of_the_files_what_the_run_said(lepton: Callable, images: Path, tmp_path: Path):
    run = tmp_path / "run"
    answer = lepton("run", "medical/imaging", f"data.path={images}", *QUICK, f"run.dir={run}")
    assert answer.code == 0, answer.err
    found = json.loads((run / "metrics.json").read_text())
    assert (found["pipeline"], found["chosen"], sorted(found["variants"])) == (
        "medical/imaging",
        "trained",
        ["baseline", "trained"],
    )
    assert found["parity"]["flipped"] == 0 and found["parity"]["rows"] > 0
    assert found["variants"]["trained"]["size_bytes"] == bundle.size_bytes(run / "bundle")
    assert (run / "report.html").stat().st_size > 10_000

    answer = lepton("predict", run, images, "-o", tmp_path / "answers.csv")
    assert answer.code == 0, answer.err
    said = csv.read_csv(tmp_path / "answers.csv").to_pydict()
    served = dict(zip(said["image"], said["probability_malignant"], strict=True))
    index = pq.read_table(run / "index.parquet")
    tested = set(index.filter(np.equal(index.column("part").to_numpy(), TEST)).column("image").to_pylist())
    measured = pq.read_table(run / "predictions.parquet")
    assert set(measured.column("image").to_pylist()) == tested and set(served) == set(index.column("image").to_pylist())
    for image, probability in zip(measured["image"].to_pylist(), measured["probability"].to_pylist(), strict=True):
        assert served[image] == pytest.approx(probability[1], abs=1e-5)  # float32 sums in another order


def test_a_model_that_answers_otherwise_is_not_released(lepton: Callable, images: Path, tmp_path: Path, monkeypatch):
    def differs(*given: object) -> None:
        raise UserError("the exported model does not answer as the trained one")

    monkeypatch.setattr("medical.imaging.release.check_parity", differs)
    run = tmp_path / "run"
    answer = lepton("run", "medical/imaging", f"data.path={images}", *QUICK, f"run.dir={run}")
    assert answer.code == 2 and "does not answer as the trained one" in answer.err
    assert not (run / "bundle").exists() and not (run / "metrics.json").exists()
