"""Rows from arrays and image folders, and what is said of files that cannot be read."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from lepton_solutions.data.readers import MappedRows, decoded, image_folder
from lepton_solutions.errors import UserError
from lepton_solutions.places import data_root


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("crack", "pore", "spot")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 6), (number, 100, 200)).save(tmp_path / name / "part.png")
    return tmp_path


def test_mapped_rows_are_those_of_the_files(tmp_path):
    series, length = np.random.default_rng(0).normal(size=(9, 5, 2)), np.arange(9, dtype=np.int32)
    np.save(tmp_path / "series.npy", series)
    np.save(tmp_path / "length.npy", length)
    np.save(tmp_path / "target.npy", length > 4)
    rows = MappedRows((tmp_path / "series.npy", tmp_path / "length.npy"), tmp_path / "target.npy")
    piece = rows.read(3, 7)
    assert np.array_equal(piece.inputs[0], series[3:7].astype(np.float32))
    assert piece.inputs[0].dtype == np.float32
    assert piece.inputs[1].tolist() == [3, 4, 5, 6]
    assert piece.target.tolist() == [0, 0, 1, 1]
    assert piece.target.dtype == piece.inputs[1].dtype == np.int64
    assert rows.row_bytes == 5 * 2 * 4 + 8 + 8
    assert rows.cuts(4).tolist() == [0, 4, 8, 9]


def test_a_set_of_the_medmnist_collection_streams_as_bytes(tmp_path):
    source = data_root() / "medmnist" / "breastmnist.npz"
    if not source.is_file():
        pytest.skip("medmnist/breastmnist.npz is not in the data root")
    with np.load(source) as arrays:
        images, labels = arrays["train_images"], arrays["train_labels"][:, 0]
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    piece = MappedRows((tmp_path / "images.npy",), tmp_path / "labels.npy").read(100, 546)
    assert piece.inputs[0].dtype == np.uint8
    assert np.array_equal(piece.inputs[0], images[100:])
    assert np.array_equal(piece.target, labels[100:])


def test_arrays_of_different_lengths_are_named(tmp_path):
    np.save(tmp_path / "inputs.npy", np.zeros(3))
    np.save(tmp_path / "target.npy", np.zeros(4))
    with pytest.raises(UserError, match=r"target\.npy: found 4 rows, expected 3 as in .*inputs\.npy"):
        MappedRows((tmp_path / "inputs.npy",), tmp_path / "target.npy")


def test_a_file_that_is_no_array_is_named(tmp_path):
    (tmp_path / "inputs.npy").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"inputs\.npy: cannot be read as an array of numbers"):
        MappedRows((tmp_path / "inputs.npy",), tmp_path / "inputs.npy")


def test_sub_folders_are_classes_in_alphabetical_order(folder):
    (folder / "notes.txt").write_text("not an image")
    images = image_folder(folder, (6, 4))
    assert images.classes == ("crack", "pore", "spot")
    piece = images.read(0, 3)
    assert piece.inputs[0].shape == (3, 3, 6, 4)
    assert piece.inputs[0][:, :, 0, 0].tolist() == [[0, 100, 200], [1, 100, 200], [2, 100, 200]]
    assert piece.target.tolist() == [0, 1, 2]


def test_grey_images_have_one_channel_and_the_size_asked_for(folder):
    image = decoded(folder / "pore" / "part.png", (3, 2), 1)
    assert image.shape == (1, 3, 2)
    assert image[0, 0, 0] == round(0.299 * 1 + 0.587 * 100 + 0.114 * 200)  # luma of ITU-R 601-2


def test_histology_photographs_are_read_from_their_archive(tmp_path):
    source = data_root() / "lc25000_lung_224" / "lc25000_lung_224_subset900.zip"
    if not source.is_file():
        pytest.skip("lc25000_lung_224 is not in the data root")
    with zipfile.ZipFile(source) as archive:
        names = [name for name in archive.namelist() if name.endswith((".jpg", ".jpeg", ".png"))]
        for name in (names[0], names[-1]):
            place = tmp_path / name.split("/")[-2] / name.split("/")[-1]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(archive.read(name))
        original = np.asarray(Image.open(io.BytesIO(archive.read(min(names[0], names[-1])))).convert("RGB"))
    images = image_folder(tmp_path, original.shape[:2])
    assert len(images.classes) == images.rows == 2
    assert np.array_equal(images.read(0, 1).inputs[0][0].transpose(1, 2, 0), original)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n" + b"broken" * 10])
def test_an_unreadable_image_is_named(folder, content):
    (folder / "spot" / "part.png").write_bytes(content)
    with pytest.raises(UserError, match=r"spot/part\.png: cannot be read as an image"):
        image_folder(folder, (6, 4)).read(0, 3)


def test_a_truncated_image_is_named(folder):
    place = folder / "spot" / "part.png"
    Image.effect_noise((64, 64), 50).save(place)
    place.write_bytes(place.read_bytes()[:1_000])
    with pytest.raises(UserError, match=r"spot/part\.png: cannot be read as an image"):
        image_folder(folder, (6, 4)).read(0, 3)


def test_sixteen_bits_are_refused_rather_than_clipped(folder):
    Image.fromarray(np.full((6, 4), 40_000, dtype=np.uint16)).save(folder / "spot" / "part.png")
    with pytest.raises(UserError, match=r"spot/part\.png: found an image of mode I;16, expected 8 bits a channel"):
        image_folder(folder, (6, 4)).read(0, 3)


def test_a_folder_without_images_is_said_to_be_so(folder):
    with pytest.raises(UserError, match=r"crack: found no sub-folder, expected one sub-folder of images"):
        image_folder(folder / "crack", (6, 4))
    (folder / "spot" / "part.png").unlink()
    with pytest.raises(UserError, match=r"found no image in the sub-folder `spot`"):
        image_folder(folder, (6, 4))
    with pytest.raises(UserError, match=r"nowhere: found no folder"):
        image_folder(folder / "nowhere", (6, 4))
