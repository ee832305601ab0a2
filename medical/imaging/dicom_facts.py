"""What a DICOM file tells of how an image was made, and where it lies. Never who the patient is.

Names, identifiers, dates, places and free text are not read: only the elements listed here leave a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from medical.imaging.dicom_header import group_of, line_of, number, stored_range

if TYPE_CHECKING:
    from pydicom import Dataset

# Codes and numbers of the acquisition: what a network may learn instead of the disease, and the audit looks for.
ACQUISITION = (
    *("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "BodyPartExamined", "ViewPosition", "Laterality"),
    *("ImageLaterality", "PatientPosition", "ImageType", "PhotometricInterpretation", "Rows", "Columns", "BitsStored"),
    *("PixelRepresentation", "LossyImageCompression", "BurnedInAnnotation", "KVP", "XRayTubeCurrent", "ExposureTime"),
    *("Exposure", "FilterType", "ConvolutionKernel", "SliceThickness", "ReconstructionDiameter", "ScanningSequence"),
    *("SequenceVariant", "MagneticFieldStrength", "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle"),
    *("TransducerType", "Grid", "DetectorType", "WindowCenter", "WindowWidth", "RescaleType"),
)
OLDEST = 90  # years: whoever is older can be found by the age alone (HIPAA, 45 CFR 164.514), and counts as 90


def facts_of(dataset: Dataset) -> dict[str, str]:
    """What is given of format, modality, window ("low,high"), sex (M, F, O), age (years), and of `ACQUISITION`."""
    facts = {"format": "dicom", "modality": _text(dataset.get("Modality"))}
    window = window_of(dataset)
    if window is not None:
        facts["window"] = f"{window[0]:.10g},{window[1]:.10g}"
    sex = _text(dataset.get("PatientSex")).upper()
    facts["sex"] = sex if sex in {"M", "F", "O"} else ""
    facts["age"] = _age(dataset)
    facts["compression"] = dataset.file_meta.TransferSyntaxUID.name if "TransferSyntaxUID" in dataset.file_meta else ""
    facts |= {name: _text(dataset.get(name)) for name in ACQUISITION}
    facts["Contrast"] = "yes" if dataset.get("ContrastBolusAgent") else ""
    return {name: value for name, value in facts.items() if value}


def window_of(dataset: Dataset) -> tuple[float, float] | None:
    """The grey levels between which the file asks to be shown, in its units; MONOCHROME1 as we turn it round."""
    place = group_of(dataset, "FrameVOILUTSequence", 0) or dataset
    centre, width = number(place.get("WindowCenter")), number(place.get("WindowWidth"))
    if centre is None or width is None or width <= 0:
        return None
    if _text(place.get("VOILUTFunction")) in {"", "LINEAR"}:  # PS3.3 C.11.2.1.2: the ends are centres of grey levels
        low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    else:
        low, high = centre - width / 2, centre + width / 2
    if low >= high:
        return None
    if _text(dataset.get("PhotometricInterpretation")) == "MONOCHROME1":
        slope, intercept = line_of(dataset, 0)
        turn = slope * sum(stored_range(dataset)) + 2 * intercept
        return turn - high, turn - low
    return low, high


def _age(dataset: Dataset) -> str:
    found = re.fullmatch(r"(\d{1,3})([DWMY])", _text(dataset.get("PatientAge")))
    if found:
        years = int(found[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[found[2]]
        return f"{min(int(years), OLDEST)}"
    born, taken = _text(dataset.get("PatientBirthDate")), _text(dataset.get("StudyDate"))
    if re.fullmatch(r"\d{8}", born) and re.fullmatch(r"\d{8}", taken) and born < taken:
        years = int(taken[:4]) - int(born[:4]) - (taken[4:] < born[4:])
        return f"{min(years, OLDEST)}" if years <= 120 else ""
    return ""


def _text(value: object) -> str:
    if value is None:
        return ""
    parts = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    # One way to write a number, as makers differ: an audit would take 120 and 120.0 for two voltages.
    texts = (f"{part:.10g}" if isinstance(part, int | float) else str(part).strip() for part in parts)
    return "\\".join(texts)[:64]
