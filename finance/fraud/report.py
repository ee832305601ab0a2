"""The fraud report: does looking at these cards save money, and what stands behind that answer?

    html = fraud_report(Path("runs/finance/fraud/..."))

For the head of a fraud team first, the data scientist second. What a run did not write is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from finance.fraud.backing import (
    anomaly_section,
    data_section,
    declined_section,
    drift_section,
    examples_section,
    pictures,
)
from finance.fraud.evaluation import NOBODY, Evaluation
from finance.fraud.figures import fraud_figures
from finance.fraud.members import LABELS, OURS
from finance.fraud.prepare import Card
from finance.fraud.verdict import (
    LIMITS,
    RULES,
    SCENARIOS,
    amount,
    decision_text,
    line_text,
    model_text,
    percent,
    verdict,
)
from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.page import (
    Cell,
    Estimate,
    KeyFigure,
    KeyFigures,
    Notice,
    Page,
    Section,
    Table,
    Text,
    estimate,
    render,
)
from lepton_solutions.reporting.run import RunMetrics, read_record
from lepton_solutions.reporting.sections import (
    making_section,
    released_section,
    training_section,
    weight_of,
    write_page,
)

METRICS = {
    "average_precision": "AP",
    "auc": "AUC",
    "card_precision": "Precision at k",
    "brier": "Brier",
    "ece": "ECE",
    "log_loss": "Log loss",
}
SMALL = ("brier", "ece")  # of rare events, so small that three decimals show nothing


def fraud_report(run: Path) -> str:
    """The report of a run as one HTML page. Raises UserError where a file is absent or has another shape."""
    metrics, data = read_record(run / "metrics.json", RunMetrics), read_record(run / "data.json", Card)
    found = read_record(run / "evaluation.json", Evaluation)
    figures = fraud_figures(metrics, found)
    sections = [
        _money(found, figures),
        _found(found, figures),
        _scenarios(found, figures),
        examples_section(found),
        _models(metrics, found, figures),
        anomaly_section(found, figures),
        drift_section(found, figures),
        declined_section(found),
        data_section(metrics, data, found, figures),
        Section("Limits", [Text(limit) for limit in LIMITS]),
        released_section(metrics, unit="payments"),
        training_section(run / "training"),
        making_section(metrics),
    ]
    failed = metrics.audit is not None and metrics.audit.failed
    alarm = Notice("fail", "The audit of the data failed, so no figure below can be relied upon.")
    page = Page(
        title="Fraud report",
        subtitle=f"{data.source}, {data.rows:,} payments, {data.frauds:,} frauds",
        verdict=verdict(found),
        opening=[*([alarm] if failed else []), KeyFigures(key_figures(found))],
        sections=[section for section in sections if section.blocks or section.lead],
        footer="Figures are of test days, which took part in no choice, unless another period is named. Money is in "
        "units of the amounts in the data. Numbers in brackets or small print are 95 % intervals; they draw "
        f"{found.unit}s, each with all its payments.",
    )
    return render(page)


def report(run: Path, out: Path) -> None:
    """The page for the person who signs, and its figures as files."""
    metrics = read_record(run / "metrics.json", RunMetrics)
    figures = fraud_figures(metrics, read_record(run / "evaluation.json", Evaluation))
    write_page(run, out, fraud_report(run), figures)


def key_figures(found: Evaluation) -> list[KeyFigure]:
    """What the head of a fraud team asks first."""
    ours = found.test["trained"]
    hits = sum(day.hits for day in found.days)
    looked = sum(day.looked for day in found.days)
    return [
        KeyFigure("Money saved a day", money(found.money.saved), f"of {amount(found.money.lost)} lost to fraud a day"),
        KeyFigure(
            f"Frauds among the {found.budget:,} looked at a day",
            estimate(ours["card_precision"], 0, percent=True),
            f"{hits:,} of {looked:,} cases in {len(found.days)} days",
        ),
        KeyFigure(
            f"{found.unit.capitalize()}s with a fraud that are found",
            estimate(found.recall, 0, percent=True),
            "on any of the days",
        ),
        KeyFigure("Average precision", estimate(ours["average_precision"], 2), "1 is perfect"),
        KeyFigure(
            "Alerts a day at the fixed line", Estimate(f"{found.line.alerts:,.0f}"), f"the budget is {found.budget:,}"
        ),
    ]


def money(interval: Interval) -> Estimate:
    """A sum of money for a cell."""
    return Estimate(amount(interval.value), f"{amount(interval.low)} to {amount(interval.high)}")


def _money(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    rows: list[tuple[Cell, ...]] = [
        (
            RULES[policy.policy],
            "0" if policy.policy == NOBODY else money(policy.saved),
            f"{policy.looked:,}",
            f"{policy.hits:,}",
        )
        for policy in found.policies()
    ]
    head = ("Who is looked at", "Money saved a day", f"{found.unit.capitalize()}s looked at", "Frauds found")
    table = Table(
        head,
        rows,
        f"What {found.budget:,} {found.unit}s a day come to on {len(found.days)} test days",
        note=f"Saved: {100 * found.recovered:.0f} % of that day's frauds on found {found.unit}s, less "
        f"{found.cost_of_case:g} a look.",
    )
    return Section("Money saved", [table, *pictures(figures, "money", "policies")], decision_text(found))


def _found(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    rows = [
        (
            day.told,
            f"{day.looked:,}",
            f"{day.hits:,}",
            percent(day.hits / max(day.looked, 1)),
            f"{day.open_frauds:,}",
            amount(day.saved),
        )
        for day in found.days
    ]
    head = ("Day", "Looked at", "Frauds found", "Precision", "Frauds not closed yet", "Money saved")
    weeks = [(f"{week.told}, {week.days} days", f"{week.alerts:,.0f}", percent(week.line)) for week in found.line.weeks]
    lines = Table(
        ("Week from", "Alerts a day at the fixed line", "Line that meets the budget"), weeks, "A line for each week"
    )
    return Section(
        f"{found.unit.capitalize()}s found by day",
        [
            *pictures(figures, "days", "card_precision"),
            Table(head, rows, "By day", tall=len(rows) > 16),
            Text(line_text(found)),
            *pictures(figures, "line"),
            lines,
        ],
        f"A budget is met by looking at the highest {found.budget:,} of a day. Whoever needs an answer at once, "
        "payment by payment, needs a line, which has to move with the score.",
    )


def _scenarios(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    if not found.scenarios:
        return Section("Kinds of fraud", [])
    rows: list[tuple[Cell, ...]] = [
        (f"{one.scenario}, {SCENARIOS[one.scenario]}", f"{one.cards:,}", estimate(one.found, 0, percent=True))
        for one in found.scenarios
    ]
    table = Table(("Kind", f"{found.unit.capitalize()}s hit", "Found"), rows, "By kind of fraud")
    return Section("Kinds of fraud", [*pictures(figures, "scenarios"), table])


def _models(metrics: RunMetrics, found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    models = {name: metrics.variants[name] for name in found.without_twin(metrics.models())}
    rows: list[tuple[Cell, ...]] = [
        (
            metrics.label(name),
            *(estimate(variant.test.get(key), 4 if key in SMALL else 3) for key in METRICS),
            *weight_of(variant),
        )
        for name, variant in models.items()
    ]
    tags = {metrics.chosen: "in use, best simple model" if found.is_baseline else "in use"}
    tags |= {found.baseline: "best simple model"} if found.baseline in models else {}
    several = len(found.periods) > 1
    over = f"Means over {len(found.periods)} test periods, each learned anew, with Student's intervals. "
    table = Table(
        ("Model", *METRICS.values(), "Size, kB", "Time, ms"),
        rows,
        "Models on the same test payments",
        note=f"{over if several else ''}AP (average precision), AUC and precision at k, k = {found.budget:,} "
        f"{found.unit}s a day: higher is better. Brier, ECE (the calibration error) and log loss: lower is better. "
        "Detectors got their probabilities from calibration days. The best simple model was chosen on validation days.",
        marked={place: tags[name] for place, name in enumerate(models) if name in tags},
    )
    shown = pictures(figures, "precision_recall", "average_precision")
    return Section("Models compared", [table, *([_periods(found)] if several else []), *shown], model_text(found))


def _periods(found: Evaluation) -> Table:
    names = {OURS: "This model"} if found.is_baseline else {OURS: "This model", found.baseline: LABELS[found.baseline]}
    shown = ("average_precision", "auc", "card_precision")
    rows: list[tuple[Cell, ...]] = [
        (told, label, *(f"{period[name][metric]:.3f}" for metric in shown))
        for told, period in zip(found.test_periods, found.periods, strict=True)
        for name, label in names.items()
    ]
    head = ("Test period", "Model", *(METRICS[metric] for metric in shown))
    note = "The first is the one that all else on this page is about, and whose model is released."
    return Table(head, rows, "Period by period", note=note, align="llrrr")
