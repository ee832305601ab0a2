"""`lepton predict` of images: a row for each, DICOM objects for each study, and identity in no table and no name."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import dicom_files
import pydicom
import pytest
import SimpleITK

from lepton_solutions import bundle
from lepton_solutions.errors import UserError
from medical.imaging.predictor import ImagePredictor
from medical.imaging.scoring import score

HEAVY = ("torch", "pandas", "sklearn", "monai", "timm", "matplotlib", "lightgbm")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_image_has_a_row_with_what_the_predictor_says(ct_bundle: Path, study: Path, tmp_path: Path):
    assert score(ct_bundle, study, str(tmp_path / "out.csv"), dicom=False).startswith("3 images scored")
    found = rows(tmp_path / "out.csv")
    assert [row["image"] for row in found] == ["1.2.3/0.dcm", "1.2.3/1.dcm", "1.2.4/2.dcm"]
    predictor = ImagePredictor.open(ct_bundle)
    for row in found:
        (answer,) = predictor.predict([study / row["image"]])
        assert float(row["probability_lesion"]) == pytest.approx(answer["probability"]["lesion"], abs=1e-5)
        assert row["decision"] == answer["decision"]


def test_an_unreadable_image_is_named_and_the_rest_is_scored(ct_bundle: Path, study: Path, tmp_path: Path):
    (study / "broken.png").write_bytes(b"")
    said = score(ct_bundle, study, str(tmp_path / "out.csv"), dicom=False)
    assert "1 image not scored" in said
    *_, last = rows(tmp_path / "out.csv")
    assert last["image"] == "broken.png"
    assert "empty file" in last["problem"]


def test_nothing_readable_is_an_error_and_leaves_no_file(ct_bundle: Path, tmp_path: Path):
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(UserError, match="none of 1 image can be scored"):
        score(ct_bundle, tmp_path, str(tmp_path / "out.csv"), dicom=False)
    assert not (tmp_path / "out.csv").exists()


def test_each_study_gets_a_report_and_captures_that_belong_to_it(ct_bundle: Path, study: Path, tmp_path: Path):
    said = score(ct_bundle, study, str(tmp_path / "out"), dicom=True)
    assert "2 studies written" in said
    names = sorted(file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.dcm"))
    assert names == [
        "study-1/capture-1.dcm",
        "study-1/capture-2.dcm",
        "study-1/report.dcm",
        "study-2/capture-1.dcm",
        "study-2/report.dcm",
    ]
    for name, uid in (("study-1", "1.2.3"), ("study-2", "1.2.4")):
        for file in (tmp_path / "out" / name).glob("*.dcm"):
            made = pydicom.dcmread(file)
            assert made.StudyInstanceUID == uid
            assert made.PatientID == dicom_files.SECRETS["PatientID"]
            assert made.SeriesInstanceUID != f"{uid}.9"
            assert "research use" in made.SeriesDescription


def test_captures_open_in_another_library(ct_bundle: Path, study: Path, tmp_path: Path):
    score(ct_bundle, study, str(tmp_path / "out"), dicom=True)
    image = SimpleITK.ReadImage(str(tmp_path / "out" / "study-1" / "capture-1.dcm"))
    assert image.GetNumberOfComponentsPerPixel() == 3
    assert image.GetSize()[0] >= 512


def test_identity_is_in_the_dicom_objects_alone(ct_bundle: Path, study: Path, tmp_path: Path):
    said = score(ct_bundle, study, str(tmp_path / "out"), dicom=True)
    table = (tmp_path / "out" / "answers.csv").read_text()
    for secret in dicom_files.SECRETS.values():
        assert secret not in table + said


@pytest.mark.parametrize(("level", "first"), [("study", ["2", "1"]), ("patient", ["3"])])
def test_images_of_a_study_or_patient_are_decided_together(
    ct_bundle: Path, study: Path, tmp_path: Path, level: str, first: list[str]
):
    pooled = Path(shutil.copytree(ct_bundle, tmp_path / "pooled"))
    decision = json.loads((pooled / "decision.json").read_text())
    (pooled / "decision.json").write_text(json.dumps(decision | {"level": level}))
    bundle.seal(pooled, pipeline="medical/imaging")
    score(pooled, study, str(tmp_path / "out"), dicom=True)
    found = rows(tmp_path / "out" / "answers.csv")
    assert [row["images"] for row in found] == first
    assert found[0]["image"] == "1.2.3/0.dcm"
    assert len(list((tmp_path / "out").rglob("report.dcm"))) == 2


def test_a_folder_with_files_is_not_written_into(ct_bundle: Path, study: Path, tmp_path: Path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(UserError, match="not empty"):
        score(ct_bundle, study, str(tmp_path), dicom=True)


def test_the_command_line_finds_the_scoring_of_the_bundle(lepton, ct_bundle: Path, study: Path, tmp_path: Path):
    answer = lepton("predict", ct_bundle, study, "-o", tmp_path / "out.csv")
    assert (answer.code, answer.err.startswith("3 images scored")) == (0, True)
    assert len(rows(tmp_path / "out.csv")) == 3


def test_scoring_needs_none_of_the_training_packages(ct_bundle: Path, study: Path, tmp_path: Path):
    code = (
        "import sys\nclass Absent:\n def find_spec(self, name, path=None, target=None):\n"
        f"  if name.split('.')[0] in {HEAVY!r}: raise ModuleNotFoundError(name)\nsys.meta_path.insert(0, Absent())\n"
        "from lepton_solutions.cli import lepton\n"
        f"lepton(['predict', {str(ct_bundle)!r}, {str(study)!r}, '-o', {str(tmp_path / 'out')!r}, '--dicom'], "
        "standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
