"""Phantoms hold what they say: lesions of known place, size and contrast, and nothing else that tells them apart."""

import numpy as np
import pytest

from medical.imaging.phantom import Phantoms


def disc(phantoms, row):
    *centre, radius = phantoms.lesions[row]
    grid = np.stack(np.meshgrid(*[np.arange(phantoms.side)] * phantoms.dims, indexing="ij"))
    return np.linalg.norm(grid - np.reshape(centre, (-1, *[1] * phantoms.dims)), axis=0), radius


@pytest.mark.parametrize("phantoms", [Phantoms(64), Phantoms(28, dims=3, patients=60)])
def test_a_lesion_is_brighter_than_what_is_around_it_where_it_is_said_to_be(phantoms):
    rises = []
    for row in np.flatnonzero(phantoms.label)[:40]:
        distance, radius = disc(phantoms, row)
        pixels = phantoms.image(row)[0]
        around = (distance > radius + 1) & (distance < radius + 3)
        rises.append(np.median(pixels[distance < 0.8 * radius]) - np.median(pixels[around]))
    assert 70 < np.median(rises) < 170  # the contrast that is drawn, Hounsfield units


def test_half_of_the_patients_have_a_lesion_in_every_image_or_in_none():
    phantoms = Phantoms(28)
    by_patient = [set(phantoms.label[phantoms.patient == one]) for one in range(600)]
    assert len(phantoms.label) == 1200
    assert all(len(labels) == 1 for labels in by_patient)
    assert sum(1 in labels for labels in by_patient) == 300
    assert np.isnan(phantoms.lesions[phantoms.label == 0]).all()


def test_an_image_is_the_same_whenever_it_is_drawn_and_no_two_are_alike():
    drawn = [Phantoms(28).image(row) for row in range(30)]
    assert all(np.array_equal(image, Phantoms(28).image(row)) for row, image in enumerate(drawn))
    assert len({image.tobytes() for image in drawn}) == 30


def test_brightness_alone_hardly_tells_who_has_a_lesion():
    from sklearn.metrics import roc_auc_score

    phantoms = Phantoms(64)
    highest = [phantoms.image(row).max() for row in range(300)]
    assert abs(roc_auc_score(phantoms.label[:300], highest) - 0.5) < 0.1  # bones and vessels are brighter still


def test_lesions_lie_inside_the_image():
    places = Phantoms(64).lesions
    places = places[~np.isnan(places[:, 0])]
    assert (places[:, :2] - places[:, 2:] > 0).all()
    assert (places[:, :2] + places[:, 2:] < 63).all()
