"""The classifier of a notebook learns from arrays, answers as its saved bundle does, and says what it lacks."""

from pathlib import Path

import numpy as np
import pytest

from lepton_solutions.errors import UserError
from medical import ImageClassifier
from medical.imaging.phantom import Phantoms

PHANTOMS = Phantoms(side=48, patients=60)


def images(count: int) -> np.ndarray:
    return np.stack([PHANTOMS.image(row) for row in range(count)])


def test_probabilities_of_the_classes_sum_to_one(ct_model: ImageClassifier):
    found = ct_model.predict_proba(images(5), spacing=PHANTOMS.spacing)
    assert ct_model.classes_.tolist() == ["clear", "lesion"]
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_the_saved_bundle_answers_alike(ct_model: ImageClassifier, ct_bundle: Path):
    loaded, given = ImageClassifier.load(ct_bundle), images(5)
    one, other = (model.predict_proba(given, spacing=PHANTOMS.spacing) for model in (ct_model, loaded))
    np.testing.assert_array_equal(one, other)
    assert (
        loaded.predict(given, spacing=PHANTOMS.spacing).tolist()
        == ct_model.predict(given, spacing=PHANTOMS.spacing).tolist()
    )


def test_a_map_lies_on_the_pixels_of_the_image(ct_model: ImageClassifier):
    (heat,) = ct_model.explain(images(1), spacing=PHANTOMS.spacing)
    assert heat.shape == (48, 48)
    assert 0 <= heat.min() <= heat.max() <= 1


def test_a_bundle_is_not_written_over_files(ct_model: ImageClassifier, tmp_path: Path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UserError, match="not empty"):
        ct_model.save(tmp_path)


def test_arrays_need_labels():
    with pytest.raises(UserError, match="labels: found none"):
        ImageClassifier().fit(images(2))


def test_one_that_learned_nothing_says_so():
    with pytest.raises(UserError, match="learned nothing"):
        ImageClassifier().predict(images(1))
