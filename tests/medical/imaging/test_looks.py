from pathlib import Path

import numpy as np
import pytest

from lepton_solutions.data.images import Picture
from medical.imaging.looks import SIDE, look, read_looks, twins, write_looks


def test_a_thumbnail_is_the_mean_of_the_pixels_under_each_of_its_own():
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    coarse[0, :2] = 0, 255
    same = look(Picture(coarse[None])).thumbnail
    assert np.abs(same.astype(int) - coarse).max() <= 2  # stretched to the .5th and 99.5th percentile
    smooth = np.add.outer(np.arange(256.0), np.arange(384.0))
    small = look(Picture(smooth[None].astype(np.float32))).thumbnail.astype(int)
    assert (np.diff(small, axis=0) >= 0).all() and small[0, 0] == 0 and small[-1, -1] == 255


def test_a_volume_is_seen_by_the_slice_in_its_middle():
    volume = np.zeros((1, 9, 40, 40), np.float32)
    volume[0, 4, :, 20:] = 500
    seen = look(Picture(volume))
    assert seen.size == (9, 40, 40)
    assert seen.thumbnail[:, :28].max() == 0 and seen.thumbnail[:, 36:].min() == 255


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_blank_is_what_one_value_fills(dtype):
    pixels = np.full((1, 100, 100), 7, dtype)
    assert look(Picture(pixels)).blank
    pixels[0, :20, :20] = 9  # 4 % of the pixels
    assert not look(Picture(pixels)).blank


def test_missing_pixels_do_not_spread():
    pixels = np.random.default_rng(0).normal(size=(1, 50, 50)).astype(np.float32)
    pixels[0, 0, 0] = np.nan
    seen = look(Picture(pixels))
    assert np.isfinite([seen.low, seen.high, seen.mean, seen.spread]).all()
    assert seen.thumbnail.std() > 30


def test_twins_are_images_of_equal_pixels_size_and_type():
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    others = [pixels, pixels.copy(), pixels.reshape(1, 4, 3), pixels.astype(np.uint16), pixels + 1]
    codes = twins([look(Picture(one)) for one in others])
    assert codes[0] == codes[1] and len(set(codes.tolist())) == 4


def test_looks_come_back_as_they_were_written(tmp_path: Path):
    draw = np.random.default_rng(0)
    looks = [
        look(Picture(draw.integers(0, 9, (3, 20 + i, 30)).astype(np.uint8), None, {"KVP": "120"})) for i in range(3)
    ]
    write_looks(looks, tmp_path)
    for before, after in zip(looks, read_looks(tmp_path), strict=True):
        assert np.array_equal(before.thumbnail, after.thumbnail)
        assert {k: v for k, v in vars(before).items() if k != "thumbnail"} == {
            k: v for k, v in vars(after).items() if k != "thumbnail"
        }
