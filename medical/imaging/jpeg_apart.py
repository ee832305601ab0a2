"""Lossless JPEG and JPEG of 12 bits, unpacked in a process of its own.

gdcm is the one decoder of them that comes with a free licence, and on broken data it may end its process (an exception
thrown in C++, `gdcmJPEGBITSCodec.hxx`; one mutated file in a thousand). A file must never end a run: here it ends a
helper that is started anew for the next file. The helper also has a bound on its memory and its time.

    python -m medical.imaging.jpeg_apart      # the helper: paths in, pixels out; started by `unpacked`
"""

from __future__ import annotations

import atexit
import json
import os
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

SECONDS = 60  # for one file; the largest mammogram takes one
BESIDE = 2 * 2**30  # bytes of address space: the interpreter, its libraries, and a file's own bytes
JPEG = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70))
_lock = threading.Lock()
_helpers: dict[int, subprocess.Popen[bytes]] = {}  # by process: one that was forked must not share its parent's


def unpacked(file: Path, most: int) -> np.ndarray:
    """The pixels of a DICOM file in JPEG, [(frames,) rows, columns (, samples)]; at most that many bytes.

    Raises ValueError for what gdcm cannot unpack, ends itself at, or takes too long for.
    """
    with _lock:
        helper = _helper()
        try:
            request = json.dumps([str(file.absolute()), most]).encode()
            assert helper.stdin is not None
            helper.stdin.write(struct.pack("<q", len(request)) + request)
            helper.stdin.flush()
            kind, shape = json.loads(_received(helper, 2**16))
            if kind:
                return np.frombuffer(_received(helper, most), kind).reshape(shape)
        except (OSError, EOFError, struct.error, ValueError) as error:
            _end(helper)
            raise ValueError("the decoder ended itself") from error
    raise ValueError("the decoder cannot read it")


def _helper() -> subprocess.Popen[bytes]:
    held = _helpers.get(os.getpid())
    if held is not None and held.poll() is None:
        return held
    started = subprocess.Popen(
        [sys.executable, "-m", "medical.imaging.jpeg_apart"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    _helpers[os.getpid()] = started
    atexit.register(_end, started)
    return started


def _end(helper: subprocess.Popen[bytes]) -> None:
    helper.kill()
    helper.wait()
    for pipe in (helper.stdin, helper.stdout):
        with suppress(OSError):
            if pipe is not None:
                pipe.close()
    _helpers.pop(os.getpid(), None)


def _received(helper: subprocess.Popen[bytes], most: int) -> bytes:
    assert helper.stdout is not None
    (length,) = struct.unpack("<q", _exactly(helper.stdout, 8))
    if not 0 <= length <= most:
        raise ValueError(f"{length} bytes")
    return _exactly(helper.stdout, length)


def _exactly(pipe: IO[bytes], length: int) -> bytes:
    descriptor = pipe.fileno()  # past Python's buffer, which `select` does not see
    parts, left = [], length
    while left:
        if not select.select([descriptor], [], [], SECONDS)[0]:
            raise EOFError("too slow")
        part = os.read(descriptor, min(left, 2**20))
        if not part:
            raise EOFError("ended")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints must not be taken for an answer
    for file, most in _requests(sys.stdin.buffer):
        _bound(most)
        try:
            pixels = _decoded(file)
            head, body = json.dumps([pixels.dtype.str, pixels.shape]).encode(), pixels.tobytes()
        except Exception:  # the helper answers whatever gdcm and pydicom raise on a broken file
            head, body = json.dumps(["", []]).encode(), b""
        answers.write(struct.pack("<q", len(head)) + head)
        if body:
            answers.write(struct.pack("<q", len(body)) + body)
        answers.flush()


def _requests(pipe: IO[bytes]) -> Iterator[tuple[Path, int]]:
    while head := pipe.read(8):
        path, most = json.loads(pipe.read(struct.unpack("<q", head)[0]))
        yield Path(path), int(most)


def _bound(most: int) -> None:
    if sys.platform != "win32":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (BESIDE + 4 * most, hard))


def _decoded(file: Path) -> np.ndarray:
    import gdcm
    from pydicom import dcmread
    from pydicom.encaps import generate_frames

    dataset = dcmread(file)
    number = int(dataset.get("NumberOfFrames", 1) or 1)
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel)
    bits, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    signed = int(dataset.get("PixelRepresentation", 0) or 0)
    frames: list[np.ndarray] = []
    for packed in generate_frames(dataset.PixelData, number_of_frames=number):
        fragment = gdcm.Fragment()
        fragment.SetByteStringValue(packed)
        fragments = gdcm.SequenceOfFragments.New()
        fragments.AddFragment(fragment)
        element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
        element.SetValue(fragments.__ref__())
        image = gdcm.Image()
        image.SetNumberOfDimensions(2)
        image.SetDimensions((columns, rows, 1))
        image.SetDataElement(element)
        kind = gdcm.PhotometricInterpretation.GetPIType(str(dataset.PhotometricInterpretation))
        image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
        if samples > 1:
            image.SetPlanarConfiguration(0)  # JPEG keeps the colours of a pixel together, whatever the header says
        syntax = gdcm.TransferSyntax.GetTSType(str(dataset.file_meta.TransferSyntaxUID))
        image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        image.SetPixelFormat(gdcm.PixelFormat(samples, bits, stored, stored - 1, signed))
        raw = image.GetBuffer().encode("utf-8", "surrogateescape")  # gdcm hands bytes out as text
        values = np.frombuffer(raw, f"{'i' if signed else 'u'}{bits // 8}")
        frames.append(values.reshape(rows, columns) if samples == 1 else values.reshape(rows, columns, samples))
    return frames[0] if number == 1 else np.stack(frames)


if __name__ == "__main__":
    _serve()
