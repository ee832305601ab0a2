"""Blocks: what a stream reads at once, in this process or ahead of it in others.

The other processes start from this module and never import PyTorch, which alone would take half a gigabyte in each.
"""

from __future__ import annotations

import math
import mmap
import multiprocessing
import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from typing import NamedTuple, Protocol

import numpy as np

from lepton_solutions.data.readers import Piece, Reader
from lepton_solutions.errors import UserError

Shapes = list[tuple[np.dtype, tuple[int, ...]]]
_ALIGNED = 64  # bytes, as PyTorch's own allocator


class Block(NamedTuple):
    """Shuffled rows, and where they stand in the reader, int64 [n]."""

    piece: Piece
    rows: np.ndarray


class Frequencies(NamedTuple):
    """The classes of a target, rising, and how many rows are of each."""

    classes: np.ndarray
    counts: np.ndarray


class Job(NamedTuple):
    """What makes a block: ranges of rows, how many to take of each, and the seed of their order."""

    starts: np.ndarray
    stops: np.ndarray
    takes: np.ndarray
    seed: tuple[int, int]


def read_block(
    reader: Reader,
    job: Job,
    frequencies: Frequencies | None,
    allocate: Callable[[Shapes], list[np.ndarray]] | None = None,
) -> Block:
    """frequencies: draw rows of each range so that every class is equally likely; None takes them all.

    allocate: makes the arrays of the block; None in this process's own memory.
    """
    generator = np.random.default_rng(job.seed)
    places = generator.permutation(int(job.takes.sum()))
    filled: list[np.ndarray] = []
    at = 0
    for start, stop, take in zip(job.starts.tolist(), job.stops.tolist(), job.takes.tolist(), strict=True):
        if not take:
            continue
        piece = reader.read(start, stop)
        parts = [np.arange(start, stop), piece.target, *piece.inputs, *([] if piece.weight is None else [piece.weight])]
        if frequencies is not None:
            kinds = np.searchsorted(frequencies.classes, piece.target)
            ends = np.cumsum(1 / frequencies.counts[kinds])
            drawn = np.searchsorted(ends, generator.random(take) * ends[-1], side="right").clip(max=stop - start - 1)
            parts = [part[drawn] for part in parts]
        shapes = [(part.dtype, (len(places), *part.shape[1:])) for part in parts]
        if not filled:
            filled = allocate(shapes) if allocate else [np.empty(shape, kind) for kind, shape in shapes]
        for whole, part in zip(filled, parts, strict=True):
            whole[places[at : at + take]] = part  # straight to its place: a permuted copy would be a second block
        at += take
    return _block(filled, len(piece.inputs))


def read_ahead(reader: Reader, jobs: list[Job], frequencies: Frequencies | None, workers: int) -> Generator[Block]:
    """The blocks in the order of the jobs, read by so many processes; one block more than these is under way.

    Raises BrokenProcessPool when a process was killed, UserError when it cannot start, and what the reader raises.
    """
    # Not forked from this process, whose threads (of PyTorch, of CUDA) a child would lack.
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(kind)
    if kind == "forkserver":
        context.set_forkserver_preload([__name__, "lepton_solutions.data.parquet", "pyarrow.parquet"])
    others = set(multiprocessing.active_children())
    children: set[BaseProcess] = set()
    try:
        with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(reader, frequencies)) as pool:
            rest = iter(jobs)
            under_way: deque[Future[_Handed]] = deque(pool.submit(_work, job) for job in islice(rest, workers + 1))
            children = set(multiprocessing.active_children()) - others
            try:
                while under_way:
                    block = _taken(under_way.popleft().result())
                    under_way.extend(pool.submit(_work, job) for job in islice(rest, 1))
                    yield block
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    except BrokenProcessPool as error:
        # Below 0: ended by a signal; 255: the fork server lost sight of it, which a child that cannot start never is.
        if any(0 < (child.exitcode or 0) < 255 for child in children):
            raise UserError(
                "a process that reads the training data could not start; its own message stands above",
                hint='put what a script does under `if __name__ == "__main__":`, or set fit.workers=0',
            ) from error
        raise


class _Descriptor(Protocol):
    """A file descriptor of another process; `detach` makes it one of this process."""

    def detach(self) -> int: ...


class _Handed(NamedTuple):
    """A block on its way to another process: memory without a name, which is gone when both processes are."""

    file: _Descriptor
    shapes: Shapes
    inputs: int


_reader: Reader
_frequencies: Frequencies | None


def _start(reader: Reader, frequencies: Frequencies | None) -> None:
    """The first thing in a reading process."""
    global _reader, _frequencies
    _reader, _frequencies = reader, frequencies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot tell its children; without this they would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _work(job: Job) -> _Handed:
    file = -1
    known: Shapes = []

    def allocate(shapes: Shapes) -> list[np.ndarray]:
        nonlocal file
        file = _nameless(_ends(shapes)[-1])
        known.extend(shapes)
        return _views(file, shapes)

    try:
        block = read_block(_reader, job, _frequencies, allocate)
        return _Handed(DupFd(file), known, len(block.piece.inputs))
    finally:
        if file >= 0:
            os.close(file)


def _taken(handed: _Handed) -> Block:
    try:
        file = handed.file.detach()
    except (OSError, EOFError) as error:  # killed after it told us, before it handed over
        raise BrokenProcessPool("a reading process ended before it handed over its block") from error
    try:
        return _block(_views(file, handed.shapes), handed.inputs)
    finally:
        os.close(file)


def _nameless(size: int) -> int:
    """A file descriptor of memory; not of /dev/shm, which is 64 MB in many containers. A temporary file elsewhere."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("lepton-block")
    else:
        with tempfile.TemporaryFile() as opened:
            file = os.dup(opened.fileno())
    os.ftruncate(file, size)
    return file


def _views(file: int, shapes: Shapes) -> list[np.ndarray]:
    ends = _ends(shapes)
    mapped = mmap.mmap(file, ends[-1])  # lives as long as an array, or a tensor made of it, does
    return [
        np.frombuffer(mapped, kind, math.prod(shape), start).reshape(shape)
        for (kind, shape), start in zip(shapes, [0, *ends], strict=False)
    ]


def _ends(shapes: Shapes) -> list[int]:
    sizes = [-(-kind.itemsize * math.prod(shape) // _ALIGNED) * _ALIGNED for kind, shape in shapes]
    return np.cumsum(sizes).tolist()


def _block(parts: list[np.ndarray], inputs: int) -> Block:
    rows, target, *rest = parts
    return Block(Piece(tuple(rest[:inputs]), target, rest[inputs] if len(rest) > inputs else None), rows)
