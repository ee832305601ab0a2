"""Plans: all compute the same, the choice is written before use, and what fails is dropped with its reason."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fit_settings import fit_settings
from torch import Tensor, nn

from lepton_solutions import tasks
from lepton_solutions.data.batches import Resident
from lepton_solutions.errors import UserError
from lepton_solutions.training import plan as plans
from lepton_solutions.training.loop import Outcome, fit

X = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = (X.mean((1, 2, 3)) > 0).long()


def network(seed: int = 0, dropout: float = 0.2) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(288, 2),
        )


def train(own: nn.Module, *, x: Tensor = X, folder: Path | None = None, **asked) -> Outcome:
    settings = fit_settings(epochs=3, learning_rate=0.01, **asked)
    generator = torch.Generator().manual_seed(0)
    return fit(own, tasks.multiclass(2), Resident((x,), Y), settings, seed=0, generator=generator, folder=folder)


def weights(own: nn.Module) -> np.ndarray:
    return torch.cat([p.detach().flatten() for p in own.parameters()]).numpy()


def gradient(plan: plans.Plan, dropout: float) -> tuple[float, np.ndarray]:
    """Loss and gradient of the first step under a plan."""
    from lepton_solutions.training.optimise import default_undecayed, optimiser_for
    from lepton_solutions.training.step import Step

    # Masks are drawn in the order of memory, which another layout changes.
    own, settings = plans.laid_out(network(dropout=dropout), plan), fit_settings()
    optimiser = optimiser_for(own, settings, undecayed=default_undecayed(own))
    step = Step(own, tasks.multiclass(2), optimiser, settings, plan)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        loss = step.gradients(Resident((X,), Y).sample(16))
    return loss.item(), torch.cat([p.grad.flatten() for p in own.parameters()]).numpy()


@pytest.mark.parametrize(
    ("plan", "tolerance"),
    [
        (plans.Plan("cpu", layout="channels_last"), 1e-5),  # the order of sums
        (plans.Plan("cpu", execution="compile"), 1e-5),
        (plans.Plan("cpu", precision="bf16"), 0.03),  # 8 bits of mantissa: .4 % a product
        (plans.Plan("cpu", precision="bf16", layout="channels_last"), 0.03),
    ],
    ids=str,
)
def test_every_plan_computes_what_fp32_eager_computes(plan: plans.Plan, tolerance: float):
    dropout = 0.0 if plan.layout == "channels_last" else 0.2
    loss, vector = gradient(plan, dropout)
    true_loss, true = gradient(plans.Plan("cpu"), dropout)
    assert loss == pytest.approx(true_loss, rel=tolerance)
    assert np.linalg.norm(vector - true) <= tolerance * np.linalg.norm(true)


def test_a_compiled_training_ends_near_the_eager_one():
    eager, compiled = network(), network()
    train(eager), train(compiled, plan="compile")
    np.testing.assert_allclose(weights(compiled), weights(eager), atol=1e-4)  # 12 steps of Adam carry 1e-7 this far


def test_auto_writes_its_candidates_and_choice_and_leaves_no_trace_in_the_weights(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(plans, "AT_MOST_SHARE", 0.0)  # no time: nothing but eager can be chosen
    monkeypatch.setattr(plans, "SHARE", 0.0)
    eager, chosen = network(), network()
    train(eager)
    outcome = train(chosen, plan="auto", folder=tmp_path)
    record = json.loads((tmp_path / "plan.json").read_text())
    assert outcome.plan == plans.Plan(**record["chosen"]) == plans.Plan("cpu")
    assert (weights(eager) == weights(chosen)).all()
    assert record["candidates"][0]["step_ms"] > 0
    assert all("not tried" in candidate["dropped"] for candidate in record["candidates"][1:])


def test_auto_keeps_the_fastest_that_agrees(tmp_path: Path, monkeypatch):
    """The times are made up; nothing else is."""
    monkeypatch.setattr(plans, "COMPILING", 1e9)
    took = {plans.Plan("cpu"): 5.0, plans.Plan("cpu", "bf16"): 3.0, plans.Plan("cpu", layout="channels_last"): 2.0,
            plans.Plan("cpu", "bf16", "channels_last"): 1.0}  # fmt: skip
    true = plans._try

    def timed(*words, **more):
        found = true(*words, **more)
        wrong = found.plan == plans.Plan("cpu", "bf16", "channels_last")
        return plans.Candidate(found.plan, took[found.plan], found.difference, 0.1, "differs" if wrong else None)

    monkeypatch.setattr(plans, "_try", timed)
    monkeypatch.setattr(plans, "AT_MOST_SHARE", 1e9)
    assert train(network(), plan="auto", folder=tmp_path).plan == plans.Plan("cpu", layout="channels_last")


def test_a_candidate_that_computes_something_else_is_dropped(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(plans.TOLERANCE, "bf16", 1e-9)
    monkeypatch.setattr(plans, "COMPILING", 1e9)
    monkeypatch.setattr(plans, "AT_MOST_SHARE", 1e9)
    assert train(network(), plan="auto", folder=tmp_path).plan.precision == "fp32"
    dropped = [c["dropped"] for c in json.loads((tmp_path / "plan.json").read_text())["candidates"]]
    assert len([reason for reason in dropped if reason and "differs from fp32 eager by" in reason]) == 2


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv(
        "TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache")
    )  # else what an earlier test compiled would serve
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}):
        yield


def test_without_a_compiler_auto_goes_on_and_says_why(tmp_path: Path, monkeypatch, no_compiler):
    monkeypatch.setattr(plans, "COMPILING", 0.0)
    monkeypatch.setattr(plans, "COMPILING_A_LAYER", 0.0)
    monkeypatch.setattr(plans, "AT_MOST_SHARE", 1e9)
    assert not train(network(), plan="auto", folder=tmp_path).plan.compiled
    reasons = [c["dropped"] or "" for c in json.loads((tmp_path / "plan.json").read_text())["candidates"]]
    assert any("compiler" in reason for reason in reasons)


def test_without_a_compiler_a_fixed_plan_is_refused(no_compiler):
    with pytest.raises(UserError, match=re.escape("fit.plan=compile: failed")):
        train(nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.Tanh()), plan="compile")


def test_a_resumed_run_keeps_the_plan_it_began_with_and_another_training_does_not(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(plans, "AT_MOST_SHARE", 0.0)
    monkeypatch.setattr(plans, "SHARE", 0.0)
    train(network(), plan="auto", folder=tmp_path)
    record = json.loads((tmp_path / "plan.json").read_text())
    record["chosen"] |= {"precision": "bf16", "layout": "channels_last"}
    (tmp_path / "plan.json").write_text(json.dumps(record))
    assert train(network(), plan="auto", folder=tmp_path).plan == plans.Plan("cpu", "bf16", "channels_last")
    assert train(network(), plan="auto", folder=tmp_path, batch_size=32).plan == plans.Plan("cpu")


def test_the_network_comes_back_in_its_own_layout(monkeypatch):
    own, seen = network(), []
    plan = plans.Plan("cpu", layout="channels_last")
    monkeypatch.setattr("lepton_solutions.training.loop.choose", lambda *words, **more: plan)
    own[0].register_forward_hook(lambda module, inputs, output: seen.append(module.weight.stride()))
    assert train(own).plan == plan
    assert own[0].weight.stride() == network()[0].weight.stride() != seen[0]


def test_a_precision_that_is_asked_for_and_does_not_agree_is_refused(monkeypatch):
    monkeypatch.setitem(plans.TOLERANCE, "bf16", 1e-9)
    with pytest.raises(UserError, match=re.escape("fit.plan=auto: eager, bf16, on cpu: differs from fp32 eager by")):
        train(network(), plan="auto", precision="bf16")
