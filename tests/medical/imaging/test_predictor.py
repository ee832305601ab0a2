"""The predictor answers as the network in torch does, on simulated and on real CT, with few packages, and refuses what
its model never learned to read."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom.data import get_testdata_file

from lepton_solutions.data.images import Picture
from lepton_solutions.errors import UserError
from medical.imaging.classifier import ImageClassifier
from medical.imaging.exported import load
from medical.imaging.parity import CT
from medical.imaging.phantom import Phantoms
from medical.imaging.predictor import ImagePredictor
from medical.imaging.reading import read

PHANTOMS = Phantoms(side=48, patients=60)
HEAVY = ("torch", "pandas", "sklearn", "monai", "timm", "scipy", "matplotlib", "lightgbm")


@pytest.fixture(scope="module")
def predictor(ct_bundle: Path) -> ImagePredictor:
    return ImagePredictor.open(ct_bundle)


def by_torch(model: ImageClassifier, picture: Picture) -> tuple[np.ndarray, ...]:
    assert model._kept is not None
    network = load(Path(model._kept.name))
    with torch.inference_mode():
        pixels, spacing = picture.pixels.astype(np.float32)[None], np.array([picture.spacing], np.float32)
        return tuple(found.numpy() for found in network(torch.from_numpy(pixels), torch.from_numpy(spacing)))


@pytest.mark.parametrize("name", CT)
def test_on_real_ct_the_bundle_answers_as_the_network(ct_model: ImageClassifier, predictor: ImagePredictor, name: str):
    file = get_testdata_file(name, download=False)
    if file is None:
        pytest.skip(f"pydicom does not ship {name}")
    picture = read(Path(str(file)), 2)
    if picture.pixels.ndim != 3:
        pytest.skip(f"{name} holds several frames")
    logit, heat, distance = by_torch(ct_model, picture)
    found = predictor.engine.answers(**{key: value[None] for key, value in predictor.inputs.arrays(picture).items()})
    np.testing.assert_allclose(found["logit"], logit, atol=1e-4)  # float32 sums in another order
    np.testing.assert_allclose(found["map"], heat, atol=1e-3)
    np.testing.assert_allclose(found["distance"], distance, rtol=1e-3)


def test_one_image_is_answered_as_among_others(predictor: ImagePredictor):
    given = [PHANTOMS.image(row) for row in range(6)]
    together = predictor.predict(given, spacing=PHANTOMS.spacing)
    for image, among in zip(given, together, strict=True):
        (alone,) = predictor.predict([image], spacing=PHANTOMS.spacing)
        assert alone["probability"]["lesion"] == pytest.approx(among["probability"]["lesion"], abs=1e-5)


def test_images_of_several_sizes_are_answered_in_their_order(predictor: ImagePredictor):
    small, large = PHANTOMS.image(0), np.pad(PHANTOMS.image(1), ((0, 0), (4, 4), (9, 0)), constant_values=-1000)
    mixed = predictor.predict([small, large, small], spacing=PHANTOMS.spacing)
    assert mixed[0]["probability"] == pytest.approx(mixed[2]["probability"])
    assert mixed[1] == predictor.predict([large], spacing=PHANTOMS.spacing)[0]


@pytest.mark.parametrize(
    ("pixels", "spacing", "said"),
    [
        (np.zeros((1, 4, 48, 48), np.int16), (7.0, 7.0, 7.0), "expected a 2-D"),
        (np.zeros((2, 48, 48), np.int16), (7.0, 7.0), "channels"),
        (np.zeros((1, 48, 48), np.uint8), (7.0, 7.0), "8 bits"),
        (np.zeros((1, 48, 48), np.int16), None, "spacing"),
        (np.zeros((1, 48, 48), np.int16), (7.0, 0.0), "spacing"),
        (np.full((1, 48, 48), np.nan, np.float32), (7.0, 7.0), "no numbers"),
        (np.zeros((1, 0, 48), np.int16), (7.0, 7.0), "expected an image"),
    ],
)
def test_what_the_model_cannot_read_is_told(
    predictor: ImagePredictor, pixels: np.ndarray, spacing: tuple[float, ...] | None, said: str
):
    if pixels.shape[0] == 2:
        pixels[1] = 1
    with pytest.raises(UserError, match=said):
        predictor.predict([Picture(pixels, spacing)])


def test_an_image_of_another_kind_is_refused(predictor: ImagePredictor):
    noise = np.random.default_rng(0).integers(-1000, 1000, (1, 48, 48)).astype(np.int16)
    (answer,) = predictor.predict([noise], spacing=PHANTOMS.spacing)
    assert answer["refused"]
    assert answer["decision"] == "refused"


def test_a_bundle_that_was_changed_is_not_opened(ct_bundle: Path, tmp_path: Path):
    import shutil

    spoilt = Path(shutil.copytree(ct_bundle, tmp_path / "spoilt"))
    (spoilt / "decision.json").write_text("{}")
    with pytest.raises(UserError, match="changed since"):
        ImagePredictor.open(spoilt)


def test_it_works_where_none_of_the_training_packages_is_installed(ct_bundle: Path, study: Path):
    file = study / "1.2.3" / "0.dcm"
    code = (
        "import sys, json\nclass Absent:\n def find_spec(self, name, path=None, target=None):\n"
        f"  if name.split('.')[0] in {HEAVY!r}: raise ModuleNotFoundError(name)\nsys.meta_path.insert(0, Absent())\n"
        "from medical.imaging.predictor import ImagePredictor\n"
        f"print(json.dumps(ImagePredictor.open({str(ct_bundle)!r}).predict([{str(file)!r}])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ImagePredictor.open(ct_bundle).predict([file])
