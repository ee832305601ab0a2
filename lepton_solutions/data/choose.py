"""Whether a training set is kept in memory or streamed from the disk."""

from __future__ import annotations

from collections.abc import Callable

import torch

from lepton_solutions.data.batches import Batch, Resident
from lepton_solutions.data.cache import decoded_once
from lepton_solutions.data.memory import budget
from lepton_solutions.data.readers import ImageFolder, Reader
from lepton_solutions.data.streaming import Stream, tensors
from lepton_solutions.settings import Fit


def batches_for(
    reader: Reader,
    settings: Fit,
    *,
    device: torch.device | str = "cpu",
    augment: Callable[[Batch], Batch] | None = None,
) -> Resident | Stream:
    """The rows of a reader: on the device where they fit `fit.memory_gb`, else streamed.

    Images that do not fit are decoded once into the user's cache folder, and streamed from there.
    """
    device = torch.device(device)
    # The permutation is part of what a resident set needs.
    if reader.rows * (reader.row_bytes + 8) <= budget(settings.memory_gb, device):
        inputs, target, weight = tensors(reader.read(0, reader.rows))
        weight = None if weight is None else weight / weight.mean()
        return Resident(inputs, target, weight, balanced=settings.balanced, augment=augment).to(device)
    if isinstance(reader, ImageFolder):
        reader = decoded_once(reader)
    return Stream(reader, workers=settings.workers, balanced=settings.balanced, augment=augment, device=device)
