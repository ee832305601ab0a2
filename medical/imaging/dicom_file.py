"""One DICOM file as a picture: decoded, in the units that its rescale names, bright where it is to be shown bright.

pydicom parses; Pillow, CharLS, OpenJPEG and gdcm unpack what is compressed.
"""

from __future__ import annotations

import logging
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lepton_solutions.data.images import BROKEN, MOST_BYTES, Picture, plain, short
from lepton_solutions.errors import UserError
from medical.imaging.dicom_facts import facts_of
from medical.imaging.dicom_header import in_plane, line_of, orientation_of, position_of, stored_range
from medical.imaging.geometry import normal, order, plane, turned
from medical.imaging.jpeg_apart import JPEG, unpacked

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES = {".dcm", ".dicom", ".ima"}
NO_IMAGE = {"SEG": "a segmentation", "RTDOSE": "a map of doses", "RTSTRUCT": "contours", "SR": "a report"}
DEFLATED = "1.2.840.10008.1.2.1.99"
EIGHT_BITS = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}  # JPEG that Pillow unpacks, unless it has 12 bits
DECODERS = {
    **{f"1.2.840.10008.1.2.4.{number}": "pyjpegls" for number in (80, 81)},
    **{f"1.2.840.10008.1.2.4.{number}": "pylibjpeg" for number in (90, 91, 201, 202, 203)},
    "1.2.840.10008.1.2.5": "pydicom",
}
PACKED_MOST = 1000  # times the file: what a blank image of a real scanner may be compressed to, and more
SMALL = 64 * 2**20  # bytes: what may be unpacked without asking how


def is_dicom(file: Path) -> bool:
    """By content, or by name where the content has no header."""
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM" or file.suffix.lower() in SUFFIXES


def header(file: Path, tags: Sequence[str]) -> Dataset:
    """The named elements of a file, without its pixels. Raises UserError that names the file."""
    return _parsed(file, list(tags))


def whole(file: Path) -> Dataset:
    """A file, its pixels not unpacked yet. Raises UserError that names the file."""
    return _parsed(file, None)


def read_dicom(file: Path) -> Picture:
    """A file of one image, [channels, height, width], as it is stored; of several frames: [channels, frames, ...].

    Frames with places in the body become a volume [channels, z, y, x]. Raises UserError, which names the file, and
    never repeats what stands in it.
    """
    dataset = whole(file)
    with naming(file):
        frames = units(file, dataset)
        facts = facts_of(dataset)
        pixel_spacing = in_plane(dataset, 0)
        if frames.shape[1] == 1:
            orientation = orientation_of(dataset, 0)
            if orientation is not None:
                facts["plane"] = plane(orientation)
            return Picture(np.ascontiguousarray(frames[:, 0]), pixel_spacing, facts)
        return _volume(file, dataset, frames, facts)


def units(file: Path, dataset: Dataset) -> np.ndarray:
    """All frames, [channels, frames, height, width], in the file's units; MONOCHROME1 turned round."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    _check_image(file, dataset)
    try:
        stored = _unpacked(file, dataset)
    except (*BROKEN, StopIteration) as error:
        _check_length(file, dataset)
        syntax = dataset.file_meta.TransferSyntaxUID.name
        raise UserError(f"{file}: found pixels that cannot be unpacked, expected {syntax}") from error
    kind = str(dataset.PhotometricInterpretation)
    samples = int(dataset.SamplesPerPixel)
    if stored.size == 0:
        raise UserError(f"{file}: found an image without pixels")
    if samples == 1 and kind != "PALETTE COLOR":
        stored = stored.reshape(1, -1, *stored.shape[-2:])
        if dataset.get("ModalityLUTSequence"):
            table = apply_modality_lut(stored, dataset)
            values = table if kind != "MONOCHROME1" else np.iinfo(table.dtype).max - table
        else:
            values = _rescaled(dataset, stored, inverted=kind == "MONOCHROME1")
        return plain(file, values)
    if samples == 1:
        stored = apply_color_lut(stored, dataset)
        if stored.dtype == np.uint16:
            stored = (stored >> 8).astype(np.uint8)  # palettes of 16 bits are 8 bits, scaled
    elif samples != 3:
        raise UserError(f"{file}: found {samples} values a pixel, expected 1 or 3")
    stored = stored[..., :3]
    return plain(file, np.moveaxis(stored.reshape(-1, *stored.shape[-3:]), -1, 0))


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """What fails inside becomes a UserError that names the file."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    try:
        yield
    except (*BROKEN, BytesLengthException, InvalidDicomError, StopIteration) as error:
        raise UserError(f"{file}: cannot be read as DICOM: {_said(error)}") from error


