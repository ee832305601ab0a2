"""Sets by name: what the publisher says of them, and what the files hold."""

import numpy as np
import pytest

from lepton_solutions.data.splits import PARTS
from lepton_solutions.errors import UserError
from lepton_solutions.places import conf_folder, data_sets
from medical.imaging import medmnist_file, sources
from medical.imaging.medmnist import SETS

here = {name: sources.source_of(name, 28).find() is not None for name in ("breastmnist", "pneumoniamnist")}
COUNTS = {  # Yang et al. 2023, table 2: train, validation, test
    "breastmnist": (546, 78, 156),
    "pneumoniamnist": (4708, 524, 624),
    "adrenalmnist3d": (1188, 98, 298),
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_published_set_has_its_published_parts(name):
    if sources.source_of(name, 28).find() is None:
        pytest.skip(f"{name} is not on this machine")
    collection = getattr(sources, name)()
    parts = np.bincount(collection.index.column("part").to_numpy(), minlength=4)
    assert (*parts[:2], parts[3]) == COUNTS[name]
    assert parts[PARTS.index("calibration")] == 0
    assert collection.published_split
    picture = collection.read(len(collection) - 1)
    assert picture.pixels.shape == (1, *[28] * SETS[name].dims)
    assert picture.pixels.dtype == np.uint8


def test_malignant_is_the_first_class_of_breastmnist_as_published():
    if not here["breastmnist"]:
        pytest.skip("breastmnist is not on this machine")
    collection = sources.breastmnist()
    labels = collection.index.column("label").to_numpy()
    assert [collection.labels[code] for code in (0, 1)] == ["malignant", "normal or benign"]
    assert np.bincount(labels[collection.index.column("part").to_numpy() == 3]).tolist() == [42, 114]


def npz(folder, name, *, label=None, shape=(28, 28)):
    drawn = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 6), ("val", 2), ("test", 3)):
        arrays[f"{part}_images"] = drawn.integers(0, 255, (n, *shape), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.zeros((n, 1), np.uint8) if label is None else label(n)
    (folder / "medmnist").mkdir(exist_ok=True)
    np.savez(folder / "medmnist" / f"{name}.npz", **arrays)
    return arrays


def test_colours_and_several_labels_are_read_from_the_published_layout(tmp_path, monkeypatch):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    arrays = npz(tmp_path, "chestmnist", label=lambda n: np.eye(14, dtype=np.uint8)[:n])
    chest = sources.chestmnist()
    assert chest.task == "multilabel"
    assert chest.index.column("label_2").to_pylist()[:3] == [0.0, 0.0, 1.0]
    arrays = npz(tmp_path, "pathmnist", shape=(28, 28, 3))
    assert np.array_equal(sources.pathmnist().read(7).pixels, arrays["val_images"][1].transpose(2, 0, 1))


def test_a_large_file_is_mapped_and_reads_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arrays = npz(tmp_path, "octmnist")
    monkeypatch.setattr(medmnist_file, "LARGE", 0)
    assert np.array_equal(sources.octmnist().read(10).pixels[0], arrays["test_images"][2])


def test_a_file_that_is_no_such_set_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    npz(tmp_path, "octmnist", label=lambda n: np.full((n, 1), 9, np.uint8))
    with pytest.raises(UserError, match=r"octmnist.npz: found labels from 9 to 9, expected 0 to 3"):
        sources.octmnist()
    (tmp_path / "medmnist" / "octmnist.npz").write_bytes(b"not an archive")
    with pytest.raises(UserError, match="cannot be read as a MedMNIST file"):
        sources.octmnist()


def test_a_size_that_is_not_published_is_said():
    with pytest.raises(UserError, match=r"data.resolution=128: `adrenalmnist3d` is published at 28 or 64 pixels"):
        sources.adrenalmnist3d(128)


def test_every_published_set_has_a_config_and_a_checksum_of_each_size():
    assert set(SETS) <= set(data_sets("medical/imaging"))
    sums = [one for published in SETS.values() for one in published.md5.values()]
    assert len(set(sums)) == len(sums) == 12 * 4 + 6 * 2
    assert all(len(one) == 32 for one in sums)
    for name in SETS:
        assert f"sources.{name}}}" in (conf_folder() / "data" / f"{name}.yaml").read_text(encoding="utf-8")


def test_phantoms_are_named_by_patient_and_site():
    collection = sources.phantom(28)
    assert collection.read(0).spacing == (320 / 28, 320 / 28)
    assert collection.index.column("image").to_pylist()[:4] == [
        "phantom-0000/0", "phantom-0001/0", "phantom-0001/1", "phantom-0002/0"
    ]  # fmt: skip
    assert set(collection.index.column("site").to_pylist()) == {"scanner 1", "scanner 2"}
