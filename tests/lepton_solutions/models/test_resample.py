"""Resampling: the same as PyTorch's and MONAI's, for every size."""

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.testing import data_path
from torch.nn import functional as F

from lepton_solutions.models.resample import regrid, resize

SIDES = st.integers(2, 40)  # a side of 1 makes PyTorch mistake the memory format, and answer wrongly
MM = st.sampled_from([0.5, 0.7, 0.85, 1.0, 1.5, 2.0, 3.0])


@settings(max_examples=25, deadline=None)
@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_resizing_pictures_is_antialiased_interpolation(before, after):
    pixels = torch.rand(2, 3, *before, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(pixels, after, mode="bilinear", antialias=True)
    torch.testing.assert_close(resize(pixels, after), expected, atol=1e-5, rtol=0)  # float32, sums of 40 terms


def test_enlarging_volumes_is_trilinear_interpolation():
    pixels = torch.rand(2, 1, 5, 7, 6)
    expected = F.interpolate(pixels, (9, 20, 6), mode="trilinear", align_corners=False)
    torch.testing.assert_close(resize(pixels, (9, 20, 6)), expected, atol=1e-6, rtol=0)


def test_shrinking_volumes_averages_along_every_axis():
    pixels = torch.rand(1, 1, 8, 12, 10)
    flat = F.interpolate(pixels.flatten(1, 2), (6, 5), mode="bilinear", antialias=True)  # height and width
    turned = F.interpolate(flat.transpose(1, 2), (4, 5), mode="bilinear", antialias=True)  # depth
    torch.testing.assert_close(resize(pixels, (4, 6, 5))[0], turned.transpose(1, 2), atol=1e-6, rtol=0)


def test_an_image_that_has_the_size_comes_back_to_the_bit():
    pixels = torch.randn(2, 1, 9, 11) * 1000
    millimetres = torch.tensor([[0.7, 1.3], [0.7, 1.3]])
    assert torch.equal(resize(pixels, (9, 11)), pixels)
    assert torch.equal(regrid(pixels, millimetres, target=(0.7, 1.3), size=(9, 11), fill=0.0), pixels)


def test_whole_numbers_are_taken_too():
    pixels = torch.randint(0, 256, (1, 1, 8, 8), dtype=torch.uint8)
    assert resize(pixels, (4, 4)).dtype == torch.float32
    torch.testing.assert_close(resize(pixels, (4, 4)), resize(pixels.float(), (4, 4)))


@settings(max_examples=15, deadline=None)
@given(st.tuples(SIDES, SIDES, SIDES), st.tuples(MM, MM, MM), st.tuples(MM, MM, MM), st.tuples(SIDES, SIDES, SIDES))
def test_regridding_is_monais_spacing_and_crop_or_pad(space, spacing, target, size):
    volume = torch.rand(1, *space, generator=torch.Generator().manual_seed(0)) * 1000 - 500
    expected = by_monai(volume, np.diag([*spacing, 1.0]), target, size)
    found = regrid(volume[None], torch.tensor([spacing]), target=target, size=size, fill=-1000.0)[0]
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)  # of 1,000: its places are float32, ours float64


def test_a_real_scan_comes_to_the_same_grid_as_by_monai():
    image = nibabel.load(f"{data_path}/anatomical.nii")
    volume = torch.from_numpy(np.asarray(image.dataobj, np.float32))[None]
    spacing = tuple(float(mm) for mm in image.header.get_zooms()[:3])
    affine = np.diag([*spacing, 1.0])  # orientation is the reader's business
    for target, size in [((2.0, 2.0, 2.0), (40, 32, 30)), ((1.1, 3.0, 2.5), (24, 24, 24))]:
        expected = by_monai(volume, affine, target, size)
        found = regrid(volume[None], torch.tensor([spacing]), target=target, size=size, fill=-1000.0)[0]
        assert float((found - expected).abs().max()) < 2e-5 * float(volume.max())


def test_each_image_has_its_own_spacing():
    pixels = torch.rand(2, 1, 16, 16)
    spacing = torch.tensor([[1.0, 1.0], [2.0, 0.5]])
    both = regrid(pixels, spacing, target=(1.0, 1.0), size=(20, 20), fill=0.0)
    for row in range(2):
        alone = regrid(pixels[row : row + 1], spacing[row : row + 1], target=(1.0, 1.0), size=(20, 20), fill=0.0)
        torch.testing.assert_close(both[row : row + 1], alone)


def test_a_length_keeps_its_millimetres():
    ramp = torch.arange(30.0).expand(1, 1, 30, 30)  # a pixel a step across
    found = regrid(ramp, torch.tensor([[1.0, 1.0]]), target=(0.5, 0.5), size=(40, 40), fill=-1.0)
    assert found[0, 0, 20].diff().tolist() == pytest.approx([0.5] * 39)


def by_monai(volume: torch.Tensor, affine: np.ndarray, target, size) -> torch.Tensor:
    from monai.data import MetaTensor
    from monai.transforms import ResizeWithPadOrCrop, Spacing

    image = MetaTensor(volume, affine=torch.from_numpy(affine))
    resampled = Spacing(target, mode="bilinear", padding_mode="border")(image)
    return torch.as_tensor(ResizeWithPadOrCrop(size, value=-1000)(resampled)).float()
