"""The proof passes for the exported network, on real CT too, and stops the release of another one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lepton_solutions.data.images import Picture
from lepton_solutions.errors import UserError
from medical.imaging.classifier import ImageClassifier
from medical.imaging.exported import Exported, load
from medical.imaging.parity import TOLERANCE, check_parity
from medical.imaging.phantom import Phantoms
from medical.imaging.predictor import ImagePredictor

PHANTOMS = Phantoms(side=48, patients=60)


@pytest.fixture
def network(ct_model: ImageClassifier) -> Exported:
    assert ct_model._kept is not None
    return load(Path(ct_model._kept.name))


def prepared(network: Exported) -> tuple[np.ndarray, list[tuple[int, Picture]]]:
    """Images as `prepare` stores them, and as they were."""
    from medical.imaging.exported import on_grid

    pictures = [Picture(PHANTOMS.image(row), PHANTOMS.spacing) for row in range(12)]
    raw = torch.from_numpy(np.stack([picture.pixels for picture in pictures]).astype(np.float32))
    stored = on_grid(raw, torch.tensor([PHANTOMS.spacing] * len(raw)), network.grid).numpy()
    return stored, list(enumerate(pictures))


def test_every_case_agrees(network: Exported, ct_bundle: Path):
    proof = check_parity(network, ImagePredictor.open(ct_bundle), *prepared(network))
    assert [case["case"] for case in proof["cases"]] == [
        "test images",
        "single images",
        "as the files hold them",
        "constant images and noise",
        "other sizes and spacings",
        "real CT",
    ]
    assert proof["largest_difference"] <= TOLERANCE
    assert proof["flipped"] == 0


def test_another_network_is_not_released(network: Exported, ct_bundle: Path):
    with torch.no_grad():
        network.members[0].head.bias += 3
    with pytest.raises(UserError, match="nothing was released"):
        check_parity(network, ImagePredictor.open(ct_bundle), *prepared(network))


def test_pictures_read_another_way_than_in_training_are_not_released(network: Exported, ct_bundle: Path):
    stored, pictures = prepared(network)
    turned = [(row, Picture(picture.pixels[:, ::-1], picture.spacing)) for row, picture in pictures]
    with pytest.raises(UserError, match="as the files hold them"):
        check_parity(network, ImagePredictor.open(ct_bundle), stored, turned)
