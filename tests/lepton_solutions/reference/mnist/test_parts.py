"""The digits of a run in three parts."""

import numpy as np
import pytest

from lepton_solutions.errors import UserError
from lepton_solutions.reference.mnist import parts
from lepton_solutions.reference.mnist.sources import Digits, mnist_5k


@pytest.fixture(scope="module")
def digits() -> Digits:
    return mnist_5k()


def test_every_digit_is_in_one_part_and_each_part_has_as_many_of_each(digits):
    rows = parts.split(digits, 0.1, seed=0)
    assert {part: len(which) for part, which in rows.items()} == {"train": 3600, "validation": 400, "test": 1000}
    assert np.array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(5000))
    assert all(len(set(np.bincount(digits.labels[which]))) == 1 for which in rows.values())


def test_the_publishers_test_part_is_kept(digits):
    published = np.arange(5000) % 7 == 3
    rows = parts.split(Digits("some", digits.pixels, digits.labels, published, "", ""), 0.1, seed=0)
    assert np.array_equal(rows["test"], np.flatnonzero(published))


def test_the_seed_decides_the_parts(digits):
    first, again, other = (parts.split(digits, 0.1, seed=seed)["validation"] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_too_few_digits_for_a_validation_part_are_refused(digits):
    few = Digits("few", digits.pixels[::250], digits.labels[::250], None, "", "")
    with pytest.raises(UserError, match="cannot be split"):
        parts.split(few, 0.1, seed=0)


def test_an_image_in_two_parts_is_found(digits):
    rows = parts.split(digits, 0.1, seed=0)
    assert parts.audit(digits, rows) == []
    pixels = digits.pixels.copy()
    pixels[rows["test"][:3]] = pixels[rows["train"][:3]]
    (finding,) = parts.audit(Digits("twins", pixels, digits.labels, None, "", ""), rows)
    assert (finding.level, finding.rows) == ("warning", 3)
