"""One optimisation step, as the plan says: eager, compiled, or captured whole as one CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from lepton_solutions.data.batches import Batch, bounds, cut
from lepton_solutions.errors import UserError
from lepton_solutions.settings import Fit
from lepton_solutions.tasks import Task
from lepton_solutions.training.plan import Plan

log = logging.getLogger(__name__)

WARM_UPS = 3  # runs before a capture, as PyTorch's CUDA graph notes ask for
_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


class Step:
    """Called with a batch and a learning rate: updates the weights, returns this process's part of the mean loss.

    parts: pieces the batch is computed in; doubled where memory runs out. whole: the network or what Fabric made of it
    for several processes, of which gradients are averaged. world: number of processes.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        optimiser: torch.optim.Optimizer,
        settings: Fit,
        plan: Plan,
        *,
        parts: int = 1,
        whole: nn.Module | None = None,
        world: int = 1,
        unsynchronised: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.parts = parts
        self.optimiser, self.rate = optimiser, 0.0
        self._network, self._whole, self._task, self._plan = network, whole or network, task, plan
        self._clip, self._mixup, self._world = settings.clip_norm, settings.mixup, world
        self._unsynchronised = unsynchronised
        self._graphs: dict[tuple, tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}
        self._loss: Callable[..., Tensor] = self._mean_loss
        if plan.compiled:
            # Random draws as in eager mode, so that a plan changes no dropout mask.
            torch._inductor.config.fallback_random = True
            self._loss = torch.compile(self._mean_loss, dynamic=False)

    def __call__(self, batch: Batch, rate: float) -> Tensor:
        self.rate = rate
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        if self._plan.graphed:
            return self._replay(batch)
        loss = self.gradients(batch)
        self.optimiser.step()
        return loss

    def forget(self) -> None:
        """After weights and optimiser were put back: a captured graph still works on their old tensors."""
        self._graphs.clear()

    def gradients(self, batch: Batch) -> Tensor:
        """Leaves the (clipped) gradients of a batch in the parameters; its loss, detached.

        Raises UserError where memory does not even hold a single row.
        """
        while True:
            try:
                pieces = [batch] if self.parts == 1 else _pieces(batch, self.parts)
                return self._backward(map(self._terms, pieces), len(pieces))
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _is_memory(error):
                    raise
                self._halve(len(batch.rows))

    def _backward(self, pieces: Iterable[tuple], count: int) -> Tensor:
        """Gradients of the sum of so many pieces' losses; that sum. pieces: the arguments of the loss of each."""
        for parameter in self.parameters:  # a tenth of the time that `zero_grad` takes
            parameter.grad = None
        losses = []
        for number, piece in enumerate(pieces, 1):
            with self._unsynchronised() if number < count else nullcontext():
                loss = self._loss(*piece)
                loss.backward()
            losses.append(loss.detach())
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self._clip)
        return losses[0] if count == 1 else torch.stack(losses).sum()

    def _terms(self, batch: Batch) -> tuple:
        """Arguments of the loss: inputs, target, weight, the rows of the mean, and with mixup what was blended in.

        With mixup each row is blended with another one, and is asked for both targets (Zhang et al. 2018).
        """
        inputs = batch.inputs
        if self._plan.layout == "channels_last":
            inputs = tuple(x.contiguous(memory_format=_LAYOUTS[x.dim()]) if x.dim() in _LAYOUTS else x for x in inputs)
        rows = batch.size / self._world
        if not self._mixup:
            return inputs, batch.target, batch.weight, rows, None
        alpha = torch.full((), self._mixup)
        kept = torch.distributions.Beta(alpha, alpha).sample().to(batch.target.device)
        other = torch.randperm(len(batch.target), device=batch.target.device)
        inputs = tuple(kept * x + (1 - kept) * x[other] for x in inputs)
        weight = None if batch.weight is None else batch.weight[other]
        return inputs, batch.target, batch.weight, rows, (kept, batch.target[other], weight)

    def _mean_loss(
        self,
        inputs: tuple[Tensor, ...],
        target: Tensor,
        weight: Tensor | None,
        rows: float,
        blended: tuple[Tensor, Tensor, Tensor | None] | None,
    ) -> Tensor:
        """Sum of the rows' weighted losses over `rows`: processes average to the mean of the global batch."""
        half = self._plan.precision == "bf16"
        with torch.autocast(target.device.type, torch.bfloat16) if half else nullcontext():
            output = self._whole(*inputs)
            losses = self._task.loss(output, target)
            if weight is not None:
                losses = losses * weight
            if blended is not None:
                kept, target, weight = blended
                others = self._task.loss(output, target)
                losses = kept * losses + (1 - kept) * (others if weight is None else others * weight)
        return losses.mean() if rows == len(losses) else losses.sum() / rows

    def _halve(self, rows: int) -> None:
        for parameter in self.parameters:
            parameter.grad = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.parts >= rows:
            raise UserError("out of memory with a single row; nothing is left to halve", hint="take a smaller network")
        self.parts = min(2 * self.parts, rows)
        log.warning("out of memory: from here each batch is computed in %d parts, one after the other", self.parts)

    def _replay(self, batch: Batch) -> Tensor:
        """The captured step on this batch: its tensors are copied to where the graph reads."""
        terms = self._terms(batch)
        key = tuple(x.shape for x in _tensors(terms))
        if key not in self._graphs:
            self._graphs[key] = self._captured(terms)
        graph, places, loss = self._graphs[key]
        for place, tensor in zip(places, _tensors(terms), strict=True):
            place.copy_(tensor)
        graph.replay()
        return loss.clone()

    def _captured(self, terms: tuple) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        """A graph of loss, gradients and update. The warm-up runs change weights, which are put back afterwards."""
        own = tree_map_only(Tensor, torch.clone, terms)
        state = self.optimiser.state_dict()["state"]
        before = [p.detach().clone() for p in self.parameters]
        buffers = [buffer.clone() for buffer in self._network.buffers()]
        kept = {i: {k: v.clone() for k, v in values.items() if v is not None} for i, values in state.items()}
        random = torch.cuda.get_rng_state()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._update(own)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self._update(own)
        with torch.no_grad():
            for tensor, value in zip((*self.parameters, *self._network.buffers()), (*before, *buffers), strict=True):
                tensor.copy_(value)
            for i, values in self.optimiser.state_dict()["state"].items():
                for name, tensor in values.items():
                    if isinstance(tensor, Tensor):  # what the warm-up made starts from zero, as the first step finds it
                        tensor.copy_(kept[i][name]) if i in kept else tensor.zero_()
        torch.cuda.set_rng_state(random)
        return graph, _tensors(own), loss

    def _update(self, terms: tuple) -> Tensor:
        """Loss, gradients and update of a whole batch, as a graph holds them."""
        loss = self._backward([terms], 1)
        self.optimiser.step()
        return loss


def _pieces(batch: Batch, parts: int) -> list[Batch]:
    rows = len(batch.rows)
    parts = min(parts, rows)
    return [cut(batch, slice(*bounds(rows, parts, part))) for part in range(parts)]


def _tensors(terms: tuple) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(terms) if isinstance(leaf, Tensor)]


def _is_memory(error: Exception) -> bool:
    """Whether memory ran out: the GPU's own exception, or what the CPU's allocator says."""
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "not enough memory" in str(error)
        or "DefaultCPUAllocator" in str(error)
    )
