"""A picture is brought to what the network learned, or refused: never silently something else."""

import numpy as np
import pytest

from lepton_solutions.data.images import Picture
from lepton_solutions.errors import UserError
from medical.imaging.conform import conform

GREY = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
COLOUR = np.stack([GREY[0], GREY[0] + 1, GREY[0]])


def conformed(pixels, channels=1, dims=2, kind="bytes", file_window=False, **facts):
    return conform(Picture(pixels, None, facts), channels=channels, dims=dims, kind=kind, file_window=file_window)


def test_grey_and_colour_meet_without_loss():
    assert np.array_equal(conformed(np.repeat(GREY, 3, axis=0)), GREY)
    assert np.array_equal(conformed(GREY, channels=3), np.repeat(GREY, 3, axis=0))
    assert np.array_equal(conformed(COLOUR, channels=3), COLOUR)
    with pytest.raises(UserError, match="found an image of 3 different channels, expected 1"):
        conformed(COLOUR)


def test_bit_depths_and_dimensions_do_not_mix():
    with pytest.raises(UserError, match="found pixels of 16 bits, expected 8 bits"):
        conformed(GREY.astype(np.uint16))
    with pytest.raises(UserError, match=r"found a 3-D image \(a volume\), expected a 2-D image \(a plane\)"):
        conformed(GREY[None])
    assert conformed(GREY.astype(np.int16), kind="units").dtype == np.float32


def test_the_file_s_own_window_becomes_0_to_255():
    found = conformed(np.array([[[-2000, -160, 40, 240, 900]]], np.int16), file_window=True, window="-160,240")
    assert found.ravel().tolist() == [0, 0, 127.5, 255, 255]
    with pytest.raises(UserError, match="states no window"):
        conformed(GREY, file_window=True)
