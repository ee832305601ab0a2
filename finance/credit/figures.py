"""The figures of a credit run, each with its finding as the title."""

from collections.abc import Mapping
from itertools import islice

from matplotlib.figure import Figure

from finance.credit.evaluation import Curves, Evaluation
from finance.credit.verdict import percent
from lepton_solutions.metrics import Interval
from lepton_solutions.reporting import plots
from lepton_solutions.reporting.page import estimate
from lepton_solutions.reporting.run import RunMetrics


def credit_figures(metrics: RunMetrics, found: Evaluation) -> dict[str, Figure]:
    """Those of `auc`, `brier`, `roc`, `reliability`, `scores` and `cost` for which the run has the numbers."""
    figures: dict[str, Figure] = {}
    models = metrics.models()
    for name, metric, better in (("auc", "AUC", "higher"), ("brier", "Brier score", "lower")):
        values = {metrics.label(model): variant.test[name] for model, variant in models.items() if name in variant.test}
        if len(values) > 1:
            figures[name] = plots.metric_figure(values, title=_ranking(metric, better, values), metric=metric)
    ours = found.curves.get(metrics.chosen)
    if ours is not None:
        figures["roc"] = _roc(metrics, found)
        figures["reliability"] = _reliability(metrics, found, ours)
        figures["scores"] = _scores(found, ours)
    if found.cost is not None and found.policy("this model") is not None:
        figures["cost"] = _cost(metrics, found)
    return figures


def _ranking(metric: str, better: str, values: Mapping[str, Interval]) -> str:
    """Says where the first model stands, and no more than single intervals allow."""
    ours, *others = values.values()
    ahead = [v for v in others if (v.value > ours.value if better == "higher" else v.value < ours.value)]
    place = "first" if not ahead else f"number {len(ahead) + 1}"
    return f"{metric} ({better} is better): the model is {place} of {len(values)}"


def _roc(metrics: RunMetrics, found: Evaluation) -> Figure:
    # More than four lines hide each other: the model that ships and the first three beside it.
    drawn = islice((name for name in metrics.models() if name in found.curves), 4)
    auc = metrics.variants[metrics.chosen].test.get("auc")
    return plots.roc_figure(
        {metrics.label(name): found.curves[name].roc for name in drawn},
        title=f"The model separates with an AUC of {estimate(auc)}" if auc else "How the models separate",
        found=found.names.positive,
        alarms=found.names.negative,
    )


def _reliability(metrics: RunMetrics, found: Evaluation, ours: Curves) -> Figure:
    error = metrics.variants[metrics.chosen].test.get("ece")
    part, scores = found.parts.get("test"), ours.scores
    shares: list[float] = []
    if part is not None:
        risk = part.positives / part.rows
        pairs = zip(scores["positive"], scores["negative"], strict=True)
        shares = [risk * bad + (1 - risk) * good for bad, good in pairs]
    return plots.reliability_figure(
        ours.reliability,
        title="Predicted and observed rates differ"
        + (f" by {100 * error.value:.1f} points on average" if error else ""),
        event=found.names.positive,
        edges=scores["edges"],
        shares=shares,
    )


def _scores(found: Evaluation, ours: Curves) -> Figure:
    policy, unit = found.policy("this model"), found.names.unit
    title = f"Scores of the {unit}s by outcome"
    if policy is not None and policy.approval_rate is not None:
        title = f"{percent(policy.approval_rate.value)} of {unit}s are approved"
        if policy.bad_rate is not None:
            title += f"; {percent(policy.bad_rate.value)} of those {found.names.positive}"
    return plots.score_figure(
        ours.scores, title=title, positive=found.names.positive, negative=found.names.negative, cutoff=_cutoff(found)
    )


def _cost(metrics: RunMetrics, found: Evaluation) -> Figure:
    policy = found.policy("this model")
    assert found.cost is not None and policy is not None
    cost = policy.cost.value
    best = min([cost, *found.cost["costs"].get(metrics.chosen, [])])
    return plots.cost_figure(
        {**found.cost, "costs": {metrics.label(name): costs for name, costs in found.cost["costs"].items()}},
        title=f"The cut-off costs {cost:.2f} per {found.names.unit}; with hindsight {best:.2f} was possible",
        unit=found.names.unit,
        cutoff=_cutoff(found),
        chosen_cost=cost,
        flag_none="approve everyone",
        flag_all="refuse everyone",
    )


def _cutoff(found: Evaluation) -> plots.Cutoff:
    decision = found.decision
    band = None if decision.review is None else (decision.review.low, decision.review.high)
    return plots.Cutoff(decision.threshold, f"refused from {percent(decision.threshold)}", band, "a person decides")
