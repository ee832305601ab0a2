"""How an optimisation step executes: device, precision, memory layout, eager, compiled or as one CUDA graph.

`fit.plan=auto` times the candidates on the first batch and keeps the fastest that computes what fp32 eager computes.
The choice is written before the first step and reused on resume: times never decide twice.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from lepton_solutions.data.batches import Batch
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.settings import Fit

if TYPE_CHECKING:
    from lepton_solutions.training.step import Step

log = logging.getLogger(__name__)

PLAN = "plan.json"
# Largest difference from fp32 eager, relative: of the loss, and of the gradient as one vector (norm of the difference
# over its norm). Another order of sums moves fp32 by about 1e-6 a layer; bf16 keeps 8 bits, .4 % a product.
TOLERANCE = {"fp32": 1e-3, "bf16": 5e-2}
SHARE, AT_MOST_SHARE, SECONDS = 0.05, 0.1, 10.0  # of the run; up to ten seconds, but never over a tenth of it
COMPILING, COMPILING_A_LAYER = 6.0, 1.2  # seconds that torch.compile takes on two cores, and for each layer
UNROLLED = 15  # layers that a recurrent one counts for: the compiler unrolls its steps
WORTH = 0.95  # of the step of fp32 eager, or what is nearest: less is not worth another way to compute
HOPELESS = 3.0  # times the step of fp32 eager
WARM_UPS, LEAST = 2, 5  # untimed and timed steps of a candidate


@dataclass(frozen=True)
class Plan:
    """How a step executes. layout: of the inputs and weights of convolutions."""

    device: str
    precision: Literal["fp32", "bf16"] = "fp32"
    layout: Literal["contiguous", "channels_last"] = "contiguous"
    execution: Literal["eager", "compile", "graph", "compile+graph"] = "eager"

    @property
    def compiled(self) -> bool:
        return self.execution.startswith("compile")

    @property
    def graphed(self) -> bool:
        return self.execution.endswith("graph")

    def __str__(self) -> str:
        layout = "" if self.layout == "contiguous" else ", channels last"
        return f"{self.execution}, {self.precision}{layout}, on {self.device}"


@dataclass(frozen=True)
class Candidate:
    """What was found out about a plan: its step in ms and difference from fp32 eager, or why it was dropped."""

    plan: Plan
    step_ms: float | None
    difference: float | None
    seconds: float
    dropped: str | None = None


def device_for(asked: str) -> torch.device:
    """The device that `fit.device` names. Raises UserError for a GPU that is not there."""
    if asked == "cuda" and not torch.cuda.is_available():
        built = "this build of PyTorch has no CUDA" if torch.version.cuda is None else "PyTorch finds no GPU"
        raise UserError(f"fit.device=cuda: {built}", hint="fit.device=cpu, or see `lepton doctor`")
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(asked)


def choose(
    network: nn.Module,
    batch: Batch,
    make_step: Callable[[nn.Module, Plan], Step],
    settings: Fit,
    identity: Mapping[str, object],
    *,
    steps: int,
    folder: Path | None,
) -> Plan:
    """The plan for `steps` steps on batches like this one; the network is left as it is.

    Candidates and choice are written to `folder`; where they are there already, for a training of the same `identity`,
    that choice stands. Raises UserError for a fixed plan that cannot run here.
    """
    training = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    saved = json.loads((folder / PLAN).read_text(encoding="utf-8")) if folder and (folder / PLAN).is_file() else {}
    if saved.get("training") == training:
        return Plan(**saved["chosen"])
    device = batch.target.device.type
    plain = Plan(device, settings.precision or "fp32")
    start = time.perf_counter()
    if settings.plan == "auto":
        tried = list(_try_all(network, batch, make_step, plain, settings, steps))
        took = {each.plan: each.step_ms for each in tried if each.dropped is None and each.step_ms is not None}
        if not took:
            raise UserError(f"fit.plan=auto: {plain}: {tried[0].dropped}", hint="fit.plan=eager takes it as it is")
        fastest = min(took, key=took.__getitem__)
        chosen = plain if took[fastest] > WORTH * took.get(plain, math.inf) else fastest
    else:
        tried, chosen = [], replace(plain, execution=settings.plan)
        reason = _why_no_graph(device, settings)
        if settings.plan == "graph" and reason is not None:
            raise UserError(f"fit.plan=graph: {reason}", hint="fit.plan=auto")
        if settings.plan == "compile":
            found = _try(network, batch, make_step, chosen, None, seconds=0)
            if found.dropped is not None:
                raise UserError(f"fit.plan=compile: {found.dropped}", hint="fit.plan=eager")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "training": training,
            "chosen": asdict(chosen),
            "seconds": round(time.perf_counter() - start, 3),
            "tolerance": TOLERANCE,
            "candidates": [asdict(candidate) for candidate in tried],
        }
        write_json(folder / PLAN, record)
    return chosen


def _try_all(
    network: nn.Module,
    batch: Batch,
    make_step: Callable[[nn.Module, Plan], Step],
    plain: Plan,
    settings: Fit,
    steps: int,
) -> list[Candidate]:
    """Candidates from cheap to dear, each only where the run is long enough to repay what trying it takes."""
    start = time.perf_counter()
    reference = _reference(network, batch, make_step, replace(plain, precision="fp32"))
    first = _try(network, batch, make_step, plain, reference, seconds=0.02)
    run = (first.step_ms or 0.0) / 1000 * steps
    budget = max(SHARE * run, min(SECONDS, AT_MOST_SHARE * run))
    tried = [first]

    def attempt(plan: Plan, needs: float) -> None:
        left = budget - (time.perf_counter() - start)
        if needs > left:
            reason = f"not tried: takes about {needs:.1f} s, of a run of {run:.0f} s {max(left, 0):.1f} s are left"
            tried.append(Candidate(plan, None, None, 0.0, reason))
            return
        tried.append(
            _try(network, batch, make_step, plan, reference, seconds=min(0.5, left / 8), rival_ms=first.step_ms)
        )

    precisions: list[Literal["fp32", "bf16"]] = ["fp32", "bf16"] if settings.precision is None else [settings.precision]
    has_space = any(isinstance(module, (nn.Conv2d, nn.Conv3d)) for module in network.modules())
    layouts: list[Literal["contiguous", "channels_last"]] = (
        ["contiguous", "channels_last"] if has_space else ["contiguous"]
    )
    eager = [replace(plain, precision=p, layout=layout) for layout in layouts for p in precisions]
    for plan in eager:
        if plan != plain:
            attempt(plan, (WARM_UPS + LEAST) * (first.step_ms or 0.0) / 1000)
    can_graph = _why_no_graph(plain.device, settings) is None
    leaves = [module for module in network.modules() if not list(module.children()) and list(module.parameters())]
    layers = sum(UNROLLED if isinstance(module, nn.RNNBase) else 1 for module in leaves)
    needs = COMPILING + COMPILING_A_LAYER * layers
    for found in _fastest_by_precision(tried):
        if can_graph:
            attempt(replace(found, execution="graph"), 1.0)
        attempt(replace(found, execution="compile"), needs)
        if can_graph:
            attempt(replace(found, execution="compile+graph"), needs)
    return tried


def _why_no_graph(device: str, settings: Fit) -> str | None:
    """What speaks against capturing the whole step; None when nothing does."""
    if device != "cuda":
        return f"needs a CUDA device, this run is on {device}"
    if settings.accumulate > 1:
        return "captures a step in one part, and fit.accumulate asks for several"
    if settings.devices > 1:
        return "captures no communication, and fit.devices asks for several processes"
    return None


def _fastest_by_precision(tried: list[Candidate]) -> list[Plan]:
    """The best layout of each precision, the fastest first."""
    ranked = sorted((c for c in tried if c.dropped is None), key=lambda c: c.step_ms or 0.0)
    return list({candidate.plan.precision: candidate.plan for candidate in reversed(ranked)}.values())[::-1]


def _reference(
    network: nn.Module, batch: Batch, make_step: Callable[[nn.Module, Plan], Step], plan: Plan
) -> tuple[Tensor, list[Tensor]]:
    """Loss and gradients as fp32 eager computes them."""
    own = _resting(copy.deepcopy(network))
    with _own_randomness():
        step = make_step(own, plan)
        return step.gradients(batch), _gradients(step)


def _try(
    network: nn.Module,
    batch: Batch,
    make_step: Callable[[nn.Module, Plan], Step],
    plan: Plan,
    reference: tuple[Tensor, list[Tensor]] | None,
    *,
    seconds: float,
    rival_ms: float | None = None,
) -> Candidate:
    """Compare and time one plan on a copy of the network, at learning rate 0.

    seconds: of timing, at least. rival_ms: step of a plan that this one has to beat, so as not to time the hopeless.
    """
    start = time.perf_counter()

    def result(step_ms: float | None, difference: float | None, dropped: str | None = None) -> Candidate:
        return Candidate(plan, step_ms, difference, round(time.perf_counter() - start, 3), dropped)

    own = laid_out(_resting(copy.deepcopy(network)), plan)
    try:
        with _own_randomness():
            step = make_step(own, plan)
            loss = step.gradients(batch)
            difference = 0.0 if reference is None else _difference((loss, _gradients(step)), reference)
            if not difference <= TOLERANCE[plan.precision]:
                return result(None, difference, f"differs from fp32 eager by {difference:.2g}, relative")
            took: list[float] = []
            begun = time.perf_counter()
            while len(took) < WARM_UPS + LEAST or time.perf_counter() - begun < seconds:
                before = time.perf_counter()
                step(batch, 0.0)
                _synchronise(plan)
                took.append(time.perf_counter() - before)
                if rival_ms is not None and 1000 * took[-1] > HOPELESS * rival_ms:
                    break
    except UserError:
        raise  # of the batch or the network, whatever the plan
    except Exception as error:
        return result(None, None, f"failed: {type(error).__name__}: {str(error).strip().splitlines()[0][:200]}")
    timed = sorted(took[WARM_UPS:] or took)
    return result(1000 * timed[len(timed) // 2], difference)


def laid_out(network: nn.Module, plan: Plan) -> nn.Module:
    """The network with the weights of its convolutions in the plan's layout, changed in place."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            last = torch.channels_last if isinstance(module, nn.Conv2d) else torch.channels_last_3d
            module.to(memory_format=last if plan.layout == "channels_last" else torch.contiguous_format)
    return network


def _resting(network: nn.Module) -> nn.Module:
    """The network without dropout, changed in place: another layout would draw other masks, and seem to differ."""
    for module in network.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)):
            module.p = 0.0
    return network


def _gradients(step: Step) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.detach().clone() for p in step.parameters]


def _difference(found: tuple[Tensor, list[Tensor]], reference: tuple[Tensor, list[Tensor]]) -> float:
    """The larger of the relative differences of loss and gradient."""
    (loss, gradients), (true_loss, true) = found, reference
    apart = torch.stack([(a.float() - b).norm() for a, b in zip(gradients, true, strict=True)]).norm()
    size = torch.stack([b.norm() for b in true]).norm()
    least = torch.finfo(torch.float32).tiny  # all zero: equal, or infinitely far apart
    of_loss = (loss - true_loss).abs() / true_loss.abs().clamp_min(least)
    return float(torch.maximum(of_loss, apart / size.clamp_min(least)))


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Equal draws for every candidate, none of which the training notices."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def _synchronise(plan: Plan) -> None:
    if plan.device == "cuda":
        torch.cuda.synchronize()