def _parsed(file: Path, tags: list[str] | None) -> Dataset:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    _quiet()
    with naming(file):
        if file.stat().st_size == 0:
            raise UserError(f"{file}: found an empty file, expected DICOM")
        _check_deflated(file)
        dataset: Dataset
        try:
            dataset = dcmread(file, stop_before_pixels=tags is not None, specific_tags=tags)
        except InvalidDicomError:
            dataset = _without_header(file, tags)
        return dataset


def _without_header(file: Path, tags: list[str] | None) -> Dataset:
    """Old files start with the data itself, in one of two ways to write it that pydicom tells apart."""
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    wrong = UserError(f"{file}: found no DICOM header, expected DICOM")
    if file.suffix.lower() not in SUFFIXES:
        raise wrong
    dataset = dcmread(file, stop_before_pixels=tags is not None, specific_tags=tags, force=True)
    if "SOPClassUID" not in dataset or "Rows" not in dataset:
        raise wrong
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return dataset


def _check_image(file: Path, dataset: Dataset) -> None:
    """Before anything is unpacked: is it an image, and can it be as large as it says?"""
    modality = str(dataset.get("Modality", "") or "")
    if modality in NO_IMAGE or not any(
        name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    ):
        raise UserError(f"{file}: found {NO_IMAGE.get(modality, 'no pixels')}, expected an image")
    if "TotalPixelMatrixColumns" in dataset:
        raise UserError(f"{file}: found the tiles of a whole slide, expected one image")
    if "Rows" not in dataset or "Columns" not in dataset:
        raise UserError(f"{file}: found no number of rows and columns, expected an image")
    claimed = claimed_bytes(dataset)
    most = min(MOST_BYTES, max(SMALL, PACKED_MOST * file.stat().st_size))
    if not 0 < claimed <= most:
        raise UserError(
            f"{file}: found {claimed:,} bytes of pixels claimed by the header ({dataset.Rows} x {dataset.Columns} in "
            f"{dataset.get('NumberOfFrames', 1)} frames), expected 1 to {most:,} in a file of {file.stat().st_size:,}"
        )


def claimed_bytes(dataset: Dataset) -> int:
    """What the pixels take when unpacked, by the header."""
    frames, samples = (int(dataset.get(name, 1) or 1) for name in ("NumberOfFrames", "SamplesPerPixel"))
    bits = int(dataset.get("BitsAllocated", None) or 16)
    return -(-int(dataset.Rows) * int(dataset.Columns) * frames * samples * bits // 8)


def _check_deflated(file: Path) -> None:
    """pydicom inflates without a limit."""
    from pydicom.filereader import read_file_meta_info

    with file.open("rb") as stream:
        if DEFLATED.encode() not in stream.read(2**10):
            return
        meta = read_file_meta_info(file)
        stream.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))
        inflate, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
        packed = stream.read(2**20)
        while packed and not inflate.eof:
            total += len(inflate.decompress(packed, 2**24))
            packed = inflate.unconsumed_tail or stream.read(2**20)
            if total > MOST_BYTES:
                raise UserError(f"{file}: found more than {MOST_BYTES:,} bytes when unpacked")


def _unpacked(file: Path, dataset: Dataset) -> np.ndarray:
    """The stored numbers, [(frames,) rows, columns (, samples)], by decoders that survive broken files."""
    from pydicom.pixels import convert_color_space, pixel_array

    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax not in JPEG:
        return pixel_array(dataset, decoding_plugin=DECODERS.get(syntax, ""))
    if syntax in EIGHT_BITS and int(dataset.BitsStored) <= 8:
        return pixel_array(dataset, decoding_plugin="pillow")
    stored = unpacked(file, claimed_bytes(dataset))
    colours = str(dataset.PhotometricInterpretation)
    return convert_color_space(stored, colours, "RGB") if colours.startswith("YBR_FULL") else stored


