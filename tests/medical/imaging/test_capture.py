"""A map lies where the network saw what it speaks of, and a volume is shown upright."""

import numpy as np
import pytest
import torch

from lepton_solutions.models.resample import regrid
from medical.imaging.capture import Grid, placed, show


@pytest.mark.parametrize(("shape", "spacing"), [((40, 50), (3.0, 2.0)), ((90, 30), (1.0, 4.0))])
def test_a_point_in_the_image_is_marked_where_it_is(shape: tuple[int, int], spacing: tuple[float, float]):
    image = np.full(shape, 0.0, np.float32)
    image[18:22, 14:18] = 1
    grid = Grid((2.0, 2.0), (32, 32))
    seen = regrid(
        torch.from_numpy(image)[None, None], torch.tensor([spacing]), target=grid.spacing, size=grid.size, fill=0
    )
    back = placed(seen[0, 0].numpy(), shape, spacing=spacing, grid=grid)
    top = np.array(np.unravel_index(back.argmax(), shape))
    if seen.max() > 0.5:  # inside the grid
        assert np.abs(top - [19.5, 15.5]).max() <= 3  # a step of the grid


def test_without_a_grid_a_map_covers_the_whole_image():
    found = placed(np.array([[0.0, 0.0], [0.0, 2.0]]), (8, 8))
    assert found[-1, -1] == 1
    assert found[0, 0] == 0


def test_evidence_against_is_not_shown():
    assert placed(np.array([[-3.0, -1.0]]), (4, 4)).max() == 0


def test_the_head_is_up_in_a_coronal_plane():
    volume = np.zeros((1, 8, 8, 8), np.float32)
    volume[0, 6:] = 1  # z rises to the head
    shown = show(volume, (1.0, 1.0, 1.0), None, window=(0, 1), lines=())
    coronal = shown[:512, 512:1024, 0]
    assert coronal[60].min() == 255
    assert coronal[-60].max() == 0


def test_text_is_broken_and_not_cut():
    short, long = (show(np.zeros((1, 9, 9)), None, None, window=(0, 1), lines=[text]) for text in ("a", "word " * 60))
    assert long.shape[0] > short.shape[0] + 40
    assert not long[:, -5:].any()  # nothing reaches the border
