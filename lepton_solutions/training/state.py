"""All that decides how a training goes on, in one value that can be taken down and put back bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lepton_solutions.training.averages import Average
from lepton_solutions.training.checkpoint import Checkpoint
from lepton_solutions.training.optimise import Plateau


@dataclass
class State:
    """Where a training stands.

    step: optimisation steps done. epoch, position: epochs done, and steps done of the one under way. order: state of
    the generator as that epoch began. rate_scale: what is left of the learning rate after losses that were not finite.
    parts: pieces a batch is computed in. loss_sum, loss_rows: of the epoch so far. best: the judge's best figure, with
    the weights of that epoch. stale: epochs since then. seconds: training time so far.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    average: Average | None
    plateau: Plateau | None
    parts: int
    step: int = 0
    epoch: int = 0
    position: int = 0
    order: Tensor | None = None
    rate_scale: float = 1.0
    lowered: int = 0
    loss_sum: float = 0.0
    loss_rows: int = 0
    best: float | None = None
    best_epoch: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    stale: int = 0
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    stopped: str | None = None


_FACTS = (
    "parts", "step", "epoch", "position", "rate_scale", "lowered", "loss_sum", "loss_rows", "best", "best_epoch",
    "best_metrics", "stale", "seconds", "metrics", "stopped",
)  # fmt: skip


def capture(state: State, *, random: list[Tensor]) -> Checkpoint:
    """A copy of everything, on the CPU for what lies there. random: the random states of all processes, by rank."""
    tensors = {f"network.{name}": tensor for name, tensor in state.network.state_dict().items()}
    for index, values in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in values.items() if value is not None}
    if state.average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in state.average.tensors().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in state.best_weights.items()}
    tensors |= {f"random.{rank}": tensor for rank, tensor in enumerate(random)}
    if state.order is not None:
        tensors["order"] = state.order
    facts: dict[str, Any] = {name: getattr(state, name) for name in _FACTS}
    facts["plateau"] = None if state.plateau is None else state.plateau.state()
    return Checkpoint({name: tensor.detach().clone() for name, tensor in tensors.items()}, facts)


def restore(state: State, saved: Checkpoint, *, rank: int) -> None:
    """Put everything back, this process's random states included."""
    device = next(state.network.parameters()).device

    def below(prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): tensor.clone().to(device)
            for name, tensor in saved.tensors.items()
            if name.startswith(prefix)
        }

    state.network.load_state_dict(below("network."))
    held: dict[int, dict[str, Tensor]] = {}
    for name, tensor in saved.tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            held.setdefault(int(index), {})[key] = tensor.clone()
    state.optimiser.load_state_dict({**state.optimiser.state_dict(), "state": held})
    if state.average is not None:
        state.average.load(below("average."))
    if state.plateau is not None:
        state.plateau.load(saved.facts["plateau"])
    state.best_weights = below("best.")
    state.order = saved.tensors.get("order")
    for name in _FACTS:
        setattr(state, name, saved.facts[name])
    set_random_state(saved.tensors[f"random.{rank}"])


def random_state() -> Tensor:
    """The global random states of this process, CPU and GPUs, uint8."""
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states += torch.cuda.get_rng_state_all()
    return torch.cat(states)


def set_random_state(state: Tensor) -> None:
    """The inverse of `random_state`; a checkpoint of a machine with other GPUs gives back what both have."""
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size].cpu())
    if torch.cuda.is_available() and len(state) > size:
        each = len(torch.cuda.get_rng_state())
        gpus = state[size:].cpu().split(each)[: torch.cuda.device_count()]
        for index, gpu in enumerate(gpus):
            torch.cuda.set_rng_state(gpu, index)
