"""Windows over series, gathered when a batch asks for them: a row is stored once, however many windows hold it.

    batches = Windows(features, first, ends, target, window=40)      # batch inputs: [b, 40, f]

A window ends at its row and looks back; before the first row of a series that row stands again.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lepton_solutions.data.batches import Batch, Part, augmented_alike, bounds
from lepton_solutions.errors import UserError


class Windows:
    """features: float32 [rows, f], series after series. first: int64 [rows], where the series of each row begins.
    ends: int64 [n], the rows whose windows are wanted. target: [n, ...]. weight: [n]. window: rows of a window.
    augment: as `Resident` has it. Memory: that of the rows, and one batch.
    """

    def __init__(
        self,
        features: Tensor,
        first: Tensor,
        ends: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        *,
        window: int,
        augment: Callable[[Batch], Batch] | None = None,
    ) -> None:
        if len(ends) != len(target) or not len(ends):
            raise UserError(f"windows: found {len(ends)} rows to end at and {len(target)} targets, expected as many")
        self.features, self.first, self.ends = features, first, ends
        self.target, self.weight, self.window = target, weight, window
        self._augment = augment

    @property
    def rows(self) -> int:
        return len(self.ends)

    @property
    def memory(self) -> int:
        held = [self.features, self.first, self.ends, self.target, *([] if self.weight is None else [self.weight])]
        return sum(x.numel() * x.element_size() for x in held) + 8 * self.rows  # the permutation

    def steps(self, batch_size: int) -> int:
        return math.ceil(self.rows / batch_size)

    def epoch(
        self, batch_size: int, generator: torch.Generator, *, skip: int = 0, part: Part = (0, 1)
    ) -> Iterator[Batch]:
        order = torch.randperm(self.rows, generator=generator).to(self.ends.device)
        return self._along(order, self.steps(batch_size), skip, part)

    def sample(self, batch_size: int) -> Batch:
        rows = torch.arange(min(batch_size, self.rows), device=self.ends.device)
        return augmented_alike(self._at(rows, len(rows)), self._augment)

    def to(self, device: torch.device | str) -> Windows:
        moved = copy.copy(self)
        for name in ("features", "first", "ends", "target"):
            setattr(moved, name, getattr(self, name).to(device))
        moved.weight = None if self.weight is None else self.weight.to(device)
        return moved

    def plain(self) -> Windows:
        bare = copy.copy(self)
        bare._augment = None
        return bare

    def _along(self, order: Tensor, steps: int, skip: int, part: Part) -> Iterator[Batch]:
        rank, world = part
        for step in range(skip, steps):
            start, stop = bounds(self.rows, steps, step)
            batch = self._at(order[start + rank : stop : world], stop - start)
            yield batch if self._augment is None else self._augment(batch)

    def _at(self, rows: Tensor, size: int) -> Batch:
        ends = self.ends[rows]
        windows = windows_at(self.features, self.first, ends, self.window)
        return Batch((windows,), self.target[rows], None if self.weight is None else self.weight[rows], ends, size)


def windows_at(features: Tensor, first: Tensor, ends: Tensor, window: int) -> Tensor:
    """[b, window, f]: the rows up to each of `ends` [b]. features: [rows, f]; first: [rows].

    >>> windows_at(torch.arange(4.0).unsqueeze(1), torch.tensor([0, 0, 2, 2]), torch.tensor([1, 3]), 3).squeeze(2)
    tensor([[0., 0., 1.],
            [2., 2., 3.]])
    """
    back = torch.arange(window - 1, -1, -1, device=ends.device)
    rows = torch.maximum(ends.unsqueeze(1) - back, first[ends].unsqueeze(1))
    return features[rows]
