import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lepton_solutions.errors import UserError
from lepton_solutions.places import data_root
from medical.imaging.inspection import inspect, reads

PER_CLASS = 24


def texture(seed: int) -> Image.Image:
    made = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(64, 64)), 2)
    return Image.fromarray(np.clip(128 + 45 * made / made.std(), 0, 255).astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of unlike images."""
    for code, name in enumerate(("ill", "well")):
        (tmp_path / name).mkdir()
        for number in range(PER_CLASS):
            texture(100 * code + number).save(tmp_path / name / f"{number:02}.png")
    return tmp_path


def test_a_clean_folder_passes(folder: Path):
    text, failed = inspect(folder, [])
    assert text.splitlines() == [f"{folder}: 48 images, 2 labels, split as a run would", "the audit passed"]
    assert not failed


def test_copies_fail_the_split_and_the_groups_file_mends_it(folder: Path):
    for number in range(0, PER_CLASS, 2):
        turned = Image.open(folder / "ill" / f"{number:02}.png").transpose(Image.Transpose.ROTATE_90)
        turned.save(folder / "ill" / f"{number:02}_turned.png")
    (folder / "ill" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    groups = folder / "groups.csv"
    text, failed = inspect(folder, ["unreadable=0.1", f"groups={groups}"])
    assert failed and "fail     altered copies of an image of another part: " in text
    assert "warning  could not be read: 1 of 61 images" in text
    assert f"written  {groups}: 48 groups of 60 images" in text
    text, failed = inspect(groups, [])
    assert not failed and "altered copies" not in text
    with pytest.raises(UserError, match="expected a file in"):
        inspect(folder, ["groups=/groups.csv"])


def test_too_few_images_for_four_parts_are_audited_all_the_same(folder: Path):
    for file in (*sorted((folder / "ill").iterdir())[2:], *sorted((folder / "well").iterdir())[2:]):
        file.unlink()
    Image.open(folder / "ill" / "00.png").save(folder / "well" / "00.png")
    text, failed = inspect(folder, [])
    assert "not split: " in text and "equal to an image of another label: 2 images" in text
    assert not failed


def test_an_unknown_key_is_answered_as_in_a_run(folder: Path):
    with pytest.raises(UserError, match=r"data\.level"):
        inspect(folder, ["levl=patient"])


def test_images_are_told_from_tables(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    assert reads(folder) and not reads(folder / "ill" / "00.png") and not reads(folder / "none")
    tables = tmp_path_factory.mktemp("tables")
    (tables / "train.csv").write_text("a,b\n1,2\n")
    (tables / "manifest.csv").write_text("path,label\nill/00.png,ill\n")
    (tables / "extra").mkdir()
    assert not reads(tables) and not reads(tables / "train.csv") and reads(tables / "manifest.csv")
    (folder / "groups.csv").write_text("path,label,patient\n")
    assert reads(folder)


@pytest.mark.slow
def test_the_random_split_of_lc25000_is_flagged(tmp_path: Path):
    """Each class of 5,000 tiles was made of 250 by turning, mirroring and shearing: arXiv:1912.12142."""
    archive = data_root() / "lc25000_lung_224" / "lc25000_lung_224_subset900.zip"
    if not archive.is_file():
        pytest.skip("the subset of LC25000 is not on this machine")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    (home,) = (path.parent for path in tmp_path.rglob("lung_n") if path.is_dir())
    text, failed = inspect(home, [f"groups={home / 'groups.csv'}"])
    # 900 of 15,000 tiles, of 750 originals: independent of us, OpenCV's SIFT finds 563 pairs in 532 groups.
    assert failed and "altered copies of an image of another part: 4" in text
    assert (home / "groups.csv").is_file()
    text, failed = inspect(home / "groups.csv", [])
    assert not failed
