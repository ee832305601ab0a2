"""Stream a training set that is larger than memory, in an order that the seed alone decides.

The reader's rows are cut into short ranges. An epoch shuffles the ranges, gathers as many as fill a block, and
shuffles the rows inside it: a block is the bounded shuffle buffer, and its rows come from all over the set. Processes
read blocks ahead; which of them reads which one, or how many they are, changes nothing.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Generator, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from lepton_solutions.data.batches import Batch, Part, augmented_alike, bounds, check_classes, cut
from lepton_solutions.data.blocks import Block, Frequencies, Job, read_ahead, read_block
from lepton_solutions.data.memory import available_memory
from lepton_solutions.data.readers import Piece, Reader
from lepton_solutions.errors import UserError

log = logging.getLogger(__name__)

BLOCK_BYTES = 64 * 2**20  # part of the order: another size shuffles otherwise
RANGES = 32  # that a block is gathered from, where the reader lets them be so short
PROCESS_BYTES = 80 * 2**20  # Python, NumPy and pyarrow in a process that reads
SURVEYED_AT_ONCE = 2**20  # rows


class Stream:
    """Batches of a reader's rows: cut as those of `Resident`, but shuffled within blocks.

    workers: processes that read; 0 reads in this one. balanced: draw every class equally often instead; ranges with
    many rows of rare classes are visited several times, and rows inside a range are drawn with replacement. augment:
    as in `Resident`. Weights are divided by their mean. Raises UserError for weights that are missing or below 0, and
    for a balanced target that is no class.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        workers: int = 1,
        balanced: bool = False,
        augment: Callable[[Batch], Batch] | None = None,
        device: torch.device | str = "cpu",
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self.reader, self.workers, self.rows = reader, workers, reader.rows
        self._augment, self._device, self._block_bytes = augment, torch.device(device), block_bytes
        self._block_rows = max(1, block_bytes // (reader.row_bytes + 8))
        self._cuts = reader.cuts(max(1, self._block_rows // RANGES))
        self._draws = np.diff(self._cuts).astype(np.float64)  # expected rows of a range in an epoch
        self._frequencies = None
        if balanced:
            self._frequencies, self._draws = _balance(reader, self._cuts)
        self._mean_weight = _mean_weight(reader)

    @property
    def memory(self) -> int:
        """Bytes: of the block in use and the next; with processes also of what each fills, and of one read ahead."""
        range_bytes = int(np.diff(self._cuts).max()) * self.reader.row_bytes
        block, reading = self._block_bytes + range_bytes, range_bytes + self.reader.reading_bytes
        if not self.workers:
            return 2 * block + reading
        return (self.workers + 3) * block + (PROCESS_BYTES + reading) * self.workers

    def steps(self, batch_size: int) -> int:
        return math.ceil(self.rows / batch_size)

    def epoch(
        self, batch_size: int, generator: torch.Generator, *, skip: int = 0, part: Part = (0, 1)
    ) -> Iterator[Batch]:
        return self._along(self._jobs(generator), self.steps(batch_size), skip, part)

    def sample(self, batch_size: int) -> Batch:
        count = min(batch_size, self.rows)
        return augmented_alike(self._ready(Block(self.reader.read(0, count), np.arange(count))), self._augment)

    def to(self, device: torch.device | str) -> Stream:
        moved = copy.copy(self)
        moved._device = torch.device(device)
        return moved

    def plain(self) -> Stream:
        bare = copy.copy(self)
        bare._augment = None
        return bare

    def _jobs(self, generator: torch.Generator) -> list[Job]:
        """The blocks of an epoch. A range is visited so often that a visit draws no more rows than it has."""
        sizes = np.diff(self._cuts)
        visits = np.maximum(1, np.ceil(self._draws / sizes - 1e-9)).astype(np.int64)
        ranges = np.repeat(np.arange(len(sizes)), visits)
        order = ranges[torch.randperm(len(ranges), generator=generator).numpy()]
        seed = int(torch.randint(2**62, (1,), generator=generator))
        ends = np.cumsum(self._draws[order] / visits[order])
        takes = np.diff(np.round(ends * (self.rows / ends[-1])).astype(np.int64), prepend=0)
        after = np.cumsum(sizes[order])
        count = math.ceil(after[-1] / self._block_rows)  # blocks, all about equally large
        block_of = (after - sizes[order]) * count // after[-1]
        blocks = np.split(np.arange(len(order)), np.flatnonzero(np.diff(block_of)) + 1)
        starts, stops = self._cuts[order], self._cuts[order + 1]
        return [
            Job(starts[block], stops[block], takes[block], (seed, number))
            for number, block in enumerate(blocks)
            if takes[block].any()
        ]

    def _along(self, jobs: list[Job], steps: int, skip: int, part: Part) -> Iterator[Batch]:
        if skip >= steps:
            return
        ends = np.cumsum([job.takes.sum() for job in jobs])
        start, _ = bounds(self.rows, steps, skip)
        first = int(np.searchsorted(ends, start, side="right"))  # the blocks before it are not read
        at = start - int(ends[first] - jobs[first].takes.sum())
        with closing(self._blocks(jobs[first:])) as blocks:
            block = self._ready(next(blocks))
            for step in range(skip, steps):
                start, stop = bounds(self.rows, steps, step)
                pieces, missing = [], stop - start
                while missing:
                    if at == block.size:
                        block, at = self._ready(next(blocks)), 0
                    pieces.append(cut(block, slice(at, at + missing)))
                    at += len(pieces[-1].rows)
                    missing -= len(pieces[-1].rows)
                batch = pieces[0] if len(pieces) == 1 else _joined(pieces)
                batch = batch._replace(size=stop - start)
                if part != (0, 1):
                    batch = cut(batch, slice(part[0], None, part[1]))
                yield batch if self._augment is None else self._augment(batch)

    def _ready(self, block: Block) -> Batch:
        """A whole block is moved at once, so that its batches are views and cost no transfer of their own."""
        inputs, target, weight = tensors(block.piece)
        return Batch(
            tuple(x.to(self._device) for x in inputs),
            target.to(self._device),
            None if weight is None else weight.to(self._device) / self._mean_weight,
            torch.from_numpy(block.rows).to(self._device),
            len(block.rows),
        )

    def _blocks(self, jobs: list[Job]) -> Generator[Block]:
        """The blocks in order. A process that is killed is not replaced; the last resort is to read in this one."""
        done = 0
        while self.workers:
            try:
                with closing(read_ahead(self.reader, jobs[done:], self._frequencies, self.workers)) as ahead:
                    for block in ahead:
                        done += 1
                        yield block
                return
            except BrokenProcessPool:
                need, left = self.memory, self.workers - 1
                self.workers = left
                log.warning(
                    "a process that reads the training data was killed, most likely by the system for want of memory: "
                    "%d of them need %.1f GB, %.1f GB are free; going on with %s, in the same order",
                    left + 1,
                    need / 1e9,
                    available_memory() / 1e9,
                    f"{left}" if left else "none: this process reads",
                )
        for job in jobs[done:]:
            yield read_block(self.reader, job, self._frequencies)


def tensors(piece: Piece) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
    """Inputs, target and weight as tensors on the same memory."""
    weight = None if piece.weight is None else torch.from_numpy(piece.weight)
    return tuple(torch.from_numpy(x) for x in piece.inputs), torch.from_numpy(piece.target), weight


def _joined(pieces: list[Batch]) -> Batch:
    weights = [piece.weight for piece in pieces if piece.weight is not None]
    return Batch(
        tuple(torch.cat(parts) for parts in zip(*(piece.inputs for piece in pieces), strict=True)),
        torch.cat([piece.target for piece in pieces]),
        torch.cat(weights) if weights else None,
        torch.cat([piece.rows for piece in pieces]),
        sum(len(piece.rows) for piece in pieces),
    )


def _balance(reader: Reader, cuts: np.ndarray) -> tuple[Frequencies, np.ndarray]:
    """How often each class occurs, and how many rows each range gives to an epoch that has all equally often."""
    counted: list[dict[float, int]] = []
    for start, stop in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        target, _ = reader.labels(start, stop)
        check_classes(torch.from_numpy(target))
        found, count = np.unique(target, return_counts=True)
        counted.append(dict(zip(found.tolist(), count.tolist(), strict=True)))
    classes = sorted(set().union(*counted))
    counts = np.array([sum(of.get(each, 0) for of in counted) for each in classes])
    each = cuts[-1] / (len(classes) * counts)  # how often a row of a class is drawn
    draws = [sum(of.get(name, 0) * often for name, often in zip(classes, each, strict=True)) for of in counted]
    return Frequencies(np.array(classes), counts), np.array(draws)


def _mean_weight(reader: Reader) -> float:
    if reader.labels(0, 1)[1] is None:
        return 1.0
    total = 0.0
    for start in range(0, reader.rows, SURVEYED_AT_ONCE):
        _, weight = reader.labels(start, min(start + SURVEYED_AT_ONCE, reader.rows))
        assert weight is not None
        wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
        if len(wrong):
            row = int(wrong[0])
            raise UserError(f"training data, row {start + row}: found weight {weight[row]}, expected 0 or more")
        total += float(weight.sum(dtype=np.float64))
    if total == 0:
        raise UserError("training data: all weights are 0")
    return total / reader.rows
