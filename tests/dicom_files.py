"""DICOM files made for tests: slices of a volume whose every voxel says where in the body it lies."""

from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SECRETS = {
    "PatientName": "Brontë^Anne",
    "PatientID": "HX-4711",
    "PatientBirthDate": "19200117",
    "StudyDate": "20260102",
}


def image(pixels: np.ndarray, **elements: object) -> Dataset:
    """A CT slice of int16 pixels, by an invented patient; elements replace or add to it."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.Modality, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = "CT", 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
    for name, value in {**SECRETS, **elements}.items():
        setattr(dataset, name, value)
    return dataset


def write(file: Path, dataset: Dataset) -> Path:
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dcmwrite(file, dataset, enforce_file_format=True)
    return file


def at(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """What the voxel at a place in the body holds, in no way symmetric."""
    return np.round(3 * x + 20 * y + 100 * z).astype(np.int16)


def series(
    folder: Path,
    orientation: tuple[float, ...] = AXIAL,
    *,
    slices: int = 4,
    gap: float = 3.0,
    spacing: tuple[float, float] = (2.0, 1.0),
    shape: tuple[int, int] = (5, 6),
    **elements: object,
) -> list[Path]:
    """A volume, a file a slice, named so that the alphabet does not follow the body."""
    folder.mkdir(parents=True, exist_ok=True)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    files = []
    for number in range(slices):
        origin = normal * gap * number
        down, along = np.mgrid[: shape[0], : shape[1]]
        place = origin + (down * spacing[0])[..., None] * column + (along * spacing[1])[..., None] * row
        dataset = image(at(*np.moveaxis(place, -1, 0)))
        dataset.ImageOrientationPatient, dataset.ImagePositionPatient = list(orientation), origin.tolist()
        dataset.PixelSpacing, dataset.InstanceNumber = list(spacing), number + 1
        for name, value in elements.items():
            setattr(dataset, name, value)
        files.append(write(folder / f"{(number * 7) % 11:02d}.dcm", dataset))
    return files
