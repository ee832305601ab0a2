"""The bundle of a failure run, the proof that it answers as the trained model did, and the figures of the run."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lepton_solutions import bundle
from lepton_solutions.data.splits import TEST, TRAIN
from lepton_solutions.engines import ENGINE, latency_ms
from lepton_solutions.files import write_json, write_text
from lepton_solutions.metrics import Interval
from lepton_solutions.pipeline import about
from lepton_solutions.progress import Progress
from manufacturing.failure.baselines import LABELS
from manufacturing.failure.card import failure_card
from manufacturing.failure.decisions import Decision
from manufacturing.failure.evaluation import Evaluation
from manufacturing.failure.exported import Exported, graph, load, step_graph
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.inputs import Scaling, Steps
from manufacturing.failure.parity import check_parity
from manufacturing.failure.predictor import PIPELINE, STEP, MachinePredictor
from manufacturing.failure.prepare import Card, read_card, read_fleet
from manufacturing.failure.records import Inputs, Regimes, Seen
from manufacturing.failure.settings import Failure
from manufacturing.failure.train import BASELINES, MEMBERS, NETWORK, OURS, TREES, baseline_names, read_learned

PRIMARY = {"rul": "rmse", "failure": "average_precision", "diagnosis": "f1", "health": "alarm_rate"}


def export(settings: Failure, run: Path, out: Path, progress: Progress) -> None:
    """The bundle, the proof that it answers as the trained model did, and `metrics.json` of the whole run.

    Raises UserError, and releases nothing, when a decision flips or an answer differs by more than the tolerance.
    """
    fleet, card, learned = read_fleet(run), read_card(run), read_learned(run)
    evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    steps, exported = load(run)
    folder = out / "bundle"
    inputs = inputs_of(card, learned, steps, fleet.of_part(TRAIN))
    write_model(folder, steps, exported, inputs, decision_of(learned))
    progress.update(0.6, "network as ONNX")
    write_json(folder / "metrics.json", evaluation["test"][OURS])
    write_text(folder / "card.md", failure_card(card, evaluation, learned))
    bundle.seal(folder, pipeline=PIPELINE)
    predictor = MachinePredictor.open(folder, threads=1)
    parity = check_parity(steps, exported, predictor, fleet.of_part(TEST))
    progress.update(0.9, f"largest difference {parity['largest_difference']:.1e}")
    ours = {"size_bytes": bundle.size_bytes(folder) + (folder / STEP).stat().st_size, "engine": ENGINE}
    ours["latency_ms"] = latency_ms(partial(one_row, predictor))
    write_json(out / "metrics.json", _summary(settings, run, learned, evaluation, ours) | {"parity": parity})


def inputs_of(card: Card, learned: dict[str, Any], steps: Steps, train: Fleet) -> Inputs:
    """What serving has to know of the columns, the clock and the ranges of the train part."""
    scaling, layout = steps.scaling, card.read_layout()
    read = set(scaling.kept) | (set(scaling.settings) if len(scaling.centres) > 1 else set())
    with np.errstate(all="ignore"):
        usual = np.nanmedian(np.where(np.isnan(train.values).all(0), 0, train.values), axis=0)
    seen = [
        Seen(scaling.low[place], scaling.high[place], float(usual[place])) if place in read else None
        for place in range(len(scaling.sensors))
    ]
    return Inputs(
        question=card.question,
        layout=layout,
        seen=tuple(seen),
        regimes=regimes_of(scaling, train),
        window=learned["network"]["window"],
        sources=sources_of(scaling),
        first=tuple(steps.first(1)[0].tolist()),
        grid=card.grid,
        clock=card.clock,
    )


def sources_of(scaling: Scaling) -> tuple[int, ...]:
    """The sensor that each feature comes from, -1 for the age, which stands last."""
    return (*scaling.kept * ((scaling.features - 1) // max(1, len(scaling.kept))), -1)


def regimes_of(scaling: Scaling, train: Fleet) -> Regimes | None:
    """How far from a regime a row of the train part was at most; None where there is one regime only."""
    if len(scaling.centres) == 1:
        return None
    found = Regimes(scaling.settings, scaling.centres, scaling.spread, 0.0)
    return Regimes(scaling.settings, scaling.centres, scaling.spread, float(np.nanmax(found.distance(train.values))))


def decision_of(learned: dict[str, Any]) -> Decision:
    """What is done about an answer of ours."""
    return Decision.from_json(learned["decisions"][OURS])


def write_model(folder: Path, steps: Steps, exported: Exported, inputs: Inputs, decision: Decision) -> None:
    """What every failure bundle holds, unsealed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STEP).write_bytes(step_graph(steps, len(inputs.sensors)))
    (folder / "model.onnx").write_bytes(graph(exported, inputs.window, inputs.features))
    write_json(folder / "inputs.json", inputs.to_json())
    write_json(folder / "decision.json", decision.to_json())


