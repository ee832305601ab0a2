"""The training loop: AdamW with a one-cycle schedule over shuffled batches of rows that lie in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Recipe:
    """How long and how fast: epochs, rows a step, peak learning rate, decoupled weight decay."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warm_up: float = 0.1  # share of the steps with rising learning rate, before the cosine to zero


def fit(
    network: nn.Module,
    loss_of: Callable[[Tensor], Tensor],
    *,
    rows: int,
    recipe: Recipe,
    undecayed: Callable[[str], bool],
    generator: torch.Generator,
    watch: Callable[[int], None],
) -> None:
    """Train in place.

    loss_of: row indices int64 [b] to the loss, a scalar. rows: how many there are to index. undecayed: says of a
    parameter's name whether weight decay leaves it alone. watch: called with the number of epochs done, the network in
    eval mode.
    """
    named = list(network.named_parameters())
    groups = [
        {"params": [p for name, p in named if not undecayed(name)], "weight_decay": recipe.weight_decay},
        {"params": [p for name, p in named if undecayed(name)], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.99), fused=True)
    steps = math.ceil(rows / recipe.batch_size)
    total = steps * recipe.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: one_cycle(step / total, warm_up=recipe.warm_up)
    )
    for epoch in range(recipe.epochs):
        network.train()
        for batch in torch.randperm(rows, generator=generator).tensor_split(steps):
            optimiser.zero_grad(set_to_none=True)
            loss_of(batch).backward()
            optimiser.step()
            schedule.step()
        network.eval()
        watch(epoch + 1)


def one_cycle(done: float, *, warm_up: float) -> float:
    """Factor on the peak learning rate when a share `done` of the steps is through: linear up, cosine down to 0."""
    if done < warm_up:
        return done / warm_up
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))
