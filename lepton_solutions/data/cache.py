"""What was expensive to read is kept as memory-mapped arrays in the user's cache folder, one copy for all processes."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import platformdirs
from filelock import FileLock

from lepton_solutions.data.readers import ImageFolder, MappedRows, decoded
from lepton_solutions.errors import UserError

log = logging.getLogger(__name__)

DECODED_AT_ONCE = 512  # images that wait to be written


def cache_folder() -> Path:
    """Where the arrays lie; safe to delete when nothing runs."""
    return Path(platformdirs.user_cache_dir("lepton", appauthor=False)) / "arrays"


def cached(key: str, build: Callable[[Path], None], *, need: int) -> Path:
    """The folder of this key, with the files that `build` wrote into it.

    Built once, by the process that comes first; others wait and use the same files. What a killed process leaves is not
    taken for whole. need: bytes; raises UserError where the disk has less.
    """
    place = cache_folder() / key
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_name(f"{key}.lock")):
        if place.is_dir():
            return place
        aside = place.with_name(f"{key}.partial")
        shutil.rmtree(aside, ignore_errors=True)
        free = shutil.disk_usage(place.parent).free
        if need > free:
            raise UserError(
                f"{place.parent}: decoded data needs {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free on that disk",
                hint="set XDG_CACHE_HOME to a folder on a larger disk, or ask for smaller images",
            )
        aside.mkdir()
        build(aside)
        aside.replace(place)
    return place


def decoded_once(images: ImageFolder) -> MappedRows:
    """The images as arrays on the disk; decoded where no process has done so, for these files and this size."""
    digest = hashlib.sha256(json.dumps([images.classes, images.size, images.channels]).encode())
    for file, code in zip(images.files, images.codes.tolist(), strict=True):
        found = file.stat()
        digest.update(f"\n{file.absolute()}\t{code}\t{found.st_size}\t{found.st_mtime_ns}".encode())
    place = cached(
        f"images-{digest.hexdigest()[:24]}", lambda folder: _decode(images, folder), need=images.rows * images.row_bytes
    )
    return MappedRows((place / "inputs.npy",), place / "target.npy")


def _decode(images: ImageFolder, folder: Path) -> None:
    log.info("decoding %d images once into %s", images.rows, folder.parent)
    shape = (images.rows, images.channels, *images.size)
    pixels = np.lib.format.open_memmap(folder / "inputs.npy", "w+", np.uint8, shape)
    # Decoding runs outside Python's lock, so that threads use all cores.
    with ThreadPoolExecutor() as pool:
        for start in range(0, images.rows, DECODED_AT_ONCE):
            files = images.files[start : start + DECODED_AT_ONCE]
            for number, image in enumerate(pool.map(lambda f: decoded(f, images.size, images.channels), files), start):
                pixels[number] = image
    pixels.flush()
    np.save(folder / "target.npy", images.codes)
