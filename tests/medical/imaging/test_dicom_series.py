"""DICOM series: found, sorted and oriented as SimpleITK and MONAI do it; gaps, copies and strays are named."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_files import AXIAL, CORONAL, SAGITTAL, SECRETS, at, image, series, write

from lepton_solutions.errors import UserError
from medical.imaging.dicom import read_series, series_in

STUDIES = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, (0.8, 0.6, 0, -0.6, 0.8, 0)])
def test_a_series_in_any_orientation_lies_in_the_body_s_axes(tmp_path, orientation):
    files = series(tmp_path, orientation)
    picture = read_series(files)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    theirs = SimpleITK.DICOMOrient(reader.Execute(), "LPS")
    assert np.array_equal(picture.pixels[0], SimpleITK.GetArrayFromImage(theirs))
    assert picture.spacing == pytest.approx(theirs.GetSpacing()[::-1])


def test_an_axial_series_is_sorted_by_place_and_not_by_name(tmp_path):
    picture = read_series(series(tmp_path))
    z, y, x = np.mgrid[:4, :5, :6]
    assert np.array_equal(picture.pixels[0], at(1.0 * x, 2.0 * y, 3.0 * z))
    assert picture.spacing == (3.0, 2.0, 1.0)
    assert picture.facts["plane"] == "axial"


def test_a_real_series_is_read_as_monai_reads_it():
    folder = STUDIES / "98892001" / "CT5N"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.transforms import LoadImage, Orientation

        loaded = Orientation("LPS")(LoadImage(reader="PydicomReader", ensure_channel_first=True)(str(folder)))
    (found,) = series_in(folder)
    picture = read_series(found.files)
    assert np.array_equal(picture.pixels, loaded.numpy().transpose(0, 3, 2, 1))
    assert picture.spacing == pytest.approx(np.linalg.norm(loaded.affine[:3, :3], axis=0)[::-1])


def test_a_tilted_gantry_is_told(tmp_path):
    files = series(tmp_path)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.ImagePositionPatient = [0, dataset.ImagePositionPatient[2], dataset.ImagePositionPatient[2]]
        dataset.save_as(file)
    assert read_series(files).facts["tilt"] == "45.0"


def test_a_missing_slice_is_named(tmp_path):
    files = series(tmp_path, slices=6)
    files.pop(3).unlink()
    with pytest.raises(UserError, match=r"a gap of 6\.00 mm between `03\.dcm` and `06\.dcm`, .* 1 missing"):
        read_series(files)


def test_a_slice_that_is_there_twice_is_named(tmp_path):
    files = series(tmp_path)
    (tmp_path / "copy.dcm").write_bytes(files[2].read_bytes())
    with pytest.raises(UserError, match=r"found 1 slices at the place of another, such as `03\.dcm` and `copy\.dcm`"):
        read_series([*files, tmp_path / "copy.dcm"])


def test_uneven_gaps_are_refused(tmp_path):
    files = series(tmp_path, slices=6)
    dataset = pydicom.dcmread(files[-1])
    dataset.ImagePositionPatient = [0, 0, 16]
    dataset.save_as(files[-1])
    with pytest.raises(UserError, match=r"found 4\.00 mm between .* and 3\.00 mm between most"):
        read_series(files)


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even(tmp_path):
    files = series(tmp_path, slices=9, gap=0.625)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.ImagePositionPatient = [0, 0, round(dataset.ImagePositionPatient[2], 1)]
        dataset.save_as(file)
    assert read_series(files).spacing == pytest.approx((0.625, 2, 1))


def test_pixels_of_two_sizes_in_a_series_are_refused(tmp_path):
    files = series(tmp_path)
    dataset = pydicom.dcmread(files[1])
    dataset.PixelSpacing = [1, 1]
    dataset.save_as(files[1])
    with pytest.raises(UserError, match=r"found pixels of 1 x 1 mm in `07\.dcm`, expected 2 x 1 mm as in `00\.dcm`"):
        read_series(files)


def test_slices_of_two_shapes_are_refused(tmp_path):
    files = [*series(tmp_path / "a"), series(tmp_path / "b", shape=(7, 6), slices=5)[4]]
    with pytest.raises(UserError, match="found a slice of 1 x 7 x 6"):
        read_series(files)


def test_localizer_capture_and_stray_slice_are_named_and_split_off(tmp_path):
    series(tmp_path)
    for name, more in {
        "scout": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        "capture": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
        "stray": {"ImageOrientationPatient": list(CORONAL), "ImagePositionPatient": [0, 0, 0]},
        "dose": {"Modality": "SR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67"},
    }.items():
        write(tmp_path / name, image(np.zeros((5, 6), np.int16), **more))
    (found,) = series_in(tmp_path)
    assert dict(found.left_out) == {
        "scout": "localizer",
        "capture": "secondary capture",
        "stray": "a slice of another orientation",
        "dose": "a report",
    }
    assert [file.name for file in found.files] == ["00.dcm", "07.dcm", "03.dcm", "10.dcm"]
    assert found.volume
    assert read_series(found.files).pixels.shape == (1, 4, 5, 6)


def test_x_rays_converted_to_secondary_captures_are_images(tmp_path):
    for number in range(2):
        more = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "SeriesInstanceUID": f"1.{number}"}
        write(tmp_path / f"{number}", image(np.zeros((2, 2), np.uint8), **more))
    found = series_in(tmp_path)
    assert [len(one.files) for one in found] == [1, 1]
    assert not any(one.volume or one.left_out for one in found)


def test_series_of_a_study_are_told_apart_and_broken_files_stand_alone(tmp_path):
    series(tmp_path / "a", SeriesInstanceUID="1.1")
    series(tmp_path / "b", CORONAL, SeriesInstanceUID="1.2")
    (tmp_path / "c.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 40)
    (tmp_path / "notes.txt").write_text("nothing")
    found = series_in(tmp_path)
    assert [one.uid for one in found] == ["1.1", "1.2", ""]
    assert {one.patient for one in found[:2]} == {SECRETS["PatientID"]}
    with pytest.raises(UserError, match=r"c\.dcm: "):
        read_series(found[2].files)
