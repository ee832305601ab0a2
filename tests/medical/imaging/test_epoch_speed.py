"""The race of loops: both run the same network on the same images; no test says who wins."""

import pytest
import torch

from medical.imaging import epoch_speed
from medical.imaging.epoch_speed import CHANGES, HIGH, LOW, Case, images_of, monai_transforms

FEW = Case("few", 24, (16, 16), 12, width=4)


def test_every_loop_is_timed(monkeypatch):
    monkeypatch.setattr(epoch_speed.os, "cpu_count", lambda: 0)
    monkeypatch.setattr(epoch_speed, "planned", lambda case, epochs, device: [1.0] * epochs)  # tries for seconds
    figures = epoch_speed.epoch_speed((FEW,), epochs=2)
    assert set(figures) >= {"few/ours_fp32", "few/ours_planned", "few/monai_0", "few/ratio_fp32", "few/ratio_planned"}
    assert figures["few/ratio_fp32"] == pytest.approx(figures["few/monai_0"] / figures["few/ours_fp32"], rel=0.5)
    assert min(figures.values()) > 0


@pytest.mark.parametrize("size", [(16, 16), (12, 14, 16)])
def test_monai_changes_images_as_far_as_ours_do(size):
    from lepton_solutions.data.augment import changed

    pixels, _ = images_of(Case("few", 64, size, 8))
    torch.manual_seed(0)
    transform = monai_transforms(Case("few", 64, size, 8))
    theirs = torch.stack([transform({"image": image, "label": 0.0})["image"] for image in pixels])
    ours = changed(pixels, CHANGES, LOW, HIGH)
    assert theirs.shape == ours.shape
    assert theirs.dtype == ours.dtype == torch.float32
    own = pixels.float().flatten(1).mean(1)
    shifts = [(images.flatten(1).mean(1) - own).std() for images in (theirs, ours)]  # what brightness does to a mean
    assert shifts[0] == pytest.approx(float(shifts[1]), rel=0.3)  # 64 draws of a uniform: 7 % standard error each
