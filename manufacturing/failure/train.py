"""What the failure pipeline learns: scaling, networks, the simple models beside them, the decision. No test rows.

train(settings, run, out, progress)         # the stage
answers(run, fleet, ends)                   # what each variant says at these rows
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from lepton_solutions.data.splits import TRAIN, VALIDATION
from lepton_solutions.files import write_json
from lepton_solutions.progress import Progress
from lepton_solutions.training.plan import PLAN
from manufacturing.failure.baselines import Baseline, Seen, Trees, fit_baselines, load_baseline, loss_of, seen
from manufacturing.failure.deciding import fit_decisions, lives_to_decide_on
from manufacturing.failure.exported import Exported, combined
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.inputs import Scaling, Steps, fit_scaling
from manufacturing.failure.learning import View, answered, form_of, learn, member_seed, view_of
from manufacturing.failure.networks import Form, new_network
from manufacturing.failure.prepare import read_fleet, window_of
from manufacturing.failure.settings import Failure
from manufacturing.failure.targets import goal_of, outcome_of

OURS, NETWORK, TREES = "trained", "network", "lightgbm"  # the combination, and of what
LEARNED, MEMBERS, BASELINES = "learned.json", "members", "baselines"
LEARNING = 0.9  # share of the stage that goes into the networks
HORIZON, CAP = 0.1, 0.6  # of the median life of train machines that failed, where the config leaves them open


def train(settings: Failure, run: Path, out: Path, progress: Progress) -> None:
    """Networks and baselines on the train part; the decision on calibration machines."""
    fleet = read_fleet(run)
    settings = suited(settings, fleet)
    question, fitted = fleet.question, fleet.of_part(TRAIN)
    if question == "health":
        from manufacturing.failure.health import train_health

        train_health(settings, fleet, run, out, progress)
        return
    scaling = fit_scaling(fitted, settings.inputs)
    horizon, cap = horizon_of(settings, fitted), cap_of(settings, fitted)
    goal = goal_of(question, fitted, cap=cap, horizon=horizon)
    form = form_of(settings, scaling, goal.outputs, vibration=fleet.vibration)
    view = {code: view_of(fleet.of_part(code), scaling, form.window) for code in (TRAIN, VALIDATION)}
    (out / MEMBERS).mkdir()
    members, told = [], []
    for number in range(settings.model.members):
        share = LEARNING / settings.model.members
        name = f"network {number + 1}/{settings.model.members}, " if settings.model.members > 1 else ""

        def watch(done: float, text: str, at: float = number * share, share: float = share, name: str = name) -> None:
            progress.update(at + share * done, name + text)

        seed = member_seed(settings.seed, number)
        network, outcome = learn(
            form, view[TRAIN], goal, settings, seed=seed, cap=cap, horizon=horizon, validation=view[VALIDATION],
            folder=run / "training" / str(number), watch=watch,
        )  # fmt: skip
        save_file(network.state_dict(), out / MEMBERS / f"{number}.safetensors")
        members.append(network)
        told.append({"seed": seed, **outcome.facts()})
    progress.update(LEARNING, "baselines")
    rows = {code: outcome_of(question, one.fleet, cap=cap, horizon=horizon) for code, one in view.items()}
    looked = {code: (_seen(one, rows[code][0], scaling), rows[code][1]) for code, one in view.items()}
    baselines = fit_baselines(
        question, fitted, looked[TRAIN], looked[VALIDATION], cap=cap or 1.0, sensors=form.channels, seed=settings.seed
    )
    for name, baseline in baselines.items():
        baseline.save(out / BASELINES / name)
    trees = settings.model.trees and not fleet.vibration
    exported = Exported(members, question, cap).eval()
    said = _said(exported, view[VALIDATION], rows[VALIDATION][0], looked[VALIDATION][0], baselines, trees=trees)
    validation = {name: loss_of(question, answer, rows[VALIDATION][1]) for name, answer in said.items()}
    best = min(baselines, key=lambda name: validation[name])
    facts = {
        "question": question,
        "horizon": horizon,
        "cap": cap,
        "scaling": scaling.to_json(),
        "network": form.to_json(),
        "fit": {name: getattr(settings.fit, name) for name in ("epochs", "batch_size", "optimiser", "learning_rate")},
        "parameters": sum(p.numel() for p in members[0].parameters()),
        "members": told,
        "trees": trees,
        "validation": validation,
        "baseline": best,
        "plan": json.loads((run / "training" / "0" / PLAN).read_text(encoding="utf-8")),
    }
    write_json(out / LEARNED, facts)
    asked = lives_to_decide_on(fleet)
    said = answers_where_asked(out, asked)
    decisions = fit_decisions(settings, question, asked, said, cap=cap, horizon=horizon)
    write_json(out / LEARNED, facts | {"decisions": {name: one.to_json() for name, one in decisions.items()}})
    word = "rmse" if question == "rul" else "loss"
    progress.update(1.0, f"validation {word} {validation[OURS]:.3f}, best baseline {best} {validation[best]:.3f}")


def suited(settings: Failure, fleet: Fleet) -> Failure:
    """With the window and the network that a fleet of this kind wants, where the config leaves them open."""
    inputs, model = settings.inputs, settings.model
    window = window_of(settings, fleet)
    name = ("mlp" if window == 1 else "conv_gru") if model.name == "auto" else model.name
    return settings.model_copy(
        update={
            "inputs": inputs.model_copy(update={"window": window}),
            "model": model.model_copy(update={"name": name}),
        }
    )


def horizon_of(settings: Failure, fitted: Fleet) -> float | None:
    """How far ahead is looked, in units of the clock; None where no life ends, or a row is all there is."""
    if settings.decision.horizon is not None:
        return settings.decision.horizon
    lives = _lengths(fitted)
    return float(HORIZON * np.median(lives)) if len(lives) else None


def cap_of(settings: Failure, fitted: Fleet) -> float | None:
    """Up to which remaining life is told apart: early wear shows nothing. None where remaining life is not asked."""
    if fitted.question != "rul":
        return None
    return settings.model.cap or fitted.cap or float(CAP * np.median(_lengths(fitted)))


def answers(run: Path, fleet: Fleet, ends: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """What every variant says at these rows of a fleet, in units of the clock or as probabilities [n, k].

    run: a folder with what `train` wrote.
    """
    learned = read_learned(run)
    scaling = Scaling.from_json(learned["scaling"])
    view = view_of(fleet, scaling, learned["network"]["window"])
    if learned["question"] == "health":
        from manufacturing.failure import health

        return {name: health.answered(model, view.windows, ends) for name, model in health.load_health(run).items()}
    exported = Exported(load_members(run), learned["question"], learned["cap"]).eval()
    baselines = {name: load_baseline(run / BASELINES / name) for name in baseline_names(run)}
    return _said(exported, view, ends, _seen(view, ends, scaling), baselines, trees=learned["trees"])


def answers_where_asked(run: Path, fleet: Fleet) -> dict[str, NDArray[np.float64]]:
    """As `answers` at every row; NaN at samples of a vibration whose label nobody knows."""
    if not fleet.vibration or fleet.label is None:
        return answers(run, fleet, np.arange(fleet.rows))
    known = np.flatnonzero(fleet.label >= 0)
    found = {}
    for name, answer in answers(run, fleet, known).items():
        found[name] = np.full((fleet.rows, answer.shape[1]), np.nan)
        found[name][known] = answer
    return found


def _said(
    exported: Exported,
    view: View,
    ends: NDArray[np.int64],
    looked: Seen,
    baselines: Mapping[str, Baseline],
    *,
    trees: bool,
) -> dict[str, NDArray[np.float64]]:
    """By variant: what ships, the networks alone where trees ship with them, and the baselines."""
    networks = answered(exported, view, ends)
    simple = {name: baseline.answer(looked) for name, baseline in baselines.items()}
    if not trees:
        return {OURS: networks, **simple}
    both = combined(exported.question, torch.from_numpy(networks), torch.from_numpy(simple[TREES])).numpy()
    return {OURS: both, NETWORK: networks, **simple}


def read_learned(run: Path) -> dict:
    return json.loads((run / LEARNED).read_text(encoding="utf-8"))


def load_steps(run: Path) -> Steps:
    """The layer from raw rows to features."""
    return Steps(Scaling.from_json(read_learned(run)["scaling"])).eval()


def load_members(run: Path) -> list[nn.Module]:
    """The trained networks."""
    if read_learned(run)["question"] == "health":
        from manufacturing.failure.health import load_health

        return [load_health(run)["trained"]]
    form = Form.from_json(read_learned(run)["network"])
    found = []
    for file in sorted((run / MEMBERS).glob("*.safetensors"), key=lambda file: int(file.stem)):
        network = new_network(form, 0)
        network.load_state_dict(load_file(file))
        found.append(network.eval())
    return found


def load_trees(run: Path) -> Trees | None:
    """Those that ship with the networks."""
    if not read_learned(run)["trees"]:
        return None
    trees = load_baseline(run / BASELINES / TREES)
    assert isinstance(trees, Trees)
    return trees


def baseline_names(run: Path) -> list[str]:
    """In the order of a report."""
    known = ("average_life", "linear", "lightgbm")
    return [name for name in known if (run / BASELINES / name).is_dir()]


def _seen(view: View, ends: NDArray[np.int64], scaling: Scaling) -> Seen:
    return seen(view.features, view.first, view.fleet, ends, window=view.window, sensors=len(scaling.kept))


def _lengths(fitted: Fleet) -> NDArray[np.float64]:
    lives = fitted.failed_at - fitted.time[fitted.starts[:-1]]
    return lives[np.isfinite(lives) & (lives > 0)]
