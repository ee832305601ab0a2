"""The figures of a fraud run, each with its finding as the title."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from finance.fraud.evaluation import AMOUNT, BASELINE, HINDSIGHT, MODEL, Evaluation, Moved
from finance.fraud.members import OURS
from finance.fraud.verdict import RULES, SCENARIOS, amount, best_budget, saves
from lepton_solutions.metrics import Interval
from lepton_solutions.reporting import plots
from lepton_solutions.reporting.plots import COLOURS, GREY, INK, blank, draw_line, label_at, legend_below
from lepton_solutions.reporting.run import RunMetrics

MOVED = 4  # columns whose course is drawn
LARGE = 0.25  # PSI, the customary mark of a large shift


def fraud_figures(metrics: RunMetrics, found: Evaluation) -> dict[str, Figure]:
    """Those for which the run has the numbers."""
    models = found.without_twin(metrics.models())
    supervised = [name for name in models if name not in found.detectors]
    alone = [OURS, *(name for name in models if name in found.detectors)]
    over = found.over_periods
    figures = {
        "precision_recall": _precision_recall(metrics, found, supervised),
        "average_precision": plots.metric_figure(
            {metrics.label(name): over[name]["average_precision"] for name in models},
            title="Average precision of all models on the same test payments",
            metric="average precision",
        ),
        "days": _days(found),
        "card_precision": plots.metric_figure(
            {metrics.label(name): over[name]["card_precision"] for name in models},
            title=f"Share of frauds among the {found.budget:,} {found.unit}s looked at a day",
            metric=f"{found.unit} precision at {found.budget:,}",
        ),
        "money": _money(found),
        "policies": _policies(found),
        "score_drift": _drift([found.drift.score], found, _score_title(found)),
        "column_drift": _drift(found.drift.columns[:MOVED], found, _column_title(found)),
        "fraud_rate": _fraud_rate(found),
        "line": _line(found),
        "periods": _periods(found),
    }
    if found.scenarios:
        worst = min(found.scenarios, key=lambda one: one.found.value)
        figures["scenarios"] = _shares(
            {f"{SCENARIOS[one.scenario]}, {one.cards:,}": one.found for one in found.scenarios},
            title=f"Hardest to find: {SCENARIOS[worst.scenario]}, {100 * worst.found.value:.0f} % of {found.unit}s hit",
            axis=f"share of {found.unit}s found, with 95 % interval, %",
        )
    if found.detectors:
        figures["anomaly"] = _precision_recall(metrics, found, alone, anomaly=True)
    return figures


def _precision_recall(metrics: RunMetrics, found: Evaluation, names: Sequence[str], *, anomaly: bool = False) -> Figure:
    values = {name: found.test[name]["average_precision"].value for name in names}
    title = f"The model finds frauds with an average precision of {values[OURS]:.2f}"
    if anomaly:
        best = max(names[1:], key=lambda name: values[name])
        title = f"Without a label, {values[best]:.2f} average precision is reached; with labels {values[OURS]:.2f}"
    figure, axes = blank(title, height=4.2)
    for place, name in enumerate(names):
        points = found.precision_recall[name]
        draw_line(axes, place, metrics.label(name), points.recall, points.precision)
    test = found.parts["test"]
    axes.axhline(test.frauds / test.rows, color=GREY, linewidth=0.9, linestyle=":", label="chance")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_xlabel("frauds found, % (recall)")
    axes.set_ylabel("frauds among what is flagged, % (precision)")
    plots.per_cent(axes, "xy")
    legend_below(axes)
    return figure


def _days(found: Evaluation) -> Figure:
    hits, open_frauds = sum(day.hits for day in found.days), sum(day.open_frauds for day in found.days)
    figure, axes = blank(f"{hits:,} of {open_frauds:,} {found.unit}s with a fraud that day are found on it")
    place = np.arange(1, len(found.days) + 1)
    axes.bar(place, [day.open_frauds for day in found.days], 0.8, color="#D4DAE1", label="with a fraud, not closed yet")
    axes.bar(place, [day.hits for day in found.days], 0.8, color=COLOURS[0], label=f"found among {found.budget:,}")
    axes.set(xlabel="day of the test period", ylabel=f"{found.unit}s")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(axis="x", visible=False)
    legend_below(axes)
    return figure


def _money(found: Evaluation) -> Figure:
    curve, (best, saved) = found.money.curve, best_budget(found)
    title = f"Looking at {found.budget:,} {found.unit}s {saves(found.money.saved.value)} a day"
    if saved > 0 and best != found.budget:
        title += f"; with hindsight {best:,} would have saved {amount(saved)}"
    figure, axes = blank(title, height=4.4)
    axes.fill_between(
        curve.budgets, curve.low, curve.high, color=COLOURS[0], alpha=0.15, linewidth=0, label="95 % interval"
    )
    for place, name in enumerate((MODEL, BASELINE, AMOUNT, HINDSIGHT)):
        if name != BASELINE or not found.is_baseline:
            draw_line(axes, place, RULES[name], curve.budgets, curve.saved[name])
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axvline(found.budget, color=INK, linewidth=1.2, label="budget in use")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda k, _: f"{k:,.0f}")
    lowest = min(0.0, min(curve.low[place] for place, k in enumerate(curve.budgets) if k <= found.budget))
    top = max(*curve.saved[HINDSIGHT], *curve.high)
    # Large budgets lose as much as they cost, which would flatten all that matters.
    axes.set(xlim=(1, curve.budgets[-1]), ylim=(max(min(curve.low), lowest - 0.4 * top), 1.05 * top))
    axes.set_xlabel(f"{found.unit}s looked at a day")
    axes.set_ylabel("money saved a day")
    legend_below(axes)
    return figure


def _policies(found: Evaluation) -> Figure:
    title = f"This model {saves(found.money.saved.value)} a day, of {amount(found.money.lost)} lost to fraud"
    ordered = found.policies()
    figure, axes = blank(title, height=1.35 + 0.36 * len(ordered))
    for place, policy in enumerate(ordered):
        colour, fill = (COLOURS[0], COLOURS[0]) if policy.policy == MODEL else (GREY, "white")
        axes.plot([policy.saved.low, policy.saved.high], [place, place], color=colour, linewidth=1.6)
        axes.plot([policy.saved.value], [place], marker="o", markersize=6.5, color=colour, markerfacecolor=fill)
        label_at(axes, amount(policy.saved.value), (policy.saved.value, place), lift=5, side="center")
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(ordered)), [RULES[policy.policy].split(",")[0] for policy in ordered])
    axes.set_ylim(len(ordered) - 0.5, -0.7)
    axes.set_xlabel("money saved a day, with 95 % interval")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y", visible=False)
    return figure


def _shares(values: Mapping[str, Interval], *, title: str, axis: str) -> Figure:
    figure, axes = blank(title, height=1.35 + 0.42 * len(values))
    for place, one in enumerate(values.values()):
        axes.barh(place, one.value, 0.62, color=COLOURS[0], alpha=0.85)
        axes.plot([one.low, one.high], [place, place], color=INK, linewidth=1.4)
    axes.set_yticks(range(len(values)), list(values))
    axes.set(xlim=(0, 1), ylim=(len(values) - 0.4, -0.6))
    axes.set_xlabel(axis)
    plots.per_cent(axes, "x")
    axes.grid(axis="y", visible=False)
    return figure


def _score_title(found: Evaluation) -> str:
    psi = found.drift.score.psi
    word = "stable" if psi < 0.1 else "shifted" if psi > LARGE else "somewhat shifted"
    return f"The score is {word} on test days: PSI {psi:.2f} against the train period"


def _column_title(found: Evaluation) -> str:
    over = sum(one.psi > max(LARGE, one.chance) for one in found.drift.columns)
    return f"{over} of {len(found.drift.columns)} columns have shifted; these are the furthest"


def _drift(shown: Sequence[Moved], found: Evaluation, title: str) -> Figure:
    figure, axes = blank(title, height=4.0)
    weeks = found.drift.weeks
    for place, one in enumerate(shown):
        # Nothing is drawn across a delay, whose payments nobody scores here.
        for part in ("train", "validation", "calibration", "test"):
            inside = [i for i, week in enumerate(weeks) if week.part == part]
            x = [(weeks[i].begin + weeks[i].end) / 14 for i in inside]
            draw_line(axes, place, one.name if part == "train" else "_", x, [one.weekly[i] for i in inside])
            axes.lines[-1].set(marker="o", markersize=3.5)
    axes.axhline(LARGE, color=GREY, linewidth=0.9, linestyle=":", label="0.25, usually called a large shift")
    axes.axvspan(
        found.parts["test"].begin / 7, found.parts["test"].end / 7, color="#5B6672", alpha=0.12, label="test period"
    )
    axes.set(ylim=(0, None), xlim=(0, found.parts["test"].end / 7))
    axes.set(xlabel="weeks since the train period began", ylabel="PSI against the train period")
    legend_below(axes)
    return figure


def _fraud_rate(found: Evaluation) -> Figure:
    weeks = found.drift.fraud_rate
    rate = [week.frauds / week.rows for week in weeks]
    figure, axes = blank(f"Between {100 * min(rate):.2g} and {100 * max(rate):.2g} % of a week's payments are frauds")
    edges = [*(week.begin / 7 for week in weeks), weeks[-1].begin / 7 + 1]
    axes.stairs(rate, edges, baseline=None, color=COLOURS[0], linewidth=2)
    axes.axvspan(
        found.parts["test"].begin / 7, found.parts["test"].end / 7, color="#5B6672", alpha=0.12, label="test period"
    )
    axes.set(ylim=(0, None), xlabel="weeks since the train period began", ylabel="frauds among payments, %")
    plots.per_cent(axes, "y")
    legend_below(axes)
    return figure


def _line(found: Evaluation) -> Figure:
    weeks = found.line.weeks
    figure, axes = blank(
        f"The calibration line raises {found.line.alerts:,.0f} alerts a day, the budget is {found.budget:,}"
    )
    place = np.arange(len(weeks))
    axes.bar(place, [week.alerts for week in weeks], 0.6, color=COLOURS[0], label="alerts a day at the fixed line")
    axes.axhline(found.budget, color=INK, linewidth=1.2, linestyle="--", label="budget")
    axes.set_xticks(place, [f"from {week.told}" for week in weeks])
    axes.set(ylabel=f"{found.unit}s a day", xlim=(-0.7, len(weeks) - 0.3))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(axis="x", visible=False)
    legend_below(axes)
    return figure


def _periods(found: Evaluation) -> Figure:
    learned, judged = found.parts["train"], found.parts["test"]
    gap = judged.begin - learned.end
    figure, axes = blank(f"The last day that is learned from is {gap:.0f} days before the test period", height=2.4)
    for place, part in enumerate(found.parts.values()):
        axes.barh(place, part.end - part.begin, 0.6, left=part.begin, color=COLOURS[place])
    axes.set_yticks(range(len(found.parts)), list(found.parts))
    axes.set(ylim=(len(found.parts) - 0.4, -0.6), xlabel="days since the train period began")
    axes.grid(axis="y", visible=False)
    return figure
