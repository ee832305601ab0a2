"""What `prepare` leaves is what later stages read: pixels a part, targets, units, places of lesions."""

import json

import numpy as np
import pytest
from images_settings import IMAGES

import medical.imaging.audit
from lepton_solutions.config import read_jobs
from lepton_solutions.data.choose import batches_for
from lepton_solutions.data.findings import Finding
from lepton_solutions.data.splits import CALIBRATION, PARTS, TEST, TRAIN
from lepton_solutions.errors import UserError
from lepton_solutions.progress import Progress
from medical.imaging import prepare as preparing
from medical.imaging.prepare import prepare, task_of
from medical.imaging.sources import phantom
from medical.imaging.store import Store, unit_codes


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def settings(*overrides):
    return read_jobs("medical/imaging", ["data=phantom", "data.resolution=28", *overrides], multirun=False)[0].settings


def prepared(folder, *overrides):
    folder.mkdir(exist_ok=True)
    prepare(settings(*overrides), folder, folder, Progress(quiet=True))
    return Store.read(folder)


@pytest.fixture(scope="module")
def store(cache, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        return prepared(tmp_path_factory.mktemp("run"))


@pytest.fixture
def unaudited(monkeypatch):
    """What the audit finds is its own tests' matter, and takes seconds."""
    made = medical.imaging.audit.Audited([], np.arange(1200))
    monkeypatch.setattr(medical.imaging.audit, "audit", lambda *args, **named: made)


def test_pixels_targets_and_index_are_of_the_same_images(store):
    source = phantom(28)
    names = source.index.column("image").to_pylist()
    assert store.index.num_rows == 1200
    for part in range(len(PARTS)):
        rows = [names.index(name) for name in store.rows(part).column("image").to_pylist()]
        pixels = store.pixels(part)
        assert pixels.shape == (len(rows), 1, 28, 28)
        assert np.array_equal(pixels[5], source.read(rows[5]).pixels)
        assert np.array_equal(store.target(part), source.index.column("label").to_numpy()[rows])
        assert np.allclose(store.lesions(part), source.lesions[rows], equal_nan=True)


def test_window_and_moments_are_of_the_train_part(store, tmp_path, unaudited):
    share = np.clip((store.pixels(TRAIN).astype(float) + 160) / 400, 0, 1)
    assert (store.facts.low, store.facts.high) == (-160, 240)
    assert store.facts.mean == pytest.approx([share.mean()])
    assert store.facts.std == pytest.approx([share.std()])
    free = prepared(tmp_path / "free", "data.window=null").facts
    assert (free.low, free.high) == pytest.approx(np.percentile(store.pixels(TRAIN), [0.1, 99.9]), abs=5)


def test_a_part_is_a_reader_for_batches(store):
    batches = batches_for(store.reader(CALIBRATION), settings().fit)
    assert batches.target.dtype.is_floating_point
    assert np.array_equal(batches.target.numpy(), store.target(CALIBRATION))
    assert np.array_equal(batches.inputs[0].numpy(), store.pixels(CALIBRATION))


def test_units_are_images_studies_or_patients(store):
    patients = store.rows(TEST).column("patient").to_pylist()
    codes = store.units(TEST, "patient")
    assert len(set(zip(patients, codes, strict=True))) == len(set(patients)) == codes.max() + 1
    assert store.units(TEST).tolist() == list(range(len(codes)))


def test_a_patient_that_is_unknown_is_told_by_the_study_and_else_the_image_stands_alone():
    import pyarrow as pa

    rows = pa.table({"patient": ["a", "a", "b", None, None, None], "study": ["1", "2", "1", "1", "1", None]})
    assert unit_codes(rows, "patient").tolist() == [0, 0, 1, 2, 2, 3]
    assert unit_codes(rows, "study").tolist() == [0, 1, 2, 3, 3, 4]


def test_data_that_is_gone_from_the_cache_is_said(store, tmp_path, monkeypatch):
    store.write(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "emptied"))
    with pytest.raises(UserError, match="the decoded images of this run are gone"):
        Store.read(tmp_path)


def test_the_same_seed_gives_the_same_parts_and_another_seed_others(tmp_path, unaudited):
    first, again, other = (
        prepared(tmp_path / name, f"seed={seed}").index.column("image").to_pylist()
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again != other


def test_the_task_must_fit_the_labels():
    toys = phantom(28)
    assert task_of(toys, "auto") == "binary"
    assert task_of(toys, "multiclass") == "multiclass"
    with pytest.raises(UserError, match=r"model.task=multilabel: phantoms.* has one label an image"):
        task_of(toys, "multilabel")


def test_the_positive_label_can_be_turned(tmp_path, unaudited):
    store = prepared(tmp_path, "data.positive=no lesion")
    assert store.facts.labels == ["lesion", "no lesion"]
    with_lesion = ~np.isnan(store.lesions(TEST)[:, 0])
    assert np.array_equal(store.target(TEST) == 0, with_lesion)
    with pytest.raises(UserError, match=r"data.positive=tumour: phantoms.*`no lesion`, `lesion`, expected two and one"):
        prepared(tmp_path, "data.positive=tumour")


def test_a_level_needs_names(tmp_path):
    with pytest.raises(UserError, match=r"data.level=study: no image has a study"):
        prepared(tmp_path, "data.level=study")


def test_a_failing_audit_leaves_its_findings_and_ends_the_run(tmp_path, monkeypatch):
    finding = Finding("fail", "owner", "3 patients stand in two parts", rows=3)
    made = medical.imaging.audit.Audited([finding], np.arange(1200))
    monkeypatch.setattr(medical.imaging.audit, "audit", lambda *args, **named: made)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(UserError, match=r"phantoms, 1,200 of 28x28 pixels: 3 patients stand in two parts"):
        prepare(settings(), tmp_path, out, Progress(quiet=True))
    assert json.loads((tmp_path / "audit.json").read_text())[0]["check"] == "owner"


def test_settings_of_tests_are_the_settings():
    assert set(IMAGES) == set(preparing.Images.model_fields)


def test_studies_of_two_patients_may_be_named_alike(tmp_path):
    from PIL import Image

    rows, drawn = ["path,label,patient,study"], np.random.default_rng(0)
    for number in range(48):
        Image.fromarray(drawn.integers(0, 255, (12, 12), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{number // 2 % 2},p{number // 2},{number % 2 + 1}")
    (tmp_path / "m.csv").write_text("\n".join(rows), encoding="utf-8")
    job = read_jobs("medical/imaging", [f"data.path={tmp_path / 'm.csv'}", "data.level=study"], multirun=False)[0]
    prepare(job.settings, tmp_path, tmp_path, Progress(quiet=True))
    assert Store.read(tmp_path).units(TRAIN).max() + 1 == Store.read(tmp_path).facts.parts["train"].images