def _check_length(file: Path, dataset: Dataset) -> None:
    """Say it plainly where a file that is not compressed was cut short."""
    if "PixelData" not in dataset or dataset.file_meta.TransferSyntaxUID.is_compressed:
        return
    found, expected = len(dataset.PixelData), claimed_bytes(dataset)
    if found < expected:
        raise UserError(f"{file}: found {found:,} bytes of pixels, expected {expected:,}: the file was cut short")


def _rescaled(dataset: Dataset, stored: np.ndarray, *, inverted: bool) -> np.ndarray:
    """[1, frames, height, width]: slope x + intercept, each frame its own."""
    frames = stored.shape[1]
    lines = [line_of(dataset, number) for number in range(frames)]
    low, high = stored_range(dataset)
    padding = _padding(dataset, stored) if inverted else None
    if inverted:
        lines = [(-slope, slope * (low + high) + intercept) for slope, intercept in lines]
    if stored.dtype.kind in "iu" and all(abs(slope) == 1 and intercept % 1 == 0 for slope, intercept in lines):
        values = _whole(stored, lines, (low, high))
    else:
        values = np.empty(stored.shape, np.float32)
        for number, (slope, intercept) in enumerate(lines):
            values[:, number] = stored[:, number].astype(np.float64) * slope + intercept
    if padding is not None and padding.any() and not padding.all():
        values[padding] = values[~padding].min()  # outside the picture is dark in both kinds of MONOCHROME
    return values


def _whole(stored: np.ndarray, lines: list[tuple[float, float]], limits: tuple[float, float]) -> np.ndarray:
    """Whole numbers stay whole where uint8 or int16 holds all that the header allows; else they become float32."""
    ends = [
        slope * end + intercept
        for slope, intercept in lines
        for end in (*limits, float(stored.min()), float(stored.max()))
    ]
    # One kind for all grey files of 16 bits, so that scanners that store with and without a sign make one set.
    kinds = ["uint8"] * (stored.dtype.itemsize == 1) + ["int16"]
    fitting = [kind for kind in kinds if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max]
    kind = np.dtype(fitting[0] if fitting else "float32")
    if all(line == (1.0, 0.0) for line in lines):
        return stored.astype(kind)
    values = np.empty(stored.shape, kind)
    for number, (slope, intercept) in enumerate(lines):
        values[:, number] = stored[:, number].astype(np.int64) * int(slope) + int(intercept)
    return values


def _padding(dataset: Dataset, stored: np.ndarray) -> np.ndarray | None:
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit", value)
    first, last = sorted((float(value), float(limit)))
    return (stored >= first) & (stored <= last)


def _volume(file: Path, dataset: Dataset, frames: np.ndarray, facts: dict[str, str]) -> Picture:
    number = frames.shape[1]
    places = [position_of(dataset, frame) for frame in range(number)]
    orientations = [orientation_of(dataset, frame) for frame in range(number)]
    spacings = [in_plane(dataset, frame) for frame in range(number)]
    known = [p for p in places if p is not None]
    first, spacing = orientations[0], spacings[0]
    if len(known) < number or first is None or spacing is None:
        gap = dataset.get("SpacingBetweenSlices")
        return Picture(frames, None if gap is None or spacing is None else (abs(float(gap)), *spacing), facts)
    if any(o is None or np.abs(o - first).max() > 1e-3 for o in orientations) or len(set(spacings)) > 1:
        raise UserError(f"{file}: found frames of several orientations or spacings, expected one volume")
    rising, gap = order(str(file), np.stack(known), first, [f"frame {n + 1}" for n in range(number)])
    directions = np.stack([normal(first), first[3:], first[:3]])
    pixels, distances = turned(frames[:, rising], directions, (gap, *spacing))
    return Picture(pixels, distances, facts | {"plane": plane(first)})


@cache
def _quiet() -> None:
    """What these libraries warn of repeats what stands in the file: names and dates must not reach a log."""
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)


def _said(error: BaseException) -> str:
    """pydicom's messages may repeat a patient's name; those of decoders are about bytes."""
    return short(error) if isinstance(error, RuntimeError | EOFError | OSError) else f"broken ({type(error).__name__})"
