"""One way from any file or folder to a picture, and what is found below a folder."""

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_files import CORONAL, image, series, write
from PIL import Image

from lepton_solutions.errors import UserError
from medical.imaging.reading import found_in, read

DICOM = Path(pydicom.__file__).parent / "data" / "test_files"
NIFTI = Path(nibabel.__file__).parent / "tests" / "data"
GREY = np.arange(35, dtype=np.uint8).reshape(7, 5)


def names(folder, found):
    return [path.relative_to(folder).as_posix() for path in found]


def test_the_kind_is_told_by_content_and_not_by_name(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a", "PNG")
    (tmp_path / "b").write_bytes((DICOM / "CT_small.dcm").read_bytes())
    (tmp_path / "c").write_bytes((NIFTI / "anatomical.nii").read_bytes())
    assert [read(tmp_path / name).facts["format"] for name in "abc"] == ["png", "dicom", "nifti"]


def test_a_folder_of_slices_is_a_volume_and_tells_what_was_left_out(tmp_path):
    series(tmp_path)
    write(tmp_path / "scout", image(GREY.astype(np.int16), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    picture = read(tmp_path)
    assert picture.pixels.shape == (1, 4, 5, 6)
    assert picture.facts["left_out"] == "scout: localizer"


def test_a_folder_of_numbered_images_is_a_stack_in_the_order_of_numbers(tmp_path):
    for number in (2, 10, 9):
        Image.fromarray(GREY + np.uint8(number)).save(tmp_path / f"slice{number}.png")
    picture = read(tmp_path)
    assert picture.pixels.shape == (1, 3, 7, 5)
    assert picture.pixels[0, :, 0, 0].tolist() == [2, 9, 10]


def test_a_stack_of_two_sizes_names_the_image(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "1.png")
    Image.fromarray(GREY[:3]).save(tmp_path / "2.png")
    with pytest.raises(UserError, match=r"2\.png: found uint8 1 x 3 x 5, expected uint8 1 x 7 x 5 as in 1\.png"):
        read(tmp_path)


def test_a_folder_of_two_series_says_so(tmp_path):
    series(tmp_path, SeriesInstanceUID="1.1")
    for file in series(tmp_path / "b", CORONAL, SeriesInstanceUID="1.2"):
        file.rename(tmp_path / f"b{file.name}")
    with pytest.raises(UserError, match="found 2 DICOM series and 0 other images"):
        read(tmp_path)


def test_a_folder_of_localizers_says_so():
    with pytest.raises(UserError, match=r"CT2N: found no slices of a volume \(6293: localizer; 6924: localizer\)"):
        read(DICOM / "dicomdirtests" / "98892001" / "CT2N")


def test_a_slice_stands_for_its_series_where_volumes_are_asked_for(tmp_path):
    files = series(tmp_path)
    assert read(files[2]).pixels.shape == (1, 5, 6)
    assert np.array_equal(read(files[2], 3).pixels, read(tmp_path).pixels)


@pytest.mark.parametrize("name", ["none.png", "none"])
def test_what_is_not_there_is_named(tmp_path, name):
    with pytest.raises(UserError, match=f"{name}: found no such file or folder"):
        read(tmp_path / name)
    with pytest.raises(UserError, match=f"{name}: found no such file or folder"):
        found_in(tmp_path / name)


def test_images_volumes_and_series_are_found_and_the_rest_passed_over(tmp_path):
    series(tmp_path / "ct")
    (tmp_path / "x-ray").mkdir()
    for number in range(2):
        write(tmp_path / "x-ray" / f"{number}", image(GREY, SeriesInstanceUID=f"1.{number}", Modality="DX"))
    write(tmp_path / "x-ray" / "report.dcm", image(GREY, SeriesInstanceUID="1.9", Modality="SR"))
    (tmp_path / "mr.nii.gz").write_bytes((NIFTI / "standard.nii.gz").read_bytes())
    Image.fromarray(GREY).save(tmp_path / "a.PNG")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "DICOMDIR").write_bytes((DICOM / "dicomdirtests" / "DICOMDIR").read_bytes())
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "broken.jpg").write_bytes(b"")
    (tmp_path / "broken.dcm").write_bytes(b"")
    expected = ["a.PNG", "broken.dcm", "broken.jpg", "ct", "mr.nii.gz", "x-ray/0", "x-ray/1"]
    assert names(tmp_path, found_in(tmp_path)) == expected
    assert found_in(tmp_path / "a.PNG") == [tmp_path / "a.PNG"]


def test_slices_are_images_of_their_own_where_two_dimensions_are_asked_for(tmp_path):
    series(tmp_path / "ct")
    assert names(tmp_path, found_in(tmp_path, 2)) == ["ct/00.dcm", "ct/03.dcm", "ct/07.dcm", "ct/10.dcm"]


def test_each_of_several_series_in_a_folder_is_found_where_volumes_are_asked_for(tmp_path):
    first = series(tmp_path, SeriesInstanceUID="1.1")
    second = [file.rename(tmp_path / f"b{file.name}") for file in series(tmp_path / "b", SeriesInstanceUID="1.2")]
    with pytest.raises(UserError, match="found 2 series and 0 single images in a folder"):
        found_in(tmp_path)
    assert found_in(tmp_path, 3) == [first[0], second[0]]
    assert read(second[0], 3).pixels.shape == (1, 4, 5, 6)


def test_folders_of_images_are_volumes_only_where_volumes_are_asked_for(tmp_path):
    for case in "ab":
        (tmp_path / case).mkdir()
        for number in range(2):
            Image.fromarray(GREY).save(tmp_path / case / f"{number}.png")
    assert names(tmp_path, found_in(tmp_path)) == ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]
    assert names(tmp_path, found_in(tmp_path, 3)) == ["a", "b"]


def test_reading_needs_none_of_the_training_libraries():
    heavy = "torch pandas sklearn monai scipy"
    code = (
        "import sys; from pathlib import Path; from medical.imaging.reading import read;"
        f"read(Path({str(DICOM / 'CT_small.dcm')!r})); read(Path({str(NIFTI / 'anatomical.nii')!r}));"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"[]", "['scipy']"}  # nibabel takes scipy where it is installed, and does without
