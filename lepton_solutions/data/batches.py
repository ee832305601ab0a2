"""Batches: in which order the rows of a training set reach the network, and what a batch holds.

`Resident` keeps the whole set as tensors on the device and indexes them by a shuffled permutation; what does not fit
memory comes from `lepton_solutions.data.streaming`. Both answer to `Batches`, cut an epoch into the same batch sizes,
and give the same order for the same seed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from lepton_solutions.errors import UserError

Part = tuple[int, int]  # (rank, world): this process gets rows [rank::world] of every batch


class Batch(NamedTuple):
    """inputs: each [b, ...]. target: [b, ...]. weight: [b] or None, mean about 1 over the set. rows: int64 [b], where
    the rows stand in their source. size: rows of the whole batch, over all processes; b when there is one.
    """

    inputs: tuple[Tensor, ...]
    target: Tensor
    weight: Tensor | None
    rows: Tensor
    size: int


class Batches(Protocol):
    """rows: of the set. memory: bytes that it needs."""

    @property
    def rows(self) -> int: ...

    @property
    def memory(self) -> int: ...

    def steps(self, batch_size: int) -> int:
        """Batches of an epoch: `rows / batch_size`, rounded up."""

    def epoch(
        self, batch_size: int, generator: torch.Generator, *, skip: int = 0, part: Part = (0, 1)
    ) -> Iterator[Batch]:
        """One epoch, without its first `skip` batches. The generator (CPU) is drawn from before the first batch only,
        and alike for any `skip` and `part`: the state it had then and the batches done say where an epoch goes on.
        """

    def sample(self, batch_size: int) -> Batch:
        """The first rows in the order of the source, augmented as any batch; leaves the random states alone."""

    def to(self, device: torch.device | str) -> Batches:
        """The same set, with its batches on that device."""

    def plain(self) -> Batches:
        """The same set, not augmented."""


class Resident:
    """The whole set in memory, shuffled by a permutation; at most two batch sizes, every row once.

    inputs: each [n, ...]; sequences of several lengths are two inputs, padded [n, steps, channels] and length [n].
    target: [n, ...]. weight: [n]. balanced: draw every class equally often instead, its rows with replacement.
    augment: changes a batch by tensor operations, drawing from PyTorch's global random state.
    """

    def __init__(
        self,
        inputs: tuple[Tensor, ...],
        target: Tensor,
        weight: Tensor | None = None,
        *,
        balanced: bool = False,
        augment: Callable[[Batch], Batch] | None = None,
    ) -> None:
        lengths = [len(x) for x in (*inputs, target, *([] if weight is None else [weight]))]
        if len(set(lengths)) != 1 or lengths[0] == 0:
            raise UserError(f"batches: inputs, target and weight must have the same number of rows, found {lengths}")
        self.inputs, self.target, self.weight = inputs, target, weight
        self._augment = augment
        self._classes = Classes(target) if balanced else None

    @property
    def rows(self) -> int:
        return len(self.target)

    @property
    def memory(self) -> int:
        held = [*self.inputs, self.target, *([] if self.weight is None else [self.weight])]
        return sum(x.numel() * x.element_size() for x in held) + 8 * self.rows  # the permutation

    def steps(self, batch_size: int) -> int:
        return math.ceil(self.rows / batch_size)

    def epoch(
        self, batch_size: int, generator: torch.Generator, *, skip: int = 0, part: Part = (0, 1)
    ) -> Iterator[Batch]:
        if self._classes is None:
            order = torch.randperm(self.rows, generator=generator)
        else:
            order = self._classes.draw(self.rows, generator)
        order = order.to(self.target.device)
        return self._along(order, self.steps(batch_size), skip, part)

    def sample(self, batch_size: int) -> Batch:
        rows = torch.arange(min(batch_size, self.rows), device=self.target.device)
        return augmented_alike(self._at(rows, len(rows)), self._augment)

    def to(self, device: torch.device | str) -> Resident:
        moved = Resident(
            tuple(x.to(device) for x in self.inputs),
            self.target.to(device),
            None if self.weight is None else self.weight.to(device),
            augment=self._augment,
        )
        moved._classes = self._classes
        return moved

    def plain(self) -> Resident:
        bare = copy.copy(self)
        bare._augment = None
        return bare

    def all(self) -> Batch:
        """Every row, in the order of the source, without a copy."""
        rows = torch.arange(self.rows, device=self.target.device)
        return Batch(self.inputs, self.target, self.weight, rows, self.rows)

    def _along(self, order: Tensor, steps: int, skip: int, part: Part) -> Iterator[Batch]:
        rank, world = part
        for step in range(skip, steps):
            start, stop = bounds(self.rows, steps, step)
            batch = self._at(order[start + rank : stop : world], stop - start)
            yield batch if self._augment is None else self._augment(batch)

    def _at(self, rows: Tensor, size: int) -> Batch:
        return Batch(
            tuple(x.index_select(0, rows) for x in self.inputs),
            self.target.index_select(0, rows),
            None if self.weight is None else self.weight.index_select(0, rows),
            rows,
            size,
        )


def cut(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch, as views; `size` stays that of the whole batch."""
    inputs, target, weight, numbers, size = batch
    return Batch(
        tuple(x[rows] for x in inputs), target[rows], None if weight is None else weight[rows], numbers[rows], size
    )


