"""Averages of the weights along a training, which often do better than the last ones: EMA and SWA."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from lepton_solutions.settings import Fit

Tensors = tuple[Tensor, ...] | list[Tensor]
Combine = Callable[[Tensors, Tensors, Tensor | int], None]


def average_for(network: nn.Module, fit: Fit) -> Average | None:
    """The average that `fit.average` names; None for `none`.

    ema: after every step, average = decay * average + (1 - decay) * weights, from the weights after the first step on
    (Polyak and Juditsky 1992). swa: the plain mean over the steps after the share `fit.average_start`, of weights
    (Izmailov et al. 2018); the schedule stays the one that is set.
    """
    if fit.average == "none":
        return None
    if fit.average == "ema":
        return Average(network, get_ema_multi_avg_fn(fit.average_decay), start=0.0)
    return Average(network, get_swa_multi_avg_fn(), start=fit.average_start)


class Average:
    """The averaged weights of a network, and of its buffers the statistics of normalisations.

    Buffers of whole numbers, and those that hold infinite values such as the outer edges of bins, are those of the
    network: they have no mean. Until the first step that counts there is no average, and the network's own weights
    stand for it.
    """

    def __init__(self, network: nn.Module, combine: Combine, *, start: float) -> None:
        def floats_only(held: Tensors, current: Tensors, count: Tensor | int) -> None:
            if held[0].is_floating_point():
                combine(held, current, count)
            else:  # torch's functions cannot divide these, or round them down
                torch._foreach_copy_(held, current)

        self._model = AveragedModel(network, multi_avg_fn=floats_only, use_buffers=True).requires_grad_(False)
        self._start = start
        self._endless = [name for name, b in network.named_buffers() if not bool(b.isfinite().all())]

    @property
    def begun(self) -> bool:
        return bool(self._model.n_averaged > 0)  # lies on the CPU: no wait for the device

    @torch.no_grad()
    def update(self, network: nn.Module, done: float) -> None:
        """After a step, with the share of the steps that is done."""
        if done <= self._start:
            return
        self._model.update_parameters(network)
        for name in self._endless:
            self._model.module.get_buffer(name).copy_(network.get_buffer(name))

    def tensors(self) -> dict[str, Tensor]:
        """All that decides how the average goes on, by name: for a checkpoint."""
        return dict(self._model.state_dict())

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """What `tensors` gave, on any device."""
        self._model.load_state_dict(tensors)

    @torch.no_grad()
    def give_to(self, network: nn.Module) -> None:
        """Copy the average into the network's own tensors."""
        if self.begun:
            _copy(self._model.module, network)

    @contextmanager
    def lent_to(self, network: nn.Module) -> Iterator[None]:
        """The network has the averaged weights inside the block, and its own again after it, bit for bit."""
        if not self.begun:
            yield
            return
        own = [tensor.detach().clone() for tensor in _tensors(network)]
        self.give_to(network)
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value in zip(_tensors(network), own, strict=True):
                    tensor.copy_(value)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _copy(source: nn.Module, goal: nn.Module) -> None:
    for there, here in zip(_tensors(goal), _tensors(source), strict=True):
        there.copy_(here)
