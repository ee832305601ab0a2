"""What a training tells of itself while it runs: a row of the history now and then, a line of words at every look."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from lepton_solutions.training.history import History, memory_mb
from lepton_solutions.training.state import State
from lepton_solutions.training.step import Step


@dataclass
class Course:
    """epochs: of the whole training. steps: of one of them. batch_size: over all processes."""

    state: State
    step: Step
    history: History
    epochs: int
    steps: int
    batch_size: int

    def __post_init__(self) -> None:
        self._last = (self.state.step, time.perf_counter())

    def tell(self, metrics: Mapping[str, float] | None = None) -> None:
        """A row on the steps since the last one; metrics: the judge's, at the end of an epoch."""
        state, (step, at) = self.state, self._last
        if state.step == step:
            return
        took = (time.perf_counter() - at) / (state.step - step)
        norms = [p.grad.norm() for p in self.step.parameters if p.grad is not None]
        self.history.write(
            {
                "step": state.step,
                "epoch": state.epoch + state.position / self.steps,
                "loss": state.loss_sum / max(state.loss_rows, 1),
                "rate": self.step.rate,
                "gradient_norm": float(torch.stack(norms).norm()) if norms else 0.0,
                "step_ms": 1000 * took,
                "rows_per_second": self.batch_size / took,
                "memory_mb": memory_mb(self.step.parameters[0].device),
                **{f"validation_{name}": value for name, value in (metrics or {}).items()},
            }
        )
        self._last = (state.step, time.perf_counter())

    def words(self) -> str:
        """Epoch, training loss, the figure that decides."""
        state = self.state
        words = [f"epoch {min(state.epoch + 1, self.epochs)}/{self.epochs}"]
        if state.loss_rows:
            words.append(f"loss {state.loss_sum / state.loss_rows:.4f}")
        for name, value in list(state.metrics.items())[:1]:
            words.append(f"validation {name} {value:.4f}")
        return ", ".join(words)
