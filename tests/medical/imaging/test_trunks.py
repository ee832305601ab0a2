"""Trunks: each library's networks up to their last map, in 2-D and 3-D, and what cannot be had is said."""

import pytest
import torch

from lepton_solutions.errors import UserError
from medical.imaging.trunks import pretrained_file, trunk_for

PICTURE, VOLUME = (32, 32), (32, 32, 32)


@pytest.mark.parametrize(
    ("name", "size", "features", "map_size"),
    [
        ("small", PICTURE, 32, (8, 8)),
        ("small", VOLUME, 32, (4, 4, 4)),
        ("monai_resnet18", (28, 28), 512, (4, 4)),  # as MedMNIST v2: no step in the stem
        ("monai_resnet18", (64, 64), 512, (2, 2)),
        ("monai_resnet18", (16, 16, 16), 512, (2, 2, 2)),
        ("monai_densenet121", PICTURE, 1024, (1, 1)),
        ("monai_efficientnet_b0", PICTURE, 1280, (1, 1)),
        ("monai_efficientnet_b0", VOLUME, 1280, (1, 1, 1)),
        ("monai_vit", (28, 32), 768, (7, 8)),
        ("timm:resnet18", PICTURE, 512, (1, 1)),
        ("timm:vit_tiny_patch16_224", (32, 48), 192, (2, 3)),  # tokens go back to their places
        ("timm:swin_tiny_patch4_window7_224", (64, 64), 768, (2, 2)),  # channels come last there
    ],
)
def test_a_trunk_gives_a_map(name, size, features, map_size):
    trunk, found = trunk_for(name, channels=1, size=size, width=8)
    with torch.no_grad():
        places = trunk.eval()(torch.rand(2, 1, *size))
    assert found == features
    assert places.shape == (2, features, *map_size)


def test_tokens_lie_where_their_patches_were():
    trunk, _ = trunk_for("timm:vit_tiny_patch16_224", channels=1, size=(32, 48), width=8)
    dark = torch.zeros(1, 1, 32, 48)
    spot = dark.clone()
    spot[..., 16:, 32:] = 1.0  # the last patch of the last row
    with torch.no_grad():
        change = (trunk.eval().net.patch_embed(spot) - trunk.net.patch_embed(dark)).norm(dim=2)
    assert change.unflatten(1, trunk.grid)[0].nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "size", "found"),
    [
        ("timm:resnet18", VOLUME, "looks at pictures, found volumes of 32 x 32 x 32 voxels"),
        ("timm:resnet19", PICTURE, "did you mean `resnet18`"),
        ("monai_resnet19", PICTURE, "did you mean `monai_resnet18`"),
        ("monai_densenet121", (28, 28), "cannot look at images of 28 x 28 pixels"),
        ("monai_vit", (30, 30), "expected multiples of 4"),
    ],
)
def test_a_network_that_cannot_look_at_the_images_is_refused(name, size, found):
    with pytest.raises(UserError, match=found):
        trunk_for(name, channels=1, size=size, width=8)


def test_only_timm_has_weights_to_start_from():
    with pytest.raises(UserError, match=r"`monai_resnet18` has no published weights"):
        trunk_for("monai_resnet18", channels=1, size=PICTURE, width=8, pretrained=True)


def test_offline_no_weights_are_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("LEPTON_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="LEPTON_OFFLINE forbids to fetch them"):
        pretrained_file("convnextv2_huge.fcmae")
