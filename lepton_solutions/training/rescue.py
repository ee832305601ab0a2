"""A loss that stays infinite: which step, which layer, which rows?"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lepton_solutions.data.batches import Batch
from lepton_solutions.errors import UserError
from lepton_solutions.tasks import Task
from lepton_solutions.training.step import Step

NAMED = 5  # rows that a message names


class LossNotFinite(Exception):
    """The loss or a weight became NaN or infinite since the last look."""


def explain(
    network: nn.Module, task: Task, step: Step, batches: Iterable[tuple[Batch, float]], *, number: int
) -> UserError:
    """Repeat the steps since the last good state, one by one, and say where the first bad value arose.

    batches: with their learning rates, from that state on. number: steps done before the first of them. The network is
    left where the search ended.
    """
    hint = "look at these rows first; then lower fit.learning_rate, set fit.clip_norm=1, or choose fit.precision=fp32"
    for done, (batch, rate) in enumerate(batches):
        where = f"step {number + done + 1}"
        layer = _first_layer(network, batch)
        if layer is not None:
            return UserError(f"{where}: the output of {layer} is not finite, {_rows(network, task, batch)}", hint=hint)
        loss = step.gradients(batch)
        if not bool(loss.isfinite()):
            return UserError(f"{where}: the loss is not finite, {_rows(network, task, batch)}", hint=hint)
        for name, parameter in network.named_parameters():
            if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
                rows = _rows(network, task, batch, gradient=True)
                return UserError(f"{where}: the gradient of `{name}` is not finite, {rows}", hint=hint)
        step(batch, rate)
    return UserError(f"after step {number}: the loss or a weight is not finite", hint=hint)


def _first_layer(network: nn.Module, batch: Batch) -> str | None:
    """The first module, innermost first, whose output is not finite although its inputs are."""
    found: list[str] = []

    def look(name: str, module: nn.Module, output: object) -> None:
        values = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        if not found and any(v.is_floating_point() and not bool(v.isfinite().all()) for v in values):
            found.append(f"`{name}` ({type(module).__name__})")

    handles = [
        module.register_forward_hook(lambda m, i, output, name=name: look(name, m, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        with torch.no_grad(), torch.random.fork_rng():
            network(*batch.inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _rows(network: nn.Module, task: Task, batch: Batch, *, gradient: bool = False) -> str:
    """Which rows of the batch are to blame, when each is computed alone."""
    bad: list[int] = []
    with torch.random.fork_rng():
        for i in range(len(batch.rows)):
            inputs, target = tuple(x[i : i + 1] for x in batch.inputs), batch.target[i : i + 1]
            network.zero_grad(set_to_none=True)
            try:
                loss = task.loss(network(*inputs), target).sum()
                if gradient:
                    loss.backward()
            except (ValueError, RuntimeError):  # batch norm cannot take a single row
                return f"in a batch of {len(batch.rows)} rows that starts with row {int(batch.rows[0])}"
            values = [p.grad for p in network.parameters() if p.grad is not None] if gradient else [loss.detach()]
            if not all(bool(value.isfinite().all()) for value in values):
                bad.append(int(batch.rows[i]))
    if not bad:
        return f"in a batch of {len(batch.rows)} rows, none of which is to blame alone"
    named = ", ".join(map(str, bad[:NAMED])) + (f" and {len(bad) - NAMED} more" if len(bad) > NAMED else "")
    return f"because of row{'s' if len(bad) > 1 else ''} {named} of the training data (counted from 0)"
