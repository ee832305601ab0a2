"""NIfTI files as volumes: one axis order, millimetres, and the file's own units.

    read_nifti(Path("brain.nii.gz")).pixels      # [1, z, y, x]

z rises to the head, y to the back, x to the patient's left, as in DICOM: axes are turned and swapped, never resampled.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lepton_solutions.data.images import BROKEN, MOST_BYTES, Picture, plain, short
from lepton_solutions.errors import UserError
from medical.imaging.geometry import turned

if TYPE_CHECKING:
    from nibabel import Nifti1Image

GZIP = b"\x1f\x8b"
DEFLATE_MOST = 1032  # zlib cannot pack tighter: a file that claims to is a lie
MILLIMETRES = {"meter": 1e3, "micron": 1e-3}  # a unit that is not told is mm
MAGIC = (b"n+1\0", b"n+2\0")


def is_nifti(file: Path) -> bool:
    """By name or, without a name, by content."""
    if file.name.lower().endswith((".nii", ".nii.gz")):
        return True
    with file.open("rb") as stream:
        head = stream.read(348)
    return head[344:348] in MAGIC or head[4:8] in MAGIC


def read_nifti(file: Path) -> Picture:
    """One volume, [1, z, y, x]; a single slice is an image, [1, height, width].

    Raises UserError, which names the file, for what cannot be read, has no affine, or holds several volumes.
    """
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError, HeaderTypeError
    from nibabel.wrapstruct import WrapStructError

    try:
        with file.open("rb") as raw:
            packed = raw.read(2) == GZIP
            raw.seek(0)
            with gzip.open(raw) if packed else raw as stream:
                return _picture(file, _opened(file, stream, packed))
    except (*BROKEN, ImageFileError, HeaderDataError, HeaderTypeError, WrapStructError) as error:
        raise UserError(f"{file}: cannot be read as NIfTI: {short(error)}") from error


def _opened(file: Path, stream: io.IOBase, packed: bool) -> Nifti1Image:
    import nibabel
    from nibabel.fileholders import FileHolder

    if file.stat().st_size == 0:
        raise UserError(f"{file}: found an empty file, expected NIfTI")
    size = stream.read(4)
    stream.seek(0)
    second = size in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")  # 540, in either byte order
    kind = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    image = kind.from_file_map({"header": FileHolder(fileobj=stream), "image": FileHolder(fileobj=stream)})
    needed = int(np.prod([int(n) for n in image.shape], dtype=object)) * image.header.get_data_dtype().itemsize
    room = file.stat().st_size * (DEFLATE_MOST if packed else 1)
    if needed > room:
        raise UserError(f"{file}: found {room:,} bytes at most, expected {needed:,} as its header says")
    if needed > MOST_BYTES:
        raise UserError(f"{file}: found a volume of {needed:,} bytes, expected {MOST_BYTES:,} at most")
    return image


def _picture(file: Path, image: Nifti1Image) -> Picture:
    header = image.header
    if int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0:
        raise UserError(
            f"{file}: found no affine (qform_code and sform_code are 0), expected one: left and right are not known",
            hint="write it again with the program that made it, or set the affine with nibabel",
        )
    shape = image.shape
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise UserError(
            f"{file}: found an array of shape {' x '.join(map(str, shape))}, expected one volume of three dimensions",
            hint="save the volumes of a 4-D file apart",
        )
    if image.get_data_dtype().kind not in "iuf":
        raise UserError(f"{file}: found voxels of type {image.get_data_dtype()}, expected one number each")
    affine = np.asarray(image.affine, np.float64)
    columns = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, :3]  # NIfTI counts to the right and to the front
    columns *= MILLIMETRES.get(header.get_xyzt_units()[0], 1.0)
    spacing = np.sqrt((columns**2).sum(0))
    if not np.isfinite(affine).all() or not (spacing > 0).all() or abs(np.linalg.det(columns / spacing)) < 1e-3:
        raise UserError(f"{file}: found an affine that does not tell three directions apart")
    values = np.asanyarray(image.dataobj).reshape(shape[:3])
    if values.dtype == np.uint16:
        values = values.astype(np.float32)  # as DICOM: scanners with and without a sign make one set
    if values.size == 0:
        raise UserError(f"{file}: found a volume without voxels")
    turned_volume, distances = turned(plain(file, values)[None], (columns / spacing).T, spacing.tolist())
    facts = {"format": "nifti", "stored": str(image.get_data_dtype().newbyteorder("="))}
    thin = [axis for axis, n in enumerate(turned_volume.shape[1:]) if n == 1]
    if len(thin) == 1:
        kept = tuple(mm for axis, mm in enumerate(distances) if axis != thin[0])
        return Picture(turned_volume.squeeze(1 + thin[0]), kept, facts)
    return Picture(turned_volume, distances, facts)
