"""What goes back to the archive says what was decided and from what, belongs to the study, and claims no more."""

from dataclasses import replace
from pathlib import Path

import dicom_files
import numpy as np
import pydicom
import pytest
from highdicom.sr import srread

from lepton_solutions.errors import UserError
from medical.imaging.clinic import write_study
from medical.imaging.decision import Answer
from medical.imaging.structured_report import Look, Maker, Reading

ANSWER = Answer(0, 1, (0.2, 0.8), "lesion", "lesion", ("lesion",), 1.0, False, False, 1.0)
MAKER = Maker("abc", ("clear", "lesion"), "image", (0.0, 1.0))


def reading(answer: Answer = ANSWER, **elements: object) -> Reading:
    pixels = np.random.default_rng(0).random((1, 16, 16)).astype(np.float32)
    source = dicom_files.image(np.zeros((16, 16), np.int16), **elements)
    return Reading([source], answer, 1.0, lambda: Look(pixels, (1.0, 1.0), pixels[0], "lesion"))


def said(report: Path) -> list[tuple[str, str]]:
    """Names and values of all coded statements and numbers."""
    found: list[tuple[str, str]] = []

    def walk(item: pydicom.Dataset) -> None:
        name = item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""
        if item.ValueType == "CODE":
            found.append((name, item.ConceptCodeSequence[0].CodeMeaning))
        if item.ValueType == "NUM":
            found.append((name, str(item.MeasuredValueSequence[0].NumericValue)))
        for inner in item.get("ContentSequence", []):
            walk(inner)

    walk(pydicom.dcmread(report))
    return found


def test_the_report_gives_probability_decision_and_intended_use(tmp_path: Path):
    told = said(write_study(tmp_path, [reading()], MAKER)[0])
    for pair in (
        ("Probability of lesion", "0.8"),
        ("Decision", "lesion"),
        ("Not ruled out", "lesion"),
        ("Reading by a person", "As usual"),
        ("Intended use", "Research use only, not for diagnosis"),
    ):
        assert pair in told


def test_a_refused_image_names_no_label_as_decision(tmp_path: Path):
    told = said(write_study(tmp_path, [reading(replace(ANSWER, decision="refused", refused=True))], MAKER)[0])
    assert [value for name, value in told if name == "Decision"] == ["Refused: unlike the training images"]
    assert ("Reading by a person", "Required") in told


def test_several_findings_are_named_one_by_one(tmp_path: Path):
    maker = Maker("abc", ("effusion", "nodule"), "image", (0.0, 1.0))
    told = said(write_study(tmp_path, [reading(replace(ANSWER, label="effusion|nodule", possible=()))], maker)[0])
    assert [value for name, value in told if name == "Decision"] == ["effusion", "nodule"]


def test_the_report_is_unverified_and_opens_as_one_of_tid_1500(tmp_path: Path):
    file = write_study(tmp_path, [reading()], MAKER)[0]
    report = srread(file)
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert len(report.content.get_image_measurement_groups()) == 1


def test_a_study_is_decided_once_from_all_its_images(tmp_path: Path):
    file = write_study(tmp_path, [reading(), reading()], replace(MAKER, level="study"))[0]
    (group,) = srread(file).content.get_image_measurement_groups()
    assert len(group.source_images) == 2


def test_a_source_without_patient_is_filed_without_one(tmp_path: Path):
    bare = reading()
    for name in ("PatientName", "PatientID", "PatientBirthDate"):
        delattr(bare.sources[0], name)
    for file in write_study(tmp_path, [bare], MAKER):
        assert not pydicom.dcmread(file).PatientID


def test_images_of_two_studies_are_not_mixed(tmp_path: Path):
    with pytest.raises(UserError, match="one StudyInstanceUID"):
        write_study(tmp_path, [reading(), reading(StudyInstanceUID="9.9")], MAKER)


def test_text_burnt_into_the_source_is_declared_in_the_capture(tmp_path):
    _, capture = write_study(tmp_path, [reading(BurnedInAnnotation="YES")], MAKER)
    assert pydicom.dcmread(capture).BurnedInAnnotation == "YES"
