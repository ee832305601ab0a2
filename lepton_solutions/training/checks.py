"""What is known about a training before its first step: mistakes, what it needs, and what tells it from others."""

from __future__ import annotations

import hashlib

from torch import nn

from lepton_solutions.data.batches import Batch, Batches, Resident, not_finite
from lepton_solutions.data.streaming import Stream
from lepton_solutions.errors import UserError
from lepton_solutions.settings import Fit
from lepton_solutions.tasks import Task
from lepton_solutions.training.loggers import check_logger

# Keys that do not change what is learned, so that a resumed run may change them.
_FREE = {"devices", "logger", "checkpoint_steps", "checkpoint_minutes", "workers", "launcher", "memory_gb"}


def check(batches: Batches, task: Task, settings: Fit, *, imputes: bool, judged: bool, world: int) -> None:
    """Raises UserError for a batch larger than the data, impossible targets or inputs, patience without a judge."""
    assert settings.batch_size is not None
    if settings.batch_size > batches.rows:
        raise UserError(
            f"fit.batch_size: found {settings.batch_size}, expected at most the {batches.rows} rows of the train part"
        )
    smallest = batches.rows // batches.steps(settings.batch_size)
    if smallest < world:
        raise UserError(
            f"fit.batch_size: batches of {smallest} rows, expected at least one for each of {world} processes"
        )
    if settings.patience is not None and not judged:
        raise UserError("fit.patience: stops early by validation rows, and there are none", hint="fit.patience=null")
    if settings.mixup and not all(x.is_floating_point() for x in batches.sample(1).inputs):
        raise UserError("fit.mixup: some inputs are whole numbers, which cannot be blended", hint="fit.mixup=0")
    check_logger(settings.logger)
    if isinstance(batches, Resident):
        check_batch(batches.all(), task, imputes=imputes)


def check_batch(batch: Batch, task: Task, *, imputes: bool) -> None:
    """Raises UserError for a target out of range, and for a missing or infinite input unless the network `imputes`."""
    task.check(batch.target, batch.rows)
    found = None if imputes else not_finite(batch)
    if found is not None:
        place = "".join(f"[{at}]" for at in found.place)
        raise UserError(
            f"training data, row {found.row}, input {found.input}{place}: found {found.value}, expected a number",
            hint="this network has no layer that fills in missing values: fill them in before, or leave the row out",
        )


def need(network: nn.Module, batches: Batches) -> str:
    """What the training holds in memory, in words; the activations of a batch come on top."""
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    kind = "streamed" if isinstance(batches, Stream) else "kept in memory"
    return (
        f"{batches.rows:,} rows {kind}, {batches.memory / 2**20:,.1f} MB; "
        f"weights, gradients and optimiser {4 * weights / 2**20:,.1f} MB"
    )


def identity(
    network: nn.Module, task: Task, settings: Fit, batches: Batches, sample: Batch, *, seed: int, world: int
) -> dict[str, object]:
    """What makes a training the one that was interrupted, as flat names and values in the order of telling."""
    digest = hashlib.sha256()
    for tensor in (*sample.inputs, sample.target, *([] if sample.weight is None else [sample.weight])):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    kept = {key: value for key, value in settings.model_dump(mode="json").items() if key not in _FREE}
    return {
        "task": task.name,
        "seed": seed,
        **{f"fit.{key}": value for key, value in kept.items()},
        **{f"network.{name}": list(tensor.shape) for name, tensor in network.state_dict().items()},
        "rows": batches.rows,
        "processes": world,
        "batches": type(batches).__name__,  # kept in memory and streamed rows come in another order
        "data": digest.hexdigest()[:16],  # of the first rows
    }
