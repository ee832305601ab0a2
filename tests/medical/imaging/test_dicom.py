"""DICOM files: decoded as SimpleITK does it, rescaled, frames in place; and nothing of the patient comes along."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_files import AXIAL, SECRETS, image, write
from pydicom import Dataset
from pydicom.sequence import Sequence

from lepton_solutions.errors import UserError
from medical.imaging.dicom import read_dicom

REAL = Path(pydicom.__file__).parent / "data" / "test_files"
STUDIES = REAL / "dicomdirtests"
COMPRESSED = {
    "JPEG baseline, YBR": "SC_rgb_jpeg_dcmtk.dcm",
    "JPEG baseline, RGB": "SC_jpeg_no_color_transform.dcm",
    "JPEG extended, 12 bits": "JPGExtended.dcm",
    "JPEG lossless": "SC_rgb_jpeg_gdcm.dcm",
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "JPEG-LS, near": "JPEGLSNearLossless_16.dcm",
    "JPEG-LS, colour": "SC_rgb_jls_lossy_sample.dcm",
    "JPEG 2000": "693_J2KI.dcm",
    "JPEG 2000, lossless": "MR_small_jp2klossless.dcm",
    "JPEG 2000, signed against its header": "J2K_pixelrep_mismatch.dcm",
    "JPEG 2000, YBR_RCT": "GDCMJ2K_TextGBR.dcm",
    "RLE": "MR_small_RLE.dcm",
    "RLE, two frames of colour": "SC_rgb_rle_2frame.dcm",
    "deflated": "image_dfl.dcm",
    "big endian": "MR_small_bigendian.dcm",
    "implicit": "MR_small_implicit.dcm",
    "YBR_FULL_422": "SC_ybr_full_422_uncompressed.dcm",
    "palette": "examples_palette.dcm",
    "30 frames of ultrasound": "examples_ybr_color.dcm",
    "rescaled to HU": "CT_small.dcm",
    "overlay in unused bits": "examples_overlay.dcm",
}


def itk(path):
    """[channels, z, y, x], as SimpleITK's own decoders give it."""
    found = SimpleITK.ReadImage(str(path))
    values = SimpleITK.GetArrayFromImage(found)
    return np.moveaxis(values, -1, 0) if found.GetNumberOfComponentsPerPixel() > 1 else values[None]


@pytest.mark.parametrize("name", COMPRESSED.values(), ids=COMPRESSED.keys())
def test_every_transfer_syntax_gives_what_simple_itk_gives(name):
    pixels = read_dicom(REAL / name).pixels
    assert np.array_equal(pixels if pixels.ndim == 4 else pixels[:, None], itk(REAL / name))


@pytest.mark.parametrize("name", ["6154", "6247", "6278"])
def test_monochrome1_is_turned_round_as_simple_itk_does(name):
    file = next(STUDIES.rglob(name))
    picture = read_dicom(file)
    assert picture.pixels == pytest.approx(itk(file)[:, 0], rel=1e-6)  # float32 against double
    stored = pydicom.dcmread(file).pixel_array
    assert picture.pixels[0].ravel()[stored.argmin()] == picture.pixels.max()


def test_hounsfield_units_are_slope_times_stored_plus_intercept(tmp_path):
    stored = np.array([[0, 1000], [1024, 4000]], np.int16)
    kept = read_dicom(write(tmp_path / "a", image(stored, RescaleSlope=1, RescaleIntercept=-1024, BitsStored=13)))
    assert kept.pixels.tolist() == [[[-1024, -24], [0, 2976]]]
    assert kept.pixels.dtype == np.int16
    halved = read_dicom(write(tmp_path / "b", image(stored, RescaleSlope=0.5, RescaleIntercept=-1024)))
    assert halved.pixels.tolist() == [[[-1024, -524], [-512, 976]]]
    assert halved.pixels.dtype == np.float32


@pytest.mark.parametrize(
    ("function", "expected"),
    [(None, "-160,239"), ("LINEAR_EXACT", "-160,240"), ("SIGMOID", "-160,240")],  # PS3.3 C.11.2.1.2 and .3
)
def test_the_window_is_the_file_s_own(tmp_path, function, expected):
    more = {} if function is None else {"VOILUTFunction": function}
    file = write(
        tmp_path / "a", image(np.zeros((2, 2), np.int16), WindowCenter=[40, 300], WindowWidth=[400, 9], **more)
    )
    assert read_dicom(file).facts["window"] == expected


