"""The credit bundle, the proof that it decides as the trained model did, and the figures of the run."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from finance.credit.card import credit_card
from finance.credit.members import LABELS, OURS, Model, load_models
from finance.credit.settings import Credit
from lepton_solutions import bundle
from lepton_solutions.data.decision import Decision
from lepton_solutions.data.prepare import Prepared
from lepton_solutions.data.splits import TEST
from lepton_solutions.deploy.parity import TOLERANCE, check_parity, refuse_a_difference
from lepton_solutions.deploy.predictor import Predictor
from lepton_solutions.engines import ENGINE, Engine, latency_ms
from lepton_solutions.files import write_json, write_text
from lepton_solutions.pipeline import about
from lepton_solutions.progress import Progress

PIPELINE = "finance/credit"


def export(settings: Credit, run: Path, out: Path, progress: Progress) -> None:
    """The bundle, the proof that it decides as the trained model did, and `metrics.json` of the whole run.

    Raises UserError, and releases nothing, when a decision flips or a probability differs by more than the tolerance.
    """
    prepared, models = Prepared.read(run), load_models(run)
    evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    decision = Decision.from_json(json.loads((run / "learned.json").read_text(encoding="utf-8"))["decisions"][OURS])
    graphs = {name: model.graph().SerializeToString() for name, model in models.items()}
    one = prepared.sample(TEST).rows.take(slice(0, 1))
    engines = {name: Engine(graph, threads=1) for name, graph in graphs.items()}
    latency = {name: latency_ms(partial(engine.logit, one.numeric, one.codes)) for name, engine in engines.items()}
    progress.update(0.4, "bundle")

    summary = _summary(settings, run, evaluation, latency)
    folder = out / "bundle"
    classes = [prepared.facts["negative"], prepared.facts["positive"]]
    labels = [int(text) if text in ("0", "1") else text for text in classes]
    write_model(folder, models[OURS], graphs[OURS], inputs=prepared.inputs(), decision=decision, labels=labels)
    write_json(folder / "metrics.json", evaluation["test"][OURS])
    write_text(folder / "card.md", credit_card(prepared.facts, evaluation, chosen=OURS))
    bundle.seal(folder, pipeline=PIPELINE)

    progress.update(0.6, "parity")
    engine = Predictor.open(folder).engine
    parity = check_parity(prepared.raw(TEST), prepared.columns, decision, models[OURS].logit, engine)
    refuse_a_difference(parity, tolerance=TOLERANCE)
    rest = bundle.size_bytes(folder) - len(graphs[OURS])
    sizes = {name: len(graph) + rest for name, graph in graphs.items()} | {
        "baseline": len(graphs[evaluation["baseline"]]) + rest
    }
    for name, variant in summary["variants"].items():
        variant["size_bytes"] = sizes[name]
    write_json(out / "metrics.json", summary | {"parity": parity})


def write_model(
    folder: Path, model: Model, graph: bytes, *, inputs: dict[str, Any], decision: Decision, labels: list[Any]
) -> None:
    """What every credit bundle holds, unsealed. graph: the model as ONNX. labels: both classes, negative first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    write_json(folder / "inputs.json", inputs)
    write_json(folder / "decision.json", decision.to_json())
    write_json(folder / "labels.json", labels)
    model.save(folder / "weights")


def _summary(
    settings: Credit, run: Path, evaluation: dict[str, Any], latency: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """`metrics.json`, but for what is known only when the bundle is made: sizes and parity."""
    baseline, test = evaluation["baseline"], evaluation["test"]

    def variant(name: str, label: str) -> dict[str, Any]:
        measured = {"test": test[name], "validation": evaluation["validation"][name]}
        return {"label": label, **measured, "latency_ms": latency[name], "engine": ENGINE}

    members = evaluation["combine"]
    combined = " + ".join(LABELS[name] for name in members)
    ours, cost = test[OURS]["auc"], {policy["policy"]: policy for policy in evaluation["policies"]}
    return {
        **about(run),
        "primary": "auc",
        "chosen": OURS,
        "seed": settings.seed,
        "headline": [
            {
                "name": "test AUC",
                "text": f"{_ranged(ours)}; best baseline, {LABELS[baseline]}: {test[baseline]['auc']['value']:.3f}",
            },
            {
                "name": "cost per applicant",
                "text": f"{_ranged(cost['this model']['cost'])}; "
                + ", ".join(f"{rule}: {cost[rule]['cost']['value']:.3f}" for rule in ("approve all", "refuse all")),
            },
            {
                "name": "approved",
                "text": f"{cost['this model']['approval_rate']['value']:.1%} of applicants"
                + (f", {bad['value']:.1%} of them default" if (bad := cost["this model"]["bad_rate"]) else ""),
            },
        ],
        "variants": {
            "baseline": variant(baseline, LABELS[baseline]),
            OURS: variant(OURS, combined if len(members) == 1 else f"Combination: {combined}"),
            **{name: variant(name, label) for name, label in LABELS.items()},
        },
        "decision": evaluation["decision"],
        "plan": json.loads((run / "learned.json").read_text(encoding="utf-8"))["plan"],
        "audit": {"failed": False, "findings": json.loads((run / "audit.json").read_text(encoding="utf-8"))},
    }


def _ranged(found: dict[str, float]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
