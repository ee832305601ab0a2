"""How long to train, by the number of images."""

import pytest

from medical.imaging.recipe import FEWEST, MOST, PASSES, schedule_for


@pytest.mark.parametrize("images", [546, 1188, 2200])
def test_sets_of_ordinary_size_are_shown_equally_many_images(images: int) -> None:
    epochs, _ = schedule_for(images)
    assert PASSES <= epochs * images < PASSES + images


@pytest.mark.parametrize(("images", "epochs"), [(1, MOST), (50, MOST), (100_000, FEWEST)])
def test_epochs_are_bounded_for_tiny_and_large_sets(images: int, epochs: int) -> None:
    assert schedule_for(images)[0] == epochs


def test_a_step_never_takes_more_images_than_there_are() -> None:
    assert schedule_for(5)[1] == 5
    assert schedule_for(546)[1] < schedule_for(5000)[1]
