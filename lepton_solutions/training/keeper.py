"""What a training keeps so that nothing is lost: a copy in memory to go back to, checkpoints on disk to go on from."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lepton_solutions.settings import Fit
from lepton_solutions.training import checkpoint
from lepton_solutions.training.checkpoint import Checkpoint
from lepton_solutions.training.processes import Processes
from lepton_solutions.training.rescue import LossNotFinite
from lepton_solutions.training.state import State, capture, random_state, restore

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
COPIED = 192  # steps between two copies in memory, .1 to 1 % of the time
LOWERED, LOWERINGS = 0.1, 2  # what is left of the learning rate after a loss that is not finite, and how often
WRITING = 0.01  # largest share of the time that goes into checkpoints, but for those asked for by number of steps


@dataclass
class Keeper:
    """folder: of this training, None where nothing is to be written. identity: what makes it this training."""

    state: State
    settings: Fit
    team: Processes
    folder: Path | None
    identity: Mapping[str, object]
    written: float = field(default_factory=time.perf_counter)  # when the last checkpoint was
    writing: float = 0.0  # seconds that it took
    spent: float = 0.0  # seconds that all took

    def resume(self) -> bool:
        """Go on from the newest checkpoint, if there is one."""
        found = None if self.folder is None else checkpoint.newest(self.folder / CHECKPOINTS, self.identity)
        if found is not None:
            restore(self.state, found, rank=self.team.rank)
        self.copy = self._capture()  # for which the processes wait for each other: all have looked at the files
        if found is None and self.folder is not None and self.team.rank == 0:
            # Those of a training that is through, with more steps, would count as newer than this one's.
            shutil.rmtree(self.folder / CHECKPOINTS, ignore_errors=True)
        return found is not None

    def is_old(self) -> bool:
        """Whether it is time for another copy."""
        return self.state.step - self.copy.facts["step"] >= COPIED

    def keep(self) -> None:
        """Copy the state. Raises LossNotFinite as `check` does: the copy before stays the one to go back to."""
        self.check()
        self.copy = self._capture()

    def check(self) -> None:
        """Raises LossNotFinite where a weight is not: the gradient of a finite loss need not be finite."""
        norms = torch._foreach_norm([p.detach() for p in self.state.network.parameters()])
        if not bool(torch.stack(norms).isfinite().all()):
            raise LossNotFinite

    def go_back(self) -> bool:
        """To the last good state, with a lower learning rate; False when it was lowered often enough."""
        state, failed = self.state, self.state.step
        often = state.lowered + 1
        restore(state, self.copy, rank=self.team.rank)
        if often > LOWERINGS:
            return False
        state.lowered, state.rate_scale = often, state.rate_scale * LOWERED
        log.warning(
            "the loss or a weight is not finite by step %d: back to step %d, with %g of the learning rate",
            failed, state.step, state.rate_scale,
        )  # fmt: skip
        self.copy = self._capture()
        return True

    def is_due(self) -> bool:
        """Whether a checkpoint is: after so many steps, or so many minutes, later where writing takes long."""
        every, waited = self.settings.checkpoint_steps, time.perf_counter() - self.written
        if self.folder is None:
            return False
        if every is not None and self.state.step % every == 0:
            return True
        return waited >= max(60 * self.settings.checkpoint_minutes, self.writing / WRITING)

    def write(self) -> None:
        """Write a checkpoint; every process takes part, since each has random states of its own.

        Raises LossNotFinite as `check` does: a training could not go on from such a file.
        """
        if self.folder is None:
            return
        self.check()
        start = time.perf_counter()
        now = self._capture()
        facts = {**now.facts, "identity": dict(self.identity), "done": self.state.stopped is not None}
        if self.team.rank == 0:
            checkpoint.write(self.folder / CHECKPOINTS, Checkpoint(now.tensors, facts))
        self.written = time.perf_counter()
        self.writing = self.written - start
        self.spent += self.writing

    def _capture(self) -> Checkpoint:
        return capture(self.state, random=self.team.gather(random_state()))
