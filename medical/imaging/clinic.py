"""Back into the clinic: what was decided about a study, as DICOM objects that belong to it.

Per study a Structured Report (`structured_report.py`) and Secondary Captures: its images with what spoke for the
decision. Patient and study are the source's; the series are new and called "research use". Identity goes nowhere else:
neither into names of files nor into tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lepton_solutions import __version__
from lepton_solutions.errors import UserError
from medical.imaging.capture import show
from medical.imaging.structured_report import (
    MAKER,
    PRODUCT,
    SERIES,
    SERIES_NUMBERS,
    Look,
    Maker,
    Reading,
    structured_report,
)

if TYPE_CHECKING:
    from pydicom import Dataset

    from medical.imaging.decision import Answer

RESEARCH = "Research use only: not a medical device, not for diagnosis or treatment"
CAPTURES = 8  # images of a study that are shown, those that speak loudest first

# Type 2 attributes: a source may lack them, what is written may not. None of them is made up.
_PATIENT = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
_STUDY = ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName")


def write_study(folder: Path, readings: Sequence[Reading], maker: Maker) -> list[Path]:
    """`report.dcm` and `capture-1.dcm`, ... in a folder; the files, the report first.

    readings: of one study, one or more. Raises UserError where a source belongs to no study or to another one.
    """
    from pydicom.uid import generate_uid

    headers = [_complete(header) for reading in readings for header in reading.sources]
    _one_study(headers)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "report.dcm"]
    _save(structured_report(headers, readings, maker), files[0])
    series = generate_uid(prefix=None)
    loudest = sorted(readings, key=lambda reading: -reading.loudness)[:CAPTURES]
    for number, reading in enumerate(loudest, 1):
        look = reading.look()
        lines = _caption(reading.answer, look, maker)
        shown = show(look.pixels, look.spacing, look.heat, window=maker.window, lines=lines)
        files.append(folder / f"capture-{number}.dcm")
        _save(_capture(reading.sources, shown, series, number), files[-1])
    return files


def _one_study(headers: Sequence[Dataset]) -> None:
    found = {str(header.get("StudyInstanceUID") or "") for header in headers}
    if len(found) != 1 or not next(iter(found)):
        raise UserError(
            "the images belong to no study or to several: expected one StudyInstanceUID",
            hint="without --dicom the answers are written as a table",
        )


def _complete(header: Dataset) -> Dataset:
    """A copy with every attribute that must be present, empty where the source does not say."""
    from pydicom import Dataset

    full = Dataset()
    full.update(header)
    for name in (*_PATIENT, *_STUDY):
        if name not in full:
            setattr(full, name, None if name in ("StudyDate", "StudyTime") else "")
    if str(full.PatientSex or "").upper() not in ("M", "F", "O"):
        full.PatientSex = ""
    return full


def _capture(sources: Sequence[Dataset], shown: np.ndarray, series: str, number: int) -> Dataset:
    from highdicom.sc import SCImage
    from pydicom import Dataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    header = _complete(sources[0])
    captured = SCImage.from_ref_dataset(
        header,
        shown,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=series,
        series_number=SERIES_NUMBERS["captures"],
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=number,
        manufacturer=MAKER,
        manufacturer_model_name=PRODUCT,
        software_versions=__version__,
        series_description=SERIES,
        content_qualification="RESEARCH",
        patient_orientation=("L", "P"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    captured.PatientOrientation = header.get("PatientOrientation")  # highdicom asks for one; what we show may have none
    captured.DerivationDescription = "Image with the evidence of a classifier laid over it. " + RESEARCH
    captured.ImageComments = RESEARCH
    captured.SourceImageSequence = []
    for source in sources:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
        captured.SourceImageSequence.append(item)
    if header.get("BurnedInAnnotation"):  # what the source shows of the patient, its copy shows too
        captured.BurnedInAnnotation = header.BurnedInAnnotation
    return captured


def _caption(answer: Answer, look: Look, maker: Maker) -> list[str]:
    """What a reader has to know, in a few words."""
    about = "" if maker.level == "image" else f"Of the whole {maker.level}: "
    chances = ", ".join(f"{name} {value:.1%}" for name, value in zip(maker.labels, answer.probability, strict=True))
    lines = ["RESEARCH USE ONLY - not a medical device"]
    if answer.refused:
        lines += [f"{about}refused, unlike the images the model was trained on", f"Not to be relied on: {chances}"]
    else:
        said = answer.label.replace("|", ", ") + ("; refer to a person" if answer.refer else "")
        lines += [about + said, f"Probability: {chances}", f"Not ruled out: {', '.join(answer.possible) or 'nothing'}"]
    if look.heat is None or not look.heat.max() > 0:
        lines.append(f"Nothing marked: no place spoke for {look.mapped}")
    else:
        lines.append(f"Marked: what spoke for {look.mapped}, relative to its own maximum; outlined from half of it")
    if look.pixels.ndim == 4:
        lines.append("Planes through the strongest place: axial, coronal, sagittal")
    return [*lines, f"{PRODUCT}, bundle {maker.bundle}"]


def _save(dataset: Dataset, file: Path) -> None:
    aside = file.with_name(f".{file.name}.partial")
    try:
        dataset.save_as(aside, enforce_file_format=True)
        aside.replace(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)
