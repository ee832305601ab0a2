"""The one training loop: every network of every pipeline, and nothing of it is lost.

    outcome = fit(network, tasks.binary(), Resident((x,), y), settings, seed=0, generator=generator)

The weights of `network` are trained in place. With a `folder`, plan, history and checkpoints lie there, and the same
call after a kill goes on to the same weights, on a CPU bit for bit.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lepton_solutions.data.batches import Batch, Batches, Resident
from lepton_solutions.settings import Fit
from lepton_solutions.tasks import Task
from lepton_solutions.training.allocator import keep_freed_memory
from lepton_solutions.training.averages import average_for
from lepton_solutions.training.checks import check, check_batch, identity, need
from lepton_solutions.training.course import Course
from lepton_solutions.training.history import History
from lepton_solutions.training.keeper import Keeper
from lepton_solutions.training.norms import has_norms, measure_norms
from lepton_solutions.training.optimise import Plateau, default_undecayed, optimiser_for, rate_at
from lepton_solutions.training.plan import Plan, choose, device_for, laid_out
from lepton_solutions.training.processes import Processes, processes
from lepton_solutions.training.rescue import LossNotFinite, explain
from lepton_solutions.training.state import State
from lepton_solutions.training.step import Step

log = logging.getLogger(__name__)

LOOKS = 16  # steps between two looks at the losses: on a GPU a look waits for the device


@dataclass(frozen=True)
class Outcome:
    """How a training ended. checkpoint_seconds: that it took to write them. metrics: the judge's, of the epoch whose
    weights the network now has.
    """

    plan: Plan
    steps: int
    epochs: int
    seconds: float
    checkpoint_seconds: float
    stopped: str  # epochs | patience | seconds
    epoch: int
    metrics: dict[str, float] = field(default_factory=dict)

    def facts(self) -> dict[str, object]:
        """What is worth keeping of it as JSON."""
        return {
            "steps": self.steps,
            "epochs": self.epochs,
            "kept_epoch": self.epoch,
            "stopped": self.stopped,
            "plan": str(self.plan),
            "seconds": round(self.seconds, 3),
        }


def fit(
    network: nn.Module,
    task: Task,
    batches: Batches,
    settings: Fit,
    *,
    seed: int,
    generator: torch.Generator,
    undecayed: Callable[[str], bool] | None = None,
    judge: Callable[[nn.Module], Mapping[str, float]] | None = None,
    higher_is_better: bool = False,
    imputes: bool = False,
    folder: Path | None = None,
    watch: Callable[[float, str], None] = lambda share, text: None,
) -> Outcome:
    """Train in place; on the device of the plan, from where the network returns to the CPU.

    settings: with `epochs` and `batch_size` set. seed: of dropout, augmentation and mixup. generator: draws the order
    of the rows. undecayed: says of a parameter's name whether weight decay leaves it alone; by default vectors such as
    biases. judge: from the network in evaluation mode to figures on validation rows, the first of which decides when
    to stop early, which weights are best and when a plateau is reached. imputes: missing inputs (NaN) are the network's
    business. watch: share done and a line of text, at every look at the losses.

    Raises UserError for a batch larger than the data, targets the task cannot have, inputs that are not finite, a
    device that is absent, a checkpoint of another training, and a loss that stays infinite.
    """
    keep_freed_memory()
    team = processes(settings.device)
    settings = settings.model_copy(update={"devices": team.world})  # the user's own torchrun decides
    epochs, batch_size = settings.epochs, settings.batch_size
    assert epochs is not None and batch_size is not None
    device = team.device or device_for(settings.device)
    batches = batches.to(device)
    network.to(device)
    check(batches, task, settings, imputes=imputes, judged=judge is not None, world=team.world)
    leave = undecayed or default_undecayed(network)

    def make_step(own: nn.Module, plan: Plan, **more: Any) -> Step:
        optimiser = optimiser_for(own, settings, undecayed=leave, capturable=plan.graphed)
        return Step(own, task, optimiser, settings, plan, parts=settings.accumulate, **more)

    with torch.random.fork_rng():
        torch.manual_seed(seed + team.rank)
        sample = batches.sample(batch_size)
        steps = epochs * batches.steps(batch_size)
        who = identity(network, task, settings, batches, sample, seed=seed, world=team.world)
        plan = team.agree(lambda: choose(network, sample, make_step, settings, who, steps=steps, folder=folder))
        # What keeps no folder is a small part of something, and would fill the screen.
        log.log(logging.DEBUG if folder is None else logging.INFO, "plan: %s; %s", plan, need(network, batches))
        whole, unsynchronised = team.wrap(laid_out(network, plan))
        step = make_step(network, plan, whole=whole, world=team.world, unsynchronised=unsynchronised)
        state = State(
            network,
            step.optimiser,
            generator,
            average_for(network, settings),
            Plateau() if settings.schedule == "plateau" else None,
            parts=settings.accumulate,
            order=generator.get_state(),
        )
        keeper = Keeper(state, settings, team, folder, who)
        training = _Training(
            network, task, batches, settings, epochs, batch_size, steps, step, team, state, keeper, judge,
            higher_is_better, imputes, watch,
        )  # fmt: skip
        return training.run(plan)


@dataclass
class _Training:
    """One call of `fit`: where it stands, and what is done between two steps."""

    network: nn.Module
    task: Task
    batches: Batches
    settings: Fit
    epochs: int
    batch_size: int
    steps: int  # of the whole training
    step: Step
    team: Processes
    state: State
    keeper: Keeper
    judge: Callable[[nn.Module], Mapping[str, float]] | None
    higher_is_better: bool
    imputes: bool
    watch: Callable[[float, str], None]
    pending: list[tuple[Tensor, int]] = field(default_factory=list)  # losses not looked at yet, rows behind each

    def run(self, plan: Plan) -> Outcome:
        state = self.state
        resumed = self.keeper.resume()
        if resumed and state.stopped is None:
            log.warning("going on from the checkpoint at step %d of %d", state.step, self.steps)
        self.step.parts, begun = state.parts, state.step
        self.course = self._course(resumed)
        self.clock = time.perf_counter() - state.seconds  # when this training would have begun, without the breaks
        self.network.train()
        try:
            while state.stopped is None:
                try:
                    self._epoch()
                except LossNotFinite:
                    self._go_back()
            if state.step > begun:
                self.keeper.write()
        finally:
            self.course.history.close()
        if self.settings.patience is not None and state.best_weights:
            self.network.load_state_dict(state.best_weights)
            epoch, metrics = state.best_epoch, state.best_metrics
        else:
            epoch, metrics = state.epoch, state.metrics
            if state.average is not None:
                if not state.average.begun:
                    log.warning("fit.average_start was never reached: the last weights stand for their average")
                state.average.give_to(self.network)
        if state.average is not None and state.average.begun and has_norms(self.network):
            measure_norms(self.network, self.batches, self.batch_size)
            if (judge := self.judge) is not None:
                metrics = self.team.agree(lambda: dict(judge(self.network)))
        laid_out(self.network.to("cpu").eval(), Plan("cpu"))
        return Outcome(plan, state.step, state.epoch, state.seconds, self.keeper.spent, state.stopped, epoch, metrics)

    def _course(self, resumed: bool) -> Course:
        """The history from here on; rows of steps that are not done any more go."""
        history = History(
            self.keeper.folder if self.team.rank == 0 else None,
            logger=self.settings.logger,
            config=self.keeper.identity,
            resumed_at=self.state.step if resumed else None,
        )
        return Course(self.state, self.step, history, self.epochs, self.batches.steps(self.batch_size), self.batch_size)

    def _go_back(self) -> None:
        """To the last good state; when that has been tried often enough, say what is wrong."""
        self.course.history.close()
        self.pending.clear()
        restored = self.keeper.go_back()
        self.step.forget()
        if not restored:
            self._start_epoch()
            raise explain(self.network, self.task, self.step, self._batches(), number=self.state.step)
        self.course = self._course(True)

    def _epoch(self) -> None:
        """The epoch under way, to its end or to where the time is up."""
        state = self.state
        self._start_epoch()
        every = self.settings.checkpoint_steps
        for batch, rate in self._batches():
            self.pending.append((self.step(batch, rate), batch.size))
            state.step += 1
            state.position += 1
            if state.average is not None:
                state.average.update(self.network, state.step / self.steps)
            if state.step % LOOKS == 0 or (every and state.step % every == 0):
                self._look()
                if state.stopped is not None:
                    break
        self._look()
        self._end_epoch()

    def _start_epoch(self) -> None:
        assert self.state.order is not None
        self.state.generator.set_state(self.state.order)

    def _batches(self) -> Iterator[tuple[Batch, float]]:
        """What is left of the epoch, each batch with its learning rate."""
        state, part = self.state, (self.team.rank, self.team.world)
        for batch in self.batches.epoch(self.batch_size, state.generator, skip=state.position, part=part):
            if not isinstance(self.batches, Resident):  # which was checked as a whole
                check_batch(batch, self.task, imputes=self.imputes)
            factor = rate_at(self.settings, state.step / self.steps) * state.rate_scale
            yield batch, self.settings.learning_rate * factor * (state.plateau.factor if state.plateau else 1.0)

    def _look(self) -> None:
        """Read the losses since the last look; then what is due: a copy to go back to, a checkpoint, a word."""
        state, settings = self.state, self.settings
        if not self.pending:
            return
        now = time.perf_counter()
        # What the clock says is the first process's to decide; it travels with the losses.
        due = (settings.seconds is not None and now - self.clock >= settings.seconds, self.keeper.is_due())
        words = [float(word and self.team.rank == 0) * self.team.world for word in due]
        losses = torch.stack([loss for loss, _ in self.pending]).double()
        told = self.team.total(torch.cat([losses, losses.new_tensor(words)])) / self.team.world
        *values, time_is_up, write = told.tolist()
        if not all(map(math.isfinite, values)):
            raise LossNotFinite
        state.loss_sum += sum(value * size for value, (_, size) in zip(values, self.pending, strict=True))
        state.loss_rows += sum(size for _, size in self.pending)
        self.pending.clear()
        state.parts = self.step.parts
        state.seconds = now - self.clock
        if time_is_up:
            state.stopped = "seconds"
        if self.keeper.is_old():
            self.keeper.keep()
            self.course.tell()
        if write:
            self.keeper.write()
        self.watch(state.step / self.steps, self.course.words())

    def _end_epoch(self) -> None:
        """Judge the epoch, note it, and decide whether it was the last."""
        state, settings = self.state, self.settings
        self.keeper.check()
        if self.judge is not None:
            state.metrics = self.team.agree(self._judged)
            self._compare(next(iter(state.metrics.values())))
        elif state.plateau is not None:
            state.plateau.step(state.loss_sum / max(state.loss_rows, 1))
        self.course.tell(state.metrics)
        if state.stopped is None:  # else the time was up inside this epoch
            state.epoch, state.position, state.order = state.epoch + 1, 0, state.generator.get_state()
            state.loss_sum, state.loss_rows = 0.0, 0
            if state.epoch == self.epochs:
                state.stopped = "epochs"
            elif settings.patience is not None and state.stale >= settings.patience:
                state.stopped = "patience"
        self.watch(state.step / self.steps, self.course.words())

    def _judged(self) -> dict[str, float]:
        assert self.judge is not None
        self.network.eval()
        with torch.no_grad(), self.state.average.lent_to(self.network) if self.state.average else nullcontext():
            metrics = dict(self.judge(self.network))
        self.network.train()
        return metrics

    def _compare(self, figure: float) -> None:
        """Is this epoch's figure the best? The weights it was reached with are kept where they may be asked for."""
        state = self.state
        sign = 1 if self.higher_is_better else -1
        if state.best is None or sign * figure > sign * state.best:  # never for NaN
            state.best, state.best_epoch, state.best_metrics, state.stale = figure, state.epoch + 1, state.metrics, 0
            if self.settings.patience is not None:
                with state.average.lent_to(self.network) if state.average else nullcontext():
                    weights = self.network.state_dict()
                    state.best_weights = {name: tensor.detach().clone() for name, tensor in weights.items()}
        else:
            state.stale += 1
        if state.plateau is not None:
            state.plateau.step(-sign * figure)
