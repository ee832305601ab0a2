"""How fast are files read, against MONAI's DataLoader with the same transforms? Part of `lepton bench imaging`.

Two sets are written to a temporary folder: PNG images, and DICOM series that become volumes. Both readers turn files
into batches of float32 in one window and one axis order. That the batches are equal is checked before they are timed.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from medical.imaging.reading import read

BATCH = 16
LOW, HIGH = -1000.0, 1000.0  # HU: the window of the series
Reader = Callable[[Sequence[Path]], Iterator[np.ndarray]]  # files or folders: batches [n, c, *space], 0 to 1


def reading_speed(*, images: int = 1000, series: int = 16, side: int = 256, slices: int = 48) -> dict[str, float]:
    """Images and slices a second, each the best of three passes; keys are `png/...` and `dicom/...` by reader.

    `ours`: threads, as many as there are processors. `monai_0`, `monai_N`: workers of its DataLoader. `ratio` is ours
    over the faster one of theirs.
    """
    workers = os.cpu_count() or 1
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "png": (written_images(Path(folder, "png"), images, side), 1, _png_batches),
            "dicom": (written_series(Path(folder, "dicom"), series, side, slices), slices, _dicom_batches),
        }
        for name, (paths, each, theirs) in sets.items():
            window = (0.0, 255.0) if name == "png" else (LOW, HIGH)
            readers: dict[str, Reader] = {"ours": lambda paths, window=window: our_batches(paths, *window)}  # type: ignore[misc]
            for number in sorted({0, workers}):
                readers[f"monai_{number}"] = lambda paths, number=number, theirs=theirs: theirs(paths, number)  # type: ignore[misc]
            few = paths[:3]
            expected = np.concatenate(list(readers["ours"](few)))
            for reader in readers.values():
                assert np.allclose(np.concatenate(list(reader(few))), expected, atol=1e-6)
            for key, reader in readers.items():
                figures[f"{name}/{key}"] = len(paths) * each / min(_seconds(reader, paths) for _ in range(3))
            best = max(value for key, value in figures.items() if key.startswith(f"{name}/monai"))
            figures[f"{name}/ratio"] = figures[f"{name}/ours"] / best
    return figures


def our_batches(paths: Sequence[Path], low: float, high: float) -> Iterator[np.ndarray]:
    """The one reading path, on threads: decoders work outside Python's lock."""

    def scaled(path: Path) -> np.ndarray:
        pixels = read(path).pixels.astype(np.float32)
        pixels -= low
        pixels /= high - low
        return np.clip(pixels, 0, 1, out=pixels)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), BATCH):
            yield np.stack(list(pool.map(scaled, paths[start : start + BATCH])))


def written_images(folder: Path, number: int, side: int) -> list[Path]:
    """Grey PNGs of blurred noise, which pack about as well as ultrasound."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    return [_saved(folder / f"{index:05d}.png", _blurred(rng, side)) for index in range(number)]


def written_series(folder: Path, number: int, side: int, slices: int) -> list[Path]:
    """CT series of int16, not compressed, 1 mm apart, a folder each."""
    from pydicom import Dataset, dcmwrite
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    rng = np.random.default_rng(0)
    homes = [folder / f"{index:03d}" for index in range(number)]
    for home in homes:
        home.mkdir(parents=True)
        series, study = generate_uid(), generate_uid()
        for index in range(slices):
            dataset = Dataset()
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
            dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.Modality = series, study, "CT"
            dataset.Rows = dataset.Columns = side
            dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 13, 12, 1
            dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
            dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, index]
            dataset.PixelSpacing, dataset.SliceThickness, dataset.InstanceNumber = [0.7, 0.7], 1, index + 1
            dataset.PixelData = (_blurred(rng, side).astype(np.int16) * 8).tobytes()
            dcmwrite(home / f"{index:04d}.dcm", dataset, enforce_file_format=True)
    return homes


def _png_batches(paths: Sequence[Path], workers: int) -> Iterator[np.ndarray]:
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, ScaleIntensityRange

    steps = Compose([LoadImage(image_only=True), EnsureChannelFirst(), ScaleIntensityRange(0, 255, 0, 1, clip=True)])
    for batch in _loaded(paths, steps, workers):
        yield batch.swapaxes(-1, -2)  # MONAI's axes are x, y


def _dicom_batches(paths: Sequence[Path], workers: int) -> Iterator[np.ndarray]:
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Orientation, ScaleIntensityRange

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps = Compose(
            [
                LoadImage(reader="PydicomReader", image_only=True),
                EnsureChannelFirst(),
                Orientation("LPS"),
                ScaleIntensityRange(LOW, HIGH, 0, 1, clip=True),
            ]
        )
    for batch in _loaded(paths, steps, workers):
        yield batch.swapaxes(-1, -3)  # x, y, z


def _loaded(paths: Sequence[Path], steps: Callable[[str], object], workers: int) -> Iterator[np.ndarray]:
    from monai.data import DataLoader, Dataset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader = DataLoader(Dataset([str(path) for path in paths], steps), batch_size=BATCH, num_workers=workers)
        for batch in loader:
            yield batch.numpy()


def _seconds(reader: Reader, paths: Sequence[Path]) -> float:
    start = time.perf_counter()
    for _ in reader(paths):
        pass
    return time.perf_counter() - start


def _blurred(rng: np.random.Generator, side: int) -> np.ndarray:
    rough = Image.fromarray(rng.integers(0, 256, (side // 4, side // 4), np.uint8))
    speckle = rng.integers(0, 16, (side, side), np.uint8)
    return np.asarray(rough.resize((side, side), Image.Resampling.BICUBIC)) // 16 * 15 + speckle


def _saved(file: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(file)
    return file