def one_row(predictor: MachinePredictor) -> None:
    """What a row of one unit costs: its step, and the network on its window."""
    inputs = predictor.inputs
    predictor.step(np.zeros((1, len(inputs.sensors)), np.float32), inputs.first_state()[None])
    predictor.outputs(np.zeros((1, inputs.window, inputs.features), np.float32))


def _summary(
    settings: Failure, run: Path, learned: dict[str, Any], evaluation: dict[str, Any], ours: dict[str, Any]
) -> dict[str, object]:
    """`metrics.json`, but for parity."""
    test, baseline, members = evaluation["test"], learned["baseline"], len(learned["members"])
    name = learned["network"]["name"]
    networks = name if members == 1 else f"{members} x {name}"
    judged = "rmse" if learned["question"] == "rul" else "loss"

    def variant(key: str, label: str, weight: dict[str, Any]) -> dict[str, object]:
        return {
            "label": label,
            "test": test.get(key, {}),
            "validation": {judged: learned["validation"].get(key)},
            **weight,
        }

    def sized(key: str, label: str, folder: Path) -> dict[str, object]:
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return variant(key, label, {"size_bytes": size})

    rivals = {key: sized(key, LABELS[key], run / BASELINES / key) for key in baseline_names(run)}
    return {
        **about(run),
        "primary": PRIMARY[evaluation["question"]],
        "chosen": OURS,
        "seed": settings.seed,
        "headline": headline(Evaluation.model_validate(evaluation), learned),
        "variants": {
            **({"baseline": rivals[baseline]} if baseline in rivals else {}),
            OURS: variant(OURS, f"{networks} + {LABELS[TREES]}" if learned["trees"] else networks, ours),
            **({NETWORK: sized(NETWORK, networks, run / MEMBERS)} if learned["trees"] else {}),
            **rivals,
        },
        "decision": learned["decisions"][OURS],
        "plan": learned.get("plan"),
        "audit": {"failed": False, "findings": json.loads((run / "audit.json").read_text(encoding="utf-8"))},
    }


def headline(found: Evaluation, learned: dict[str, Any]) -> list[dict[str, str]]:
    """The three figures that matter."""
    metric, ours = PRIMARY[found.question], found.test[OURS]
    figures = []
    if metric in ours:
        rival = found.test.get(found.baseline, {}).get(metric)
        than = (
            "" if rival is None else f"; best baseline, {LABELS.get(found.baseline, found.baseline)}: {rival.value:.3g}"
        )
        figures.append({"name": f"test {metric.replace('_', ' ')}", "text": _ranged(ours[metric]) + than})
    if found.coverage is not None:
        asked = f"outlast the lower bound, {found.coverage.asked:.0%} asked"
        figures.append({"name": "coverage", "text": f"{_ranged(found.coverage.measured)} of machines {asked}"})
    elif found.alarms is not None:
        missed = f"{found.alarms.missed} of {found.alarms.failures} failures without an alarm"
        rate = found.alarms.false_per_month
        false = "" if rate is None else f"{rate:.3g} false a machine-month, "
        figures.append({"name": "alarms", "text": f"{false}{missed}"})
    policy, other = found.policy("this model"), found.cheapest_without_model()
    if policy is not None and other is not None:
        text = f"{policy.rate.value:.3g} per unit of time; {other.policy}: {other.rate.value:.3g}"
        figures.append({"name": "cost", "text": text})
    return figures


def _ranged(found: Interval) -> str:
    return f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g})"
