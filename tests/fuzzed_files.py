"""Reads mutated image files, in a process that a test watches: `python fuzzed_files.py COUNT FOLDER`.

Prints JSON: how many were read or refused, the exceptions that are no UserError, and how far memory grew.
"""

import io
import json
import random
import resource
import sys
import warnings
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from PIL import Image

from lepton_solutions.errors import UserError
from medical.imaging.reading import read

SPACE = 6 * 2**30  # bytes of address space: torch-free Python and its libraries take about one
DICOM = Path(pydicom.__file__).parent / "data" / "test_files"
NIFTI = Path(nibabel.__file__).parent / "tests" / "data"


def whole_files(folder: Path) -> list[tuple[str, bytes]]:
    """Files that can be read, of every kind, with their endings."""
    rng = np.random.default_rng(0)
    grey, deep = rng.integers(0, 256, (40, 33), np.uint8), rng.integers(0, 65536, (40, 33), np.uint16)
    colour = Image.fromarray(rng.integers(0, 256, (40, 33, 3), np.uint8))
    found: list[tuple[str, bytes]] = []

    def add(image: Image.Image, kind: str, **options: object) -> None:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        found.append((f".{kind.lower()}", stream.getvalue()))

    for image in (Image.fromarray(grey), Image.fromarray(deep), colour, colour.quantize(16)):
        add(image, "PNG")
    for kind in ("JPEG", "BMP", "WEBP", "GIF"):
        add(Image.fromarray(grey), kind)
        add(colour, kind)
    add(colour, "JPEG", progressive=True)
    for compression in (None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        add(colour, "TIFF", compression=compression)
    add(Image.fromarray(deep), "TIFF")
    add(Image.fromarray(grey.astype(np.float32)), "TIFF")
    add(Image.fromarray(grey), "TIFF", save_all=True, append_images=[Image.fromarray(grey)] * 3)

    for file in sorted(DICOM.glob("*.dcm")):
        if file.stat().st_size < 60_000:
            try:
                read(file)
            except UserError:
                continue
            found.append((".dcm", file.read_bytes()))
    for name in ("CT_small.dcm", "MR_small.dcm"):
        found.append((".dcm", lossless_jpeg(DICOM / name, folder / "lossless.dcm").read_bytes()))
    found += [(".nii", (NIFTI / name).read_bytes()) for name in ("anatomical.nii", "reoriented_anat_moved.nii")]
    return [*found, (".nii.gz", (NIFTI / "standard.nii.gz").read_bytes())]


def lossless_jpeg(source: Path, target: Path) -> Path:
    import gdcm  # not the first import: python-gdcm 3.2.6 then makes Pillow free memory twice

    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(source))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return target


def mutated(rng: random.Random, whole: bytes, other: bytes) -> bytes:
    """Cut short, overwritten, lengthened, shortened, with extreme numbers, or spliced with another file."""
    content, place = bytearray(whole), rng.randrange(len(whole))
    match rng.randrange(8):
        case 0:
            del content[place:]
        case 1:
            for _ in range(rng.randint(1, 8)):
                content[rng.randrange(len(whole))] = rng.randrange(256)
        case 2:  # where headers lie
            for _ in range(rng.randint(1, 4)):
                content[rng.randrange(min(len(whole), 1500))] = rng.choice((0, 1, 127, 128, 255))
        case 3:
            content[place:place] = rng.randbytes(rng.randint(1, 64))
        case 4:
            del content[place : place + rng.randint(1, 200)]
        case 5:
            length = rng.choice((2, 4, 8))
            content[place : place + length] = rng.choice((b"\xff", b"\0", b"\x7f")) * length
        case 6:
            content[place:] = other[rng.randrange(len(other)) :]
        case _:
            start, length = rng.randrange(len(whole)), rng.randint(1, 300)
            content[place : place + length] = content[start : start + length]
    return bytes(content)


def main(count: int, folder: Path) -> None:
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    files, outcomes, escaped = whole_files(folder), Counter[str](), []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        rng = random.Random(number)
        suffix, whole = files[number % len(files)]
        file = folder / f"file{suffix}"
        file.write_bytes(mutated(rng, whole, rng.choice(files)[1]))
        try:
            read(file)
            outcomes["read"] += 1
        except UserError as error:
            outcomes["refused" if str(file) in str(error) else "without its name"] += 1
        except Exception as error:  # what a fuzz looks for
            escaped.append(f"{number}{suffix}: {error!r}"[:300])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(json.dumps({"outcomes": outcomes, "escaped": escaped, "grown_bytes": grown}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
