"""NIfTI files become volumes in the body's axes, as MONAI reads them."""

import gzip
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_solutions.errors import UserError
from medical.imaging.geometry import turned
from medical.imaging.nifti import read_nifti

REAL = Path(nibabel.__file__).parent / "tests" / "data"


def saved(file, values, affine=None, **codes):
    image = nibabel.Nifti1Image(values, np.diag([-1, -1, 1, 1.0]) if affine is None else affine)
    for name, code in codes.items():
        image.header[name] = code
    nibabel.save(image, file)
    return file


@pytest.mark.parametrize("name", ["anatomical.nii", "reoriented_anat_moved.nii", "standard.nii.gz"])
def test_real_files_are_read_as_monai_reads_them(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.transforms import LoadImage, Orientation

        image = Orientation("LPS")(LoadImage(reader="NibabelReader", ensure_channel_first=True)(str(REAL / name)))
    picture = read_nifti(REAL / name)
    assert np.array_equal(picture.pixels, image.numpy().transpose(0, 3, 2, 1))
    assert picture.spacing == pytest.approx(np.linalg.norm(image.affine[:3, :3], axis=0)[::-1])


def test_axes_rise_to_the_head_the_back_and_the_left(tmp_path):
    x, y, z = np.mgrid[:3, :4, :5]  # by the affine below, indices rise to the right, the front and the feet
    file = saved(tmp_path / "a.nii", (x + 10 * y + 100 * z).astype(np.int16), np.diag([2.0, 3.0, -4.0, 1.0]))
    picture = read_nifti(file)
    assert picture.pixels.shape == (1, 5, 4, 3)
    assert picture.spacing == (4.0, 3.0, 2.0)
    assert picture.pixels[0, 0, 0, 0] == 2 + 10 * 3 + 100 * 4  # the lowest, foremost, rightmost voxel
    assert picture.pixels.dtype == np.int16


@given(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3), st.integers(0, 2**16))
def test_however_a_volume_lies_in_its_file_it_is_turned_back(axes, flips, seed):
    body = np.arange(2 * 3 * 4).reshape(1, 2, 3, 4)  # [z, y, x]
    small = np.random.default_rng(seed).normal(scale=0.1, size=(3, 3))  # oblique by a few degrees
    stored = body.transpose(0, *(1 + axis for axis in axes))
    directions = np.stack([np.eye(3)[2 - axis] * (-1 if flip else 1) for axis, flip in zip(axes, flips, strict=True)])
    stored = np.flip(stored, [1 + axis for axis, flip in enumerate(flips) if flip])
    result, spacing = turned(stored, directions + small, [(3.0, 2.0, 1.0)[axis] for axis in axes])
    assert np.array_equal(result, body)
    assert spacing == (3.0, 2.0, 1.0)


def test_slope_and_intercept_are_applied(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, -10)
    file = tmp_path / "a.nii"
    image.to_filename(file)
    with file.open("r+b") as stream:
        stream.seek(352)
        stream.write(np.arange(8, dtype=np.int16).tobytes())
    assert sorted(read_nifti(file).pixels.ravel()) == [0.5 * n - 10 for n in range(8)]


def test_one_slice_is_an_image(tmp_path):
    picture = read_nifti(saved(tmp_path / "a.nii", np.arange(12, dtype=np.uint8).reshape(4, 3, 1)))
    assert picture.pixels.shape == (1, 3, 4)
    assert picture.pixels[0, 0].tolist() == [0, 3, 6, 9]
    assert picture.spacing == (1.0, 1.0)


def test_a_unit_other_than_mm_is_converted(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.diag([500, 500, 500, 1]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "a.nii")
    assert read_nifti(tmp_path / "a.nii").spacing == pytest.approx((0.5, 0.5, 0.5))


def test_the_content_counts_and_not_the_name(tmp_path):
    plain = saved(tmp_path / "a.nii", np.arange(8, dtype=np.uint8).reshape(2, 2, 2))
    packed = tmp_path / "packed.nii"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert np.array_equal(read_nifti(packed).pixels, read_nifti(plain).pixels)


def test_a_file_without_affine_is_refused(tmp_path):
    file = saved(tmp_path / "a.nii", np.zeros((2, 2, 2), np.uint8))
    content = bytearray(file.read_bytes())
    content[252:256] = bytes(4)  # qform_code and sform_code
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.nii: found no affine \(qform_code and sform_code are 0\)"):
        read_nifti(file)


def test_several_volumes_are_refused():
    with pytest.raises(UserError, match="found an array of shape 128 x 96 x 24 x 2, expected one volume"):
        read_nifti(REAL / "example4d.nii.gz")


def test_voxels_that_are_no_numbers_are_refused():
    with pytest.raises(UserError, match="found 153 of 1,071 pixels that are no numbers"):
        read_nifti(REAL / "resampled_anat_moved.nii")


@pytest.mark.parametrize("kept", [0, 3, 200, 400])
def test_a_file_that_was_cut_short_is_named(tmp_path, kept):
    file = saved(tmp_path / "a.nii", np.zeros((9, 9, 9), np.float32))
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"a\.nii: "):
        read_nifti(file)


def test_a_header_that_claims_more_than_the_file_can_hold_is_refused_before_memory_is_taken(tmp_path):
    file = saved(tmp_path / "a.nii", np.zeros((9, 9, 9), np.float32))
    content = bytearray(file.read_bytes())
    content[42:48] = np.array([32000] * 3, "<i2").tobytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(UserError, match="as its header says"):
        read_nifti(tmp_path / "a.nii.gz")
