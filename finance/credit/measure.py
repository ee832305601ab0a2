"""What the credit pipeline measures on the test part: metrics, curves, the cost of the decisions, outcomes by group."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from finance.credit.members import OURS, load_models
from finance.credit.settings import Credit
from lepton_solutions import curves, metrics
from lepton_solutions.data.bands import bands
from lepton_solutions.data.decision import Decision
from lepton_solutions.data.prepare import Prepared
from lepton_solutions.data.splits import TEST, TRAIN
from lepton_solutions.files import write_json
from lepton_solutions.progress import Progress


def evaluate(settings: Credit, run: Path, out: Path, progress: Progress) -> None:
    """Every model's metrics on the test part with intervals, the curves, the cost of the decisions.

    Nothing is chosen after it; `export` reads test rows once more, to compare the exported model with the trained one.
    """
    prepared, learned = Prepared.read(run), json.loads((run / "learned.json").read_text(encoding="utf-8"))
    test, models = prepared.sample(TEST), load_models(run)
    decisions = {name: Decision.from_json(saved) for name, saved in learned["decisions"].items()}
    probabilities = {name: decisions[name].probability(model.logit(test.rows)) for name, model in models.items()}

    def draws() -> np.random.Generator:  # the same resamples for every figure
        return np.random.default_rng([settings.seed, 1])

    y, w = test.target, test.weight
    tested = {
        name: {key: found.to_json() for key, found in metrics.binary_metrics(y, p, w, generator=draws()).items()}
        for name, p in probabilities.items()
    }
    progress.update(0.7, f"test auc {tested[OURS]['auc']['value']:.3f}")
    costs: dict[str, Any] = {
        "cost_of_missed_positive": settings.decision.cost_of_default,
        "cost_of_false_alarm": settings.decision.cost_of_refusal,
    }
    chosen, ours = decisions[OURS], probabilities[OURS]
    before, trained = prepared.sample(TRAIN), models[OURS]
    refused = {
        "this model": ours >= chosen.threshold,
        "logistic": probabilities["logistic"] >= decisions["logistic"].threshold,
        "approve all": np.zeros(len(y), dtype=bool),
        "refuse all": np.ones(len(y), dtype=bool),
    }
    policies = [_policy(label, y, flags, w, generator=draws(), **costs) for label, flags in refused.items()]
    rule = min(policies[2:], key=lambda policy: policy["cost"]["value"])["policy"]

    def saved_over(other: str) -> dict[str, float]:
        """Per applicant, on the same resamples; above 0 the model costs less."""
        found = metrics.cost_difference(y, refused[other], refused["this model"], w, generator=draws(), **costs)
        return found.to_json()

    evaluation = {
        "names": dict(zip(("positive", "negative"), prepared.facts["names"], strict=True)) | {"unit": "applicant"},
        "parts": prepared.facts["parts"],
        "test": tested,
        "validation": learned["validation"],
        "baseline": learned["baseline"],
        "combine": learned["combine"],
        "curves": {
            name: {
                "roc": curves.roc_points(y, p, w),
                "reliability": curves.reliability_bins(y, p, w),
                "scores": curves.score_histogram(y, p, w),
            }
            for name, p in probabilities.items()
        },
        "cost": curves.cost_curve(y, {name: probabilities[name] for name in (OURS, "logistic")}, w, **costs),
        "policies": policies,
        "saved_over_rule": saved_over(rule),
        "saved_over_logistic": saved_over("logistic"),
        "better_than_baseline": metrics.auc_difference(
            y, ours, probabilities[learned["baseline"]], w, generator=draws()
        ).to_json(),
        "groups": _outcomes_by_group(prepared, y, ours, ours < chosen.threshold, w, draws),
        "psi": metrics.psi(
            chosen.probability(trained.logit(before.rows)), ours, before.weight, w, generator=draws()
        ).to_json(),
        "decision": chosen.to_json()
        | {
            "rule": "cost" if settings.decision.approval_rate is None else "approval_rate",
            "cost_of_default": settings.decision.cost_of_default,
            "cost_of_refusal": settings.decision.cost_of_refusal,
            "review": {"low": chosen.review_low, "high": chosen.review_high} if settings.decision.review else None,
            "review_share": float(w @ ((ours >= chosen.review_low) & (ours < chosen.review_high)) / w.sum()),
            "labels": [chosen.below, chosen.at_or_above],
        },
    }
    write_json(out / "evaluation.json", evaluation)
    names = {"target": pa.array(y), "weight": pa.array(w), **{name: pa.array(p) for name, p in probabilities.items()}}
    pq.write_table(pa.table(names), out / "predictions.parquet")


def _policy(
    label: str, y: np.ndarray, refused: np.ndarray, w: np.ndarray, *, generator: np.random.Generator, **costs: Any
) -> dict[str, Any]:
    """What a way of deciding costs per applicant, how many it approves, and how many of those default."""
    approval, bad = metrics.share(~refused, w), metrics.share(y, w, among=~refused)
    return {
        "policy": label,
        "cost": metrics.expected_cost(y, refused, w, generator=generator, **costs).to_json(),
        "approval_rate": approval and approval.to_json(),
        "bad_rate": bad and bad.to_json(),
    }


def _outcomes_by_group(
    prepared: Prepared,
    y: np.ndarray,
    probability: np.ndarray,
    approved: np.ndarray,
    w: np.ndarray,
    draws: Callable[[], np.random.Generator],
) -> list[dict[str, object]]:
    """Approval, default rate and AUC per level of each protected column; numbers in four bands of equal size."""
    found = []
    raw = prepared.raw(TEST)
    for column in prepared.protected:
        for level, mask in bands(raw.column(column), name=str(column)):
            approval, observed = metrics.share(approved, w, among=mask), metrics.share(y, w, among=mask)
            if approval is None or observed is None:
                continue
            both = 0 < y[mask & (w > 0)].sum() < (mask & (w > 0)).sum()
            auc = (
                metrics.binary_metrics(y[mask], probability[mask], w[mask], generator=draws())["auc"] if both else None
            )
            found.append(
                {
                    "column": column,
                    "level": prepared.meanings.get(f"{column}={level}", level),
                    "rows": int(mask.sum()),
                    "approval_rate": approval.to_json(),
                    "observed_rate": observed.to_json(),
                    "auc": auc and auc.to_json(),
                }
            )
    return found