def augmented_alike(batch: Batch, augment: Callable[[Batch], Batch] | None) -> Batch:
    """The batch augmented by the same draws every time, of which nobody else notices anything."""
    if augment is None:
        return batch
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return augment(batch)


class Classes:
    """The classes of a target [n] of whole numbers, for drawing each equally often."""

    def __init__(self, target: Tensor) -> None:
        target = target.detach().cpu()
        check_classes(target)
        _, code, self._counts = target.unique(return_inverse=True, return_counts=True)
        self._rows = code.argsort(stable=True)  # those of the first class, then of the second, ...
        self._starts = self._counts.cumsum(0) - self._counts

    def draw(self, rows: int, generator: torch.Generator) -> Tensor:
        """int64 [rows]: every class equally often, to within one; with replacement inside a class."""
        which = torch.randperm(rows, generator=generator) % len(self._counts)
        share = torch.rand(rows, generator=generator, dtype=torch.float64)  # below 1, also times a count
        return self._rows[self._starts[which] + (share * self._counts[which]).long()]


def check_classes(target: Tensor) -> None:
    """Raises UserError for a target that does not name one class a row."""
    whole = not target.is_floating_point() or bool((target == target.round()).all())
    if target.dim() != 1 or not whole:
        found = "fractions" if target.dim() == 1 else f"a target of shape {list(target.shape)}"
        raise UserError(
            f"fit.balanced=true: found {found}, expected one class a row, a whole number", hint="fit.balanced=false"
        )


def bounds(rows: int, steps: int, step: int) -> tuple[int, int]:
    """Where batch `step` starts and ends in the order of an epoch; as `Tensor.tensor_split` cuts.

    >>> [bounds(10, 4, step) for step in range(4)]
    [(0, 3), (3, 6), (6, 8), (8, 10)]
    """
    size, longer = divmod(rows, steps)
    start = step * size + min(step, longer)
    return start, start + size + (step < longer)


class NotFinite(NamedTuple):
    """A NaN or an infinite value: input number, row in the source, place inside the row, and what is there."""

    input: int
    row: int
    place: tuple[int, ...]
    value: float


def not_finite(batch: Batch) -> NotFinite | None:
    """The first value of the inputs that is not finite; None when all are. Inputs of whole numbers cannot have one."""
    for number, x in enumerate(batch.inputs):
        # One pass without a temporary; a sum of finite values can overflow, hence the second look.
        if not x.is_floating_point() or bool(x.sum().isfinite()):
            continue
        for start in range(0, len(x), 4096):
            found = (~x[start : start + 4096].isfinite()).nonzero()
            if len(found):
                row, *place = found[0].tolist()
                value = x[(start + row, *place)].item()
                return NotFinite(number, int(batch.rows[start + row]), tuple(place), value)
    return None