def test_the_window_of_monochrome1_is_turned_round_with_its_pixels(tmp_path):
    stored = np.array([[0, 100], [200, 255]], np.uint8)
    turned = {"PhotometricInterpretation": "MONOCHROME1"}
    window = {"WindowCenter": 150, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"}
    picture = read_dicom(write(tmp_path / "a", image(stored, **turned, **window)))
    assert picture.pixels.tolist() == [[[255, 155], [55, 0]]]
    assert picture.facts["window"] == "55,155"  # 100 to 200, which lie at 155 to 55


def test_what_surrounds_a_picture_is_dark_in_monochrome1_too(tmp_path):
    stored = np.array([[0, 0], [200, 255]], np.uint8)
    padded = {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 0}
    picture = read_dicom(write(tmp_path / "a", image(stored, **padded)))
    assert picture.pixels.tolist() == [[[0, 0], [55, 0]]]


def test_nothing_of_the_patient_is_kept_but_sex_and_age(tmp_path):
    more = {"PatientSex": "F", "InstitutionName": "St. Elsewhere", "SeriesDescription": "Bronte knee", "KVP": 120}
    picture = read_dicom(write(tmp_path / "a", image(np.zeros((2, 2), np.int16), **more)))
    kept = " ".join(f"{name} {value}" for name, value in picture.facts.items())
    for secret in (*SECRETS.values(), "Bront", "Elsewhere", "1.2.3"):
        assert secret not in kept
    assert picture.facts["sex"] == "F"
    assert picture.facts["age"] == "90"  # 106, which would single her out
    assert picture.facts["KVP"] == "120"


@pytest.mark.parametrize(("age", "years"), [("007Y", "7"), ("018M", "1"), ("020D", "0"), ("103Y", "90"), ("old", None)])
def test_age_is_given_in_years(tmp_path, age, years):
    file = write(tmp_path / "a", image(np.zeros((2, 2), np.int16), PatientAge=age, PatientBirthDate="", StudyDate=""))
    assert read_dicom(file).facts.get("age") == years


def test_a_message_does_not_repeat_what_stands_in_the_file(tmp_path, caplog, recwarn):
    file = write(tmp_path / "a", image(np.zeros((2, 2), np.int16)))
    content = file.read_bytes()
    for number in range(0, len(content), 7):
        file.write_bytes(content[:number] + b"\xff" + content[number + 1 :])
        try:
            read_dicom(file)
        except UserError as error:
            assert "HX-4711" not in str(error)
            assert "19200117" not in str(error)
    assert "HX-4711" not in caplog.text


def enhanced(places, orientation=AXIAL):
    """A CT of several frames in one file, as newer scanners write it."""
    frames = np.stack([np.full((3, 4), 10 * number, np.int16) for number in range(len(places))])
    dataset = image(frames, NumberOfFrames=len(places), SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1")
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([Dataset()]), Sequence([Dataset()])
    shared.PixelMeasuresSequence[0].PixelSpacing = [2, 1]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = list(orientation)
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for number, place in enumerate(places):
        group, position, line = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, place]
        line.RescaleSlope, line.RescaleIntercept = 1, -1000 + number
        group.PlanePositionSequence, group.PixelValueTransformationSequence = Sequence([position]), Sequence([line])
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return dataset


def test_frames_with_places_are_a_volume_each_rescaled_by_its_own_line(tmp_path):
    picture = read_dicom(write(tmp_path / "a", enhanced([6.0, 0.0, 3.0])))
    assert picture.pixels.shape == (1, 3, 3, 4)
    assert picture.pixels[0, :, 0, 0].tolist() == [-1000 + 1 + 10, -1000 + 2 + 20, -1000]
    assert picture.spacing == (3.0, 2.0, 1.0)


def test_a_missing_frame_is_named(tmp_path):
    with pytest.raises(UserError, match=r"a gap of 6\.00 mm between `frame 3` and `frame 4`"):
        read_dicom(write(tmp_path / "a", enhanced([0.0, 3.0, 6.0, 12.0])))


def test_frames_without_places_stay_in_their_order(tmp_path):
    frames = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    picture = read_dicom(write(tmp_path / "a", image(frames, NumberOfFrames=2, Modality="US")))
    assert np.array_equal(picture.pixels[0], frames)
    assert picture.spacing is None


def test_the_calibration_of_ultrasound_gives_its_spacing(tmp_path):
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, 0.03
    file = write(tmp_path / "a", image(np.zeros((2, 2), np.uint8), SequenceOfUltrasoundRegions=Sequence([region])))
    assert read_dicom(file).spacing == pytest.approx((0.3, 0.2))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("liver_1frame.dcm", "found a segmentation, expected an image"),
        ("rtdose.dcm", "found a map of doses"),
        ("reportsi.dcm", "found a report"),
        ("waveform_ecg.dcm", "found no pixels"),
        ("MR_truncated.dcm", r"found 8,130 bytes of pixels, expected 8,192: the file was cut short"),
        ("JPEG2000-embedded-sequence-delimiter.dcm", "found pixels that cannot be unpacked, expected JPEG 2000"),
    ],
)
def test_what_is_no_image_or_broken_is_said(name, message):
    with pytest.raises(UserError, match=rf"{name}: {message}"):
        read_dicom(REAL / name)


def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path):
    dataset = pydicom.dcmread(REAL / "MR_small_RLE.dcm")
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 65535, 65535, 9
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(UserError, match=r"a\.dcm: found 77,307,052,050 bytes of pixels claimed by the header"):
        read_dicom(tmp_path / "a.dcm")


def test_a_table_of_monochrome1_is_turned_round(tmp_path):
    from pydicom import Dataset

    table = Dataset()
    table.add_new(0x00283002, "US", [4, 0, 16])
    table.add_new(0x00283004, "LO", "US")
    table.add_new(0x00283006, "US", [0, 100, 200, 300])
    stored = np.arange(4, dtype=np.uint16).reshape(2, 2)
    made = image(stored, PhotometricInterpretation="MONOCHROME1", ModalityLUTSequence=[table])
    assert read_dicom(write(tmp_path / "a", made)).pixels.ravel().tolist() == [65535, 65435, 65335, 65235]
