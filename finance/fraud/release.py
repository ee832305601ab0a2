"""The fraud bundle, the proof that it answers as the trained model did, and the figures of the run."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from finance.fraud.evaluation import Evaluation
from finance.fraud.members import LABELS, OURS, Model
from finance.fraud.predictor import PIPELINE, USUAL, FraudPredictor
from finance.fraud.prepare import AUDIT, Prepared, read, read_definition
from finance.fraud.proof import prove
from finance.fraud.settings import Fraud
from finance.fraud.train import MODELS, load_models, read_learned, sample_of, usual_in
from lepton_solutions import bundle
from lepton_solutions.data.splits import TEST, TRAIN
from lepton_solutions.engines import ENGINE, Engine, latency_ms
from lepton_solutions.files import write_json, write_text
from lepton_solutions.metrics import Interval
from lepton_solutions.models.graphs import average
from lepton_solutions.pipeline import about
from lepton_solutions.progress import Progress


def export(settings: Fraud, run: Path, out: Path, progress: Progress) -> None:
    """The bundle, the proof that it answers as the trained model did, and `metrics.json` of the whole run.

    Raises UserError, and releases nothing, when a decision flips, a probability differs by more than the tolerance, or
    a history is counted otherwise online than it was in training.
    """
    from finance.fraud.card import fraud_card

    prepared, models, learned = read(run), load_models(run), read_learned(run)
    evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    single = {name: model.graph() for name, model in models.items() if name != OURS}
    progress.update(0.3, "models as ONNX")
    together = average([single[name] for name in learned["combine"]])
    graphs = {name: graph.SerializeToString() for name, graph in {**single, OURS: together}.items()}
    folder = out / "bundle"
    write_model(folder, run, prepared, models[OURS], graphs[OURS])
    write_json(folder / "metrics.json", evaluation["test"][OURS])
    write_text(folder / "card.md", fraud_card(prepared.card.model_dump(mode="json"), evaluation))
    bundle.seal(folder, pipeline=PIPELINE)

    progress.update(0.6, "parity")
    test = sample_of(run, prepared, TEST).rows
    proof = prove(FraudPredictor.open(folder), models[OURS], prepared, test)
    progress.update(0.9, f"largest difference {proof['largest_difference']:.1e}")
    rest = bundle.size_bytes(folder) + (folder / USUAL).stat().st_size - len(graphs[OURS])
    sizes = {name: len(graph) + rest for name, graph in graphs.items()}
    one = test.take(slice(0, 1))
    engines = {name: Engine(graph, threads=1) for name, graph in graphs.items()}
    speed = {name: latency_ms(partial(engine.logit, one.numeric, one.codes)) for name, engine in engines.items()}
    figures = {name: {"size_bytes": sizes[name], "latency_ms": speed[name], "engine": ENGINE} for name in graphs}
    for kind in settings.model.anomaly:  # these do not leave the lab alone
        figures[kind] = {"size_bytes": (run / MODELS / "mlp" / f"{kind}.safetensors").stat().st_size}
    write_json(out / "metrics.json", _summary(settings, run, learned, evaluation, figures) | {"parity": proof})


def bundle_of(run: Path, folder: Path) -> Prepared:
    """What a run has learned as a sealed bundle, without figures; what it was learned from comes back."""
    prepared, model = read(run), load_models(run)[OURS]
    write_model(folder, run, prepared, model, model.graph().SerializeToString())
    bundle.seal(folder, pipeline=PIPELINE)
    return prepared


def write_model(folder: Path, run: Path, prepared: Prepared, model: Model, graph: bytes) -> None:
    """What every fraud bundle holds, unsealed. graph: the model as ONNX."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    reads = {"layout": prepared.card.read_layout().to_json(), "definition": read_definition(run).to_json()}
    write_json(folder / "inputs.json", reads)
    write_json(folder / "decision.json", read_learned(run)["decisions"][OURS])
    usual_in(prepared, sample_of(run, prepared, TRAIN)).save(folder / USUAL)
    model.save(folder / "weights")


def _summary(
    settings: Fraud, run: Path, learned: dict[str, Any], evaluation: dict[str, Any], figures: dict[str, dict[str, Any]]
) -> dict[str, object]:
    """`metrics.json`, but for parity. figures: size and speed of a model, where it has any. `test` is the mean over the
    prequential periods, `latest` that of the last of them alone.
    """
    found = Evaluation.model_validate(evaluation)
    test, validation, baseline = found.over_periods, evaluation["validation"], learned["baseline"]
    combined = " + ".join(LABELS[name] for name in learned["combine"])

    def variant(name: str, label: str) -> dict[str, Any]:
        return {
            "label": label,
            "test": {metric: one.to_json() for metric, one in test[name].items()},
            "latest": evaluation["test"][name],
            "validation": validation.get(name, {}),
            **figures.get(name, {}),
        }

    return {
        **about(run),
        "primary": "average_precision",
        "chosen": OURS,
        "seed": settings.seed,
        "headline": _headline(settings, found),
        "variants": {
            "baseline": variant(baseline, LABELS[baseline]),
            OURS: variant(OURS, combined if len(learned["combine"]) == 1 else f"Combination: {combined}"),
            **{name: variant(name, LABELS[name]) for name in test if name in LABELS},
        },
        "decision": learned["decisions"][OURS],
        "plan": learned["plan"],
        "audit": {"failed": False, "findings": json.loads((run / AUDIT).read_text(encoding="utf-8"))},
    }


def _headline(settings: Fraud, found: Evaluation) -> list[dict[str, str]]:
    """The three figures that matter."""
    test, saved, periods = found.over_periods, found.money.saved, len(found.periods)
    ours, rival, budget = test[OURS], test[found.baseline]["average_precision"].value, settings.decision.budget
    over = f" over {periods} test periods" if periods > 1 else ""
    last = " in the last of them" if periods > 1 else ""
    return [
        {
            "name": "test average precision",
            "text": f"{_ranged(ours['average_precision'])}{over}; best baseline, {LABELS[found.baseline]}: {rival:.3f}",
        },
        {
            "name": "card precision",
            "text": f"{_ranged(ours['card_precision'])} of the {budget} cards investigated a day{over}",
        },
        {
            "name": "money saved",
            "text": f"{saved.value:,.0f} ({saved.low:,.0f} to {saved.high:,.0f}) a day after "
            f"{settings.decision.cost_of_case:g} a case{last}",
        },
    ]


def _ranged(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
