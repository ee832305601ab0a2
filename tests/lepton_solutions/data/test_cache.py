"""Arrays that several processes share: built once, never half."""

import multiprocessing
import os
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from lepton_solutions.data.cache import cache_folder, cached, decoded_once
from lepton_solutions.data.readers import image_folder
from lepton_solutions.errors import UserError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def images(tmp_path):
    drawn = np.random.default_rng(0)
    for name in ("benign", "malignant"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(3):
            pixels = drawn.integers(0, 256, (8, 6, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


def build_and_count(folder, count):
    with count.open("a") as lines:
        lines.write("built\n")
    np.save(folder / "inputs.npy", np.arange(5))


def ask(count, waiting):
    waiting.wait()
    place = cached("key", lambda folder: build_and_count(folder, count), need=0)
    assert np.load(place / "inputs.npy", mmap_mode="r")[4] == 4


def test_processes_that_ask_at_once_build_once(tmp_path):
    context = multiprocessing.get_context("fork")
    waiting = context.Barrier(3)
    children = [context.Process(target=ask, args=(tmp_path / "count", waiting)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "built\n"


def die_half_way(folder):
    (folder / "inputs.npy").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_left_is_built_anew(tmp_path):
    child = multiprocessing.get_context("fork").Process(target=cached, args=("key", die_half_way), kwargs={"need": 0})
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    ask_alone = cached("key", lambda folder: build_and_count(folder, tmp_path / "count"), need=0)
    assert sorted(file.name for file in ask_alone.iterdir()) == ["inputs.npy"]
    assert np.array_equal(np.load(ask_alone / "inputs.npy"), np.arange(5))


def test_a_disk_that_is_too_small_is_said_before_anything_is_written():
    with pytest.raises(UserError, match=r"decoded data needs 1000000000\.0 GB"):
        cached("key", lambda folder: None, need=10**18)
    assert not (cache_folder() / "key").exists()


def test_decoded_images_are_those_of_the_folder(images):
    folder = image_folder(images, (8, 6))
    arrays = decoded_once(folder)
    assert arrays.rows == 6
    for found, expected in zip(arrays.read(0, 6)[:2], folder.read(0, 6)[:2], strict=True):
        assert np.array_equal(found, expected)


def test_images_are_decoded_again_only_when_a_file_or_the_size_changes(images):
    first = decoded_once(image_folder(images, (8, 6))).inputs[0]
    assert decoded_once(image_folder(images, (8, 6))).inputs[0] == first
    assert decoded_once(image_folder(images, (4, 3))).inputs[0] != first
    shutil.copy(images / "benign" / "0.png", images / "malignant" / "0.png")
    assert decoded_once(image_folder(images, (8, 6))).inputs[0] != first
