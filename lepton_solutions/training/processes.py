"""Which process of a training this is, and what the processes say to each other.

Tensors of a step go through Fabric's backend (gloo on CPUs, NCCL on GPUs); all other words go through gloo, on the CPU,
where a process that waits for hours costs nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, distributed, nn

from lepton_solutions.errors import UserError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

T = TypeVar("T")

# How long a process waits for the others. While the first one evaluates or exports, that may be hours; one that died is
# noticed by what started it, not by the clock.
TIMEOUT = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """rank: this process, from 0. world: how many there are. fabric: None where there is one. words: group for gloo."""

    rank: int = 0
    world: int = 1
    fabric: Fabric | None = None
    words: distributed.ProcessGroup | None = None

    @property
    def device(self) -> torch.device | None:
        """Of this process; None where there is one, which may choose."""
        return None if self.fabric is None else self.fabric.device

    def agree(self, decide: Callable[[], T]) -> T:
        """What rank 0 decides, for all; the others do not decide."""
        if self.fabric is None:
            return decide()
        decided = [decide() if self.rank == 0 else None]
        distributed.broadcast_object_list(decided, src=0, group=self.words)
        return decided[0]  # type: ignore[return-value]  # what rank 0 put there

    def total(self, values: Tensor) -> Tensor:
        """Sum over the processes."""
        if self.fabric is not None:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """The tensor of every process, by rank, on the CPU; shapes may differ."""
        if self.fabric is None:
            return [tensor]
        gathered: list[Tensor] = [tensor] * self.world
        distributed.all_gather_object(gathered, tensor.cpu(), group=self.words)
        return gathered

    def wrap(self, network: nn.Module) -> tuple[nn.Module, Callable[[], AbstractContextManager]]:
        """The network whose gradients are averaged over the processes, and how to leave that out for a while."""
        if self.fabric is None:
            return network, nullcontext
        fabric, whole = self.fabric, self.fabric.setup_module(network)
        return whole, lambda: fabric.no_backward_sync(whole)


ALONE = Processes()
_apart = False  # whether this process is inside `apart`


def processes(device: str = "auto") -> Processes:
    """Those that torchrun or Ray started together with this one; this one alone where nothing did.

    device: auto | cpu | cuda, as `fit.device` says. Raises UserError for more processes than a machine has GPUs.
    """
    return ALONE if _apart else _join(device)


@contextmanager
def apart() -> Iterator[None]:
    """While the block runs, a training of this process is its own business: the others do not take part."""
    global _apart
    before, _apart = _apart, True
    try:
        yield
    finally:
        _apart = before


def accelerator_for(device: str, processes: int) -> str:
    """`cpu` or `cuda`, for so many processes on this machine. Raises UserError where it has not a GPU for each."""
    gpus = torch.cuda.device_count()
    if device == "cpu" or (device == "auto" and gpus == 0):
        return "cpu"
    if gpus < processes:
        raise UserError(
            f"{processes} processes on this machine, and it has {gpus} GPU{'s' * (gpus != 1)}; each needs its own",
            hint=f"fit.devices={gpus}, or fit.device=cpu" if gpus else "fit.device=cpu, or see `lepton doctor`",
        )
    return "cuda"


@cache
def _join(device: str) -> Processes:
    world, here = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if world == 1:
        return ALONE
    if world % here:
        raise UserError(f"{world} processes, {here} of them on this machine; expected as many on each")
    accelerator = accelerator_for(device, here)
    from lightning.fabric import Fabric
    from lightning.fabric.plugins.environments import TorchElasticEnvironment
    from lightning.fabric.strategies import DDPStrategy

    for greeting in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(greeting).setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=accelerator,
        devices=here,
        num_nodes=world // here,
        strategy=DDPStrategy(timeout=TIMEOUT),
        plugins=TorchElasticEnvironment(),  # the variables that torchrun sets; Ray sets the same
    )
    fabric.launch()
    on_cpus = distributed.get_backend() == "gloo"
    words = distributed.group.WORLD if on_cpus else distributed.new_group(backend="gloo", timeout=TIMEOUT)
    assert isinstance(words, distributed.ProcessGroup)
    return Processes(fabric.global_rank, world, fabric, words)
