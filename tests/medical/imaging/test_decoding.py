"""Images of any kind become one array: what decides its form, what is left out, and that nothing else is changed."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from images_settings import IMAGES

from lepton_solutions.data.images import Picture
from lepton_solutions.errors import UserError
from lepton_solutions.progress import Progress
from medical.imaging.decoding import Form, decoded, form_of
from medical.imaging.prepare import placed
from medical.imaging.settings import Images
from medical.imaging.sources import Collection, index_table, phantom


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def collection(pictures, identity="a"):
    """pictures: arrays, pictures, or texts of what is wrong with a file."""

    def read(row):
        one = pictures[row]
        if isinstance(one, str):
            raise UserError(one)
        return one if isinstance(one, Picture) else Picture(one)

    index = index_table([f"{i}.png" for i in range(len(pictures))], pa.array([0] * len(pictures), pa.int64()))
    return Collection("toys", None, ("a", "b"), index, read, identity)


def grey(*size, value=None, dtype=np.uint8, seed=0):
    if value is not None:
        return np.full((1, *size), value, dtype)
    return np.random.default_rng(seed).integers(0, 200, (1, *size)).astype(dtype)


def form(pictures, **data):
    return form_of(collection(pictures), Images.model_validate(IMAGES | data))


def made(pictures, unreadable=0.5, **data):
    found = collection(pictures)
    return decoded(found, form(pictures, **data)[0], unreadable, Progress(quiet=True))


def test_images_of_one_size_are_kept_as_they_are():
    pictures = [grey(10, 12, seed=i) for i in range(5)]
    found = made(pictures)
    assert np.array_equal(found.pixels, np.stack(pictures))
    assert found.pixels.dtype == np.uint8
    assert found.kept.tolist() == list(range(5))


def test_images_of_many_sizes_come_to_the_median_with_its_shape():
    pictures = [grey(side, 2 * side, seed=side) for side in (100, 400, 500)]
    chosen, notes = form(pictures)
    assert chosen.size == (112, 224)
    assert notes == ["images of 100-500 x 200-1000 pixels are stretched to 112 x 224; data.size sets another size"]
    found = made(pictures)
    assert found.pixels.shape == (3, 1, 112, 224)
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(pictures[1])[None].float(), (112, 224), mode="bilinear", antialias=True
    )
    assert np.allclose(found.pixels[1], wanted[0].numpy(), atol=1e-3)


def test_large_images_of_one_size_are_shrunk_and_that_is_said():
    chosen, notes = form([grey(1000, 600, seed=i) for i in range(3)])
    assert chosen.size == (224, 134)
    assert "images of 1000 x 600 pixels are stretched to 224 x 134" in notes[0]


def test_spacing_brings_images_to_millimetres():
    pictures = [Picture(grey(20, 20, value=9), (2.0, 2.0)), Picture(grey(40, 40, value=9), (1.0, 1.0))]
    found = made(pictures, size=[32, 32], spacing=[2.0, 2.0], window=[5.0, 20.0])
    # 20 pixels of 2 mm are 19 steps of 2 mm; 40 of 1 mm end at 39 mm, after 19 steps of them; outside is the low end.
    assert [(one == 9).sum() for one in found.pixels] == [400, 400]
    assert set(np.unique(found.pixels)) == {5.0, 9.0}
    without = made([*pictures, Picture(grey(20, 20))], size=[32, 32], spacing=[2.0, 2.0])
    assert without.unread[0].why == "the file states no spacing between its pixels, which data.spacing asks for"


def test_what_cannot_be_read_or_is_of_another_kind_is_listed_and_left_out():
    pictures = [*(grey(10, 12, seed=i) for i in range(6)), "the file ends too early", grey(10, 12, dtype=np.uint16),
                grey(4, 10, 12), np.concatenate([grey(10, 12, seed=i) for i in range(3)])]  # fmt: skip
    found = made(pictures)
    assert found.kept.tolist() == list(range(6))
    assert [(one.image, one.why) for one in found.unread] == [
        ("6.png", "the file ends too early"),
        ("7.png", "found pixels of 16 bits, expected 8 bits"),
        ("8.png", "found a 3-D image (a volume), expected a 2-D image (a plane)"),
        ("9.png", "found an image of 3 different channels, expected 1"),
    ]
    with pytest.raises(UserError, match=r"(?s)4 of 10 images cannot be used, data.unreadable=0.3 allows fewer:.*6.png"):
        made(pictures, unreadable=0.3)
    with pytest.raises(UserError, match="none of 2 images can be read; the first: broken"):
        form(["broken", "broken too"])


def test_grey_stored_as_colour_is_grey_and_colour_takes_grey_along():
    as_colour = [np.repeat(grey(9, 9, seed=i), 3, axis=0) for i in range(3)]
    assert form([*as_colour, grey(9, 9)])[0].channels == 1
    colour = [np.random.default_rng(i).integers(0, 255, (3, 9, 9)).astype(np.uint8) for i in range(3)]
    assert made([*colour, grey(9, 9)]).pixels.shape == (4, 3, 9, 9)


def test_images_are_decoded_once_and_again_when_a_file_changed():
    pictures, reads = [grey(9, 9, seed=i) for i in range(4)], []
    found = collection(pictures)
    counted = Collection(
        found.name, None, found.labels, found.index, lambda row: reads.append(row) or found.read(row), "a"
    )
    chosen = form(pictures)[0]
    for _ in range(2):
        decoded(counted, chosen, 0.0, Progress(quiet=True))
    assert sorted(reads) == [0, 1, 2, 3]
    decoded(Collection(*list(vars(counted).values())[:5], identity="b"), chosen, 0.0, Progress(quiet=True))
    assert len(reads) == 8


@pytest.mark.parametrize(("size", "spacing"), [([48, 96], None), ([48, 40], [7.5, 6.0]), ([96, 80], [4.0, 3.0])])
def test_the_place_of_a_lesion_moves_with_the_pixels(size, spacing):
    """A lesion drawn alone, resampled, has its weight where the moved place says."""
    phantoms = phantom(64)
    row = int(np.flatnonzero(phantoms.index.column("label").to_numpy())[0])
    place = phantoms.lesions[row]
    y, x = np.mgrid[:64, :64]
    alone = (np.hypot(y - place[0], x - place[1]) < place[2]).astype(np.float32)[None]
    chosen = Form(2, 1, "units", False, tuple(size), None if spacing is None else tuple(spacing), True, 0.0)
    picture = Picture(alone, phantoms.read(row).spacing)
    found = decoded(collection([picture]), chosen, 0.0, Progress(quiet=True)).pixels[0, 0]
    moved = placed(place[None], (64, 64), picture.spacing, chosen)[0]
    grid = np.mgrid[: size[0], : size[1]]
    weight = (found * grid).sum(axis=(1, 2)) / found.sum()
    source = np.array(
        [(alone[0] * axis).sum() / alone.sum() for axis in (y, x)]
    )  # a disc of few pixels is off its centre
    scale = np.array(size) / 64 if spacing is None else 5.0 / np.array(spacing)
    assert moved[:2] == pytest.approx(
        weight + (place[:2] - source) * scale, abs=0.1
    )  # of a pixel: its edge is sampled, not averaged
