"""MNIST's files: as published, damaged, or absent."""

import gzip
import logging
import struct
from pathlib import Path

import numpy as np
import pytest

from lepton_solutions.errors import UserError
from lepton_solutions.reference.mnist.sources import FILES, MNIST, mnist, mnist_5k, read_idx

TRAIN, LABELS, TEST, TEST_LABELS = (source.file for source in FILES)


def idx(values: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}i", *values.shape)
    return gzip.compress(head + values.astype(np.uint8).tobytes())


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    """A data root of its own with a small, whole set of the four files; nothing is fetched."""
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    monkeypatch.setenv("LEPTON_OFFLINE", "1")
    folder = tmp_path / "mnist"
    folder.mkdir()
    pixels = np.arange(30 * 784).reshape(30, 28, 28) % 251
    for name, values in (
        (TRAIN, pixels),
        (LABELS, np.arange(30) % 10),
        (TEST, pixels[:4]),
        (TEST_LABELS, [7, 2, 1, 0]),
    ):
        (folder / name).write_bytes(idx(np.asarray(values)))
    return folder


def test_mnist_is_as_published():
    if MNIST.find() is None:
        pytest.skip("MNIST is not on this machine")
    digits = mnist()
    assert digits.name == "MNIST, 70,000 digits"
    assert digits.pixels.shape == (70_000, 28, 28) and digits.pixels.dtype == np.uint8
    # How often each digit occurs among the training images and among those to test with.
    counts = [np.bincount(digits.labels[digits.test == part]).tolist() for part in (False, True)]
    assert counts[0] == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert counts[1] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_the_four_files_become_one_set_that_knows_its_test_part(root):
    digits = mnist()
    assert digits.name == "MNIST, 34 digits"
    assert digits.labels[-4:].tolist() == [7, 2, 1, 0]
    assert np.flatnonzero(digits.test).tolist() == [30, 31, 32, 33]
    assert digits.pixels[1, 0, :3].tolist() == [784 % 251, 785 % 251, 786 % 251]


def test_without_the_files_5000_digits_are_used_and_named_so(tmp_path, monkeypatch):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    monkeypatch.setenv("LEPTON_OFFLINE", "1")
    said: list[str] = []
    monkeypatch.setattr(
        logging.getLogger("lepton_solutions.reference.mnist.sources"), "warning", lambda *a: said.append(a[0] % a[1:])
    )
    digits = mnist()
    assert digits.name == "MNIST, 5,000 digits only"
    assert np.bincount(digits.labels).tolist() == [500] * 10
    assert digits.test is None
    assert len(said) == 1 and "5,000 digits" in said[0] and str(tmp_path / "mnist") in said[0]


def test_without_the_package_too_the_message_names_all_four_files(tmp_path, monkeypatch):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    monkeypatch.setenv("LEPTON_OFFLINE", "1")
    monkeypatch.setattr("lepton_solutions.data.sources.find_spec", lambda name: None)
    with pytest.raises(UserError) as refused:
        mnist()
    assert all(source.file in str(refused.value) for source in FILES)
    assert str(tmp_path / "mnist") in str(refused.value)


def test_the_5000_digits_are_handwriting_of_the_whole_set():
    if MNIST.find() is None:
        pytest.skip("MNIST is not on this machine")
    whole = {row.tobytes() for row in mnist().pixels}
    few = mnist_5k().pixels
    assert sum(row.tobytes() in whole for row in few) == len(few)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[: len(content) // 2], "cannot be unpacked"),
        (lambda content: b"not gzip at all", "cannot be unpacked"),
        (lambda content: gzip.compress(b"\x00\x00\x0d\x01"), "starts with 00 00 0d 01, expected the IDX mark 00 00 08"),
        (lambda content: gzip.compress(b"\x00\x00\x08\x03\x00\x00"), "ends inside the IDX header, after 6 bytes"),
        (
            lambda content: gzip.compress(gzip.decompress(content)[:-784]),
            "found 22,752 bytes, expected 23,536 for the stated 30 x 28 x 28",
        ),
        (lambda content: idx(np.zeros((30, 14, 14))), "found images of shape [14, 14], expected [28, 28]"),
        (lambda content: idx(np.zeros((29, 28, 28))), "found 29 images and 30 labels"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(root, spoil, message):
    (root / TRAIN).write_bytes(spoil((root / TRAIN).read_bytes()))
    with pytest.raises(UserError) as refused:
        mnist()
    assert str(root / TRAIN) in str(refused.value)
    assert message in str(refused.value)


def test_a_label_that_is_no_digit_is_refused(root):
    (root / LABELS).write_bytes(idx(np.where(np.arange(30) == 17, 11, np.arange(30) % 10)))
    with pytest.raises(UserError, match=r"label of image 17 \(from 0\): found 11, expected a digit from 0 to 9"):
        mnist()


def test_an_idx_file_has_the_shape_that_it_states(tmp_path):
    values = np.arange(24).reshape(2, 3, 4)
    (tmp_path / "some.gz").write_bytes(idx(values))
    assert np.array_equal(read_idx(tmp_path / "some.gz"), values)
