"""What was decided about a study, as a DICOM Structured Report: TID 1500 in a Comprehensive SR, as most archives take.

A group of measurements a verdict: the probability of every label, the decision, what is not ruled out, whether a person
has to read it, and the images it was drawn from. The report is preliminary and unverified until a physician says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lepton_solutions import __version__

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept, MeasurementReport, MeasurementsAndQualitativeEvaluations
    from pydicom import Dataset
    from pydicom.sr.coding import Code

    from medical.imaging.decision import Answer

MAKER, PRODUCT = "Lepton Solutions", "lepton medical/imaging"
SERIES = "AI result, research use only"  # the description of every series of ours
SERIES_NUMBERS = {"report": 9101, "captures": 9102}  # behind those of the devices
Level = Literal["image", "study", "patient"]
SCHEME = "99LEPTON"  # private designators begin with 99 (PS3.16, 8.2)


@dataclass(frozen=True)
class Look:
    """An image with its map. pixels: [channels, *space], in the units of the window. spacing: mm. heat: [*space], from
    0 to 1. mapped: what the map speaks for."""

    pixels: np.ndarray
    spacing: tuple[float, ...] | None
    heat: np.ndarray | None
    mapped: str


@dataclass(frozen=True)
class Reading:
    """An image of a study. sources: the headers of its files. answer: about the image, or its study or patient.
    loudness: larger is shown first. look: decodes it once more, as a study of volumes does not fit into memory."""

    sources: Sequence[Dataset]
    answer: Answer
    loudness: float
    look: Callable[[], Look]


@dataclass(frozen=True)
class Maker:
    """Which model said it. bundle: the start of its hash. labels: in the order of probabilities. level: what it decides
    about; above image, all readings of a study share one answer. window: raw values shown black and white."""

    bundle: str
    labels: tuple[str, ...]
    level: Level
    window: tuple[float, float]


def structured_report(headers: Sequence[Dataset], readings: Sequence[Reading], maker: Maker) -> Dataset:
    """The report of a study. headers: of all its images, complete. See `clinic.write_study`."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from highdicom.sr import ComprehensiveSR
    from pydicom.uid import generate_uid

    return ComprehensiveSR(
        evidence=list(headers),
        content=_content(headers, readings, maker),
        series_instance_uid=generate_uid(prefix=None),
        series_number=SERIES_NUMBERS["report"],
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=PRODUCT,
        software_versions=__version__,
        device_serial_number=maker.bundle,
        series_description=SERIES,
        content_qualification="RESEARCH",
        coding_schemes=[CodingSchemeIdentificationItem(designator=SCHEME, name=MAKER)],
        is_complete=True,
        is_final=False,
        is_verified=False,
    )


def _content(headers: Sequence[Dataset], readings: Sequence[Reading], maker: Maker) -> MeasurementReport:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[PRODUCT, __version__, maker.bundle]),  # the same device whenever it observes
        name=PRODUCT,
        manufacturer_name=MAKER,
        model_name=PRODUCT,
        serial_number=maker.bundle,
    )
    observer = ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    alone = maker.level == "image"
    groups = [
        _group(number, [reading] if alone else readings, maker)
        for number, reading in enumerate(readings if alone else readings[:1], 1)
    ]
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=_procedure(headers[0]),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )


def _group(number: int, readings: Sequence[Reading], maker: Maker) -> MeasurementsAndQualitativeEvaluations:
    """An answer: a probability a label, the decision, what is not ruled out, and the images it was drawn from."""
    from highdicom.sr import (
        AlgorithmIdentification,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        QualitativeEvaluation,
        SourceImageForMeasurementGroup,
        TrackingIdentifier,
    )
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    measured = [
        Measurement(
            name=_code(f"probability-{place}", f"Probability of {name}"),
            value=round(value, 6),
            unit=codes.UCUM.NoUnits,
        )
        for place, (name, value) in enumerate(zip(maker.labels, readings[0].answer.probability, strict=True))
    ]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=generate_uid(prefix=None), identifier=f"Result {number}"),
        algorithm_id=AlgorithmIdentification(name=PRODUCT, version=__version__, parameters=[f"bundle {maker.bundle}"]),
        measurements=measured,
        qualitative_evaluations=[
            QualitativeEvaluation(name=_code(*name), value=_code(*value))
            for name, value in _said(readings[0].answer, maker.labels)
        ],
        source_images=[
            SourceImageForMeasurementGroup.from_source_image(header) for image in readings for header in image.sources
        ],
    )


def _said(answer: Answer, labels: tuple[str, ...]) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Names and values, as code and meaning. A refused answer names no label: it would be read as one."""
    said = [(("intended-use", "Intended use"), ("research-use", "Research use only, not for diagnosis"))]
    if answer.refused:
        said.append((("decision", "Decision"), ("refused", "Refused: unlike the training images")))
    else:
        found = [name for name in answer.label.split("|") if name in labels] if answer.label not in labels else None
        for name in [answer.label] if found is None else found:
            said.append((("decision", "Decision"), (f"label-{labels.index(name)}", name)))
        if found == []:
            said.append((("decision", "Decision"), ("nothing", "No finding")))
        for name in answer.possible:
            said.append((("possible", "Not ruled out"), (f"label-{labels.index(name)}", name)))
    person = answer.refer or answer.refused
    said.append((("reading", "Reading by a person"), ("refer", "Required") if person else ("usual", "As usual")))
    return said


def _code(value: str, meaning: str) -> CodedConcept:
    """A concept of ours. Short strings hold 16 characters and long ones 64 (PS3.5, 6.2)."""
    from highdicom.sr import CodedConcept

    return CodedConcept(value=value[:16], scheme_designator=SCHEME, meaning=meaning[:64])


def _procedure(header: Dataset) -> CodedConcept | Code:
    """What was done to the patient, as the source says it, else imaging as such."""
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    for name in ("PerformedProcedureCodeSequence", "ProcedureCodeSequence"):
        for item in header.get(name) or []:
            if all(item.get(key) for key in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")):
                return CodedConcept(str(item.CodeValue), str(item.CodingSchemeDesignator), str(item.CodeMeaning))
    return codes.SCT.ImagingProcedure
