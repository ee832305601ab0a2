"""The fraud report: does looking at these cards save money, and what stands behind that answer?

    html = fraud_report(Path("runs/finance/fraud/..."))

For the head of a fraud team first, the data scientist second. What a run did not write is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from finance.fraud.evaluation import NOBODY, Evaluation, Example
from finance.fraud.figures import LARGE, fraud_figures
from finance.fraud.prepare import Card
from finance.fraud.verdict import (
    LIMITS,
    RULES,
    amount,
    best_budget,
    decision_text,
    line_text,
    model_text,
    percent,
    verdict,
)
from lepton_solutions.files import write_text
from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.page import (
    Block,
    Cell,
    Estimate,
    Facts,
    KeyFigure,
    KeyFigures,
    Notice,
    Page,
    Pictures,
    Section,
    Table,
    Text,
    estimate,
    render,
)
from lepton_solutions.reporting.run import RunMetrics, read_record
from lepton_solutions.reporting.sections import (
    drawn,
    making_section,
    released_section,
    training_figures,
    training_section,
    weight_of,
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
COLUMNS = 12  # of the table of those that moved most
CAPTIONS = {
    "policies": "At the budget in use. Hindsight looks only at frauds that are worth it.",
    "money": "Other budgets need no other model; the axis of budgets is logarithmic.",
    "days": "Whoever was found on a day leaves the days that follow.",
    "card_precision": "Mean of the test days. Intervals of single models: two that overlap can still differ.",
    "precision_recall": "The further to the upper right, the better; the dotted line is chance.",
    "average_precision": "Intervals draw cards. Two that overlap can still differ, as all are measured alike.",
    "scenarios": "Kinds of fraud as the simulation made them; a real team does not know them.",
    "anomaly": "Detectors learn from payments that are presumed good, and read no label.",
    "score_drift": "Population stability index of a week's scores.",
    "column_drift": "Population stability index of a week's values.",
    "fraud_rate": "Payments with an outcome, by week.",
    "line": "Cards with a payment at or above the line, by week of the test period.",
    "periods": "In the gaps nobody would have known the outcomes yet.",
}
LEVELS = ("fail", "warning", "info")


def fraud_report(run: Path) -> str:
    """The report of a run as one HTML page. Raises UserError where a file is absent or has another shape."""
    metrics, data = read_record(run / "metrics.json", RunMetrics), read_record(run / "data.json", Card)
    found = read_record(run / "evaluation.json", Evaluation)
    figures = fraud_figures(metrics, found)
    sections = [
        _money(found, figures),
        _found(found, figures),
        _scenarios(found, figures),
        _examples(found),
        _models(metrics, found, figures),
        _anomaly(found, figures),
        _drift(found, figures),
        _declined(found),
        _data(metrics, data, found, figures),
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
    write_text(out / "report.html", fraud_report(run))
    (out / "figures").mkdir()
    metrics = read_record(run / "metrics.json", RunMetrics)
    figures = fraud_figures(metrics, read_record(run / "evaluation.json", Evaluation))
    courses = {f"training_{name}": figure for name, figure in training_figures(run / "training").items()}
    for name, figure in (figures | courses).items():
        figure.savefig(out / "figures" / f"{name}.png", dpi=150)


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
        for policy in sorted(found.money.policies, key=lambda policy: -policy.saved.value)
    ]
    head = ("Who is looked at", "Money saved a day", f"{found.unit.capitalize()}s looked at", "Frauds found")
    table = Table(
        head,
        rows,
        f"What {found.budget:,} {found.unit}s a day come to on {len(found.days)} test days",
        note=f"Saved: {100 * found.recovered:.0f} % of that day's frauds on found {found.unit}s, less "
        f"{found.cost_of_case:g} a look.",
    )
    best, saved = best_budget(found)
    told = (
        f"With hindsight, {best:,} {found.unit}s a day would have saved most: {amount(saved)} a day."
        if saved > 0
        else ""
    )
    return Section("Money saved", [table, *_pictures(figures, "money", "policies"), Text(told)], decision_text(found))


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
            *_pictures(figures, "days", "card_precision"),
            Table(head, rows, "By day", tall=len(rows) > 16),
            Text(line_text(found)),
            *_pictures(figures, "line"),
            lines,
        ],
        f"A budget is met by looking at the highest {found.budget:,} of a day. Whoever needs an answer at once, payment "
        "by payment, needs a line, which has to move with the score.",
    )


def _scenarios(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    if not found.scenarios:
        return Section("Kinds of fraud", [])
    rows: list[tuple[Cell, ...]] = [
        (f"Scenario {one.scenario}", f"{one.cards:,}", estimate(one.found, 0, percent=True)) for one in found.scenarios
    ]
    table = Table(("Kind", f"{found.unit.capitalize()}s hit", "Found"), rows, "By kind of fraud")
    return Section("Kinds of fraud", [*_pictures(figures, "scenarios"), table])


def _examples(found: Evaluation) -> Section:
    blocks: list[Block] = []
    for one in found.examples:
        outcome = "a fraud" if one.fraud else "a false alarm"
        where = ", ".join(f"{kind} {name}" if kind not in name else name for kind, name in one.entities.items())
        facts = [("When, who, how much", f"{one.told}, {where}, {one.amount:,.2f}")]
        facts += [(f"Reason {place}", reason) for place, reason in enumerate(one.reasons, 1)]
        facts += [("Past frauds like it", _like(one))] if one.like else []
        blocks += [Text(f"Probability {percent(one.probability)}: {outcome}."), Facts(facts)]
    lead = "The first alerts of some test days, as an investigator would read them." if blocks else ""
    return Section("Alerts and their reasons", blocks, lead)


def _like(one: Example) -> str:
    return "; ".join(f"{near.time.replace('T', ' ')}, {near.amount:,.2f}" for near in one.like)


def _models(metrics: RunMetrics, found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    models = metrics.models()
    rows: list[tuple[Cell, ...]] = [
        (
            metrics.label(name),
            *(estimate(variant.test.get(key), 4 if key in SMALL else 3) for key in METRICS),
            *weight_of(variant),
        )
        for name, variant in models.items()
    ]
    tags = {metrics.chosen: "in use"}
    tags |= {found.baseline: "best simple model"} if found.baseline in models else {}
    table = Table(
        ("Model", *METRICS.values(), "Size, kB", "Time, ms"),
        rows,
        "Models on the same test payments",
        note=f"AP (average precision), AUC and precision at k, k = {found.budget:,} {found.unit}s a day: higher is "
        "better. Brier, ECE (the calibration error) and log loss: lower is better. Detectors got their probabilities "
        "from calibration days. The best simple model was chosen on validation days.",
        marked={place: tags[name] for place, name in enumerate(models) if name in tags},
    )
    return Section(
        "Models compared", [table, *_pictures(figures, "precision_recall", "average_precision")], model_text(found)
    )


def _anomaly(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    lead = (
        "What a team without any known fraud could start with: how unlike good payments a payment is. The network of "
        "this run reads these scores beside the histories."
    )
    blocks = _pictures(figures, "anomaly")
    return Section("Anomaly score alone", blocks, lead if blocks else "")


def _drift(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    drift = found.drift
    rows = [
        (one.name, f"{one.psi:.2f}", "large" if one.psi > max(LARGE, one.chance) else "")
        for one in drift.columns[:COLUMNS]
    ]
    table = Table(("Column", "PSI, train to test", "Shift"), rows, "Columns that moved most", align="lrl")
    lead = f"The score's PSI from the train period to the test period is {drift.score.psi:.2f}. "
    lead += "Below 0.1 usually counts as stable, above 0.25 as shifted."
    if drift.filling:
        lead += (
            f" When the train period begins, the longest histories lack {drift.filling:.0f} of their days, since the "
            "data begin later: counts over long windows grow for that reason alone."
        )
    return Section("Drift", [*_pictures(figures, "score_drift", "column_drift", "fraud_rate"), table], lead)


def _declined(found: Evaluation) -> Section:
    declined = found.declined
    if declined is None:
        return Section("Declined payments", [])
    rows = [
        (
            f"{percent(one.low)} to {percent(one.high)}",
            f"{one.declined:,}",
            f"{one.known:,}",
            _seen(one.declined, one.known),
        )
        for one in declined.ranges
        if one.declined or one.known
    ]
    head = ("Probability", "Declined", "With an outcome", "Outcome known")
    lead = (
        f"{declined.rows:,} payments were declined since calibration began, and no one knows what they were. "
        f"{declined.above:,} of them score above {percent(declined.highest)}, the highest probability of any payment "
        "with an outcome: from there on the model has never been contradicted, nor confirmed."
    )
    return Section("Declined payments", [Table(head, rows, "Declined and known by probability", align="lrrl")], lead)


def _seen(declined: int, known: int) -> str:
    return "of none" if declined and not known else ""


def _data(metrics: RunMetrics, data: Card, found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    blocks: list[Block] = []
    if metrics.audit is not None:
        for finding in sorted(metrics.audit.findings, key=lambda finding: LEVELS.index(finding.level)):
            blocks.append(Notice(finding.level, finding.message))
        if not metrics.audit.findings:
            blocks.append(
                Text("The audit looked for features that know the future, giveaway columns and parts out of order.")
            )
    facts = [("Source", data.source)]
    facts += [(kind.capitalize() + "s", f"{count:,}") for kind, count in data.entities.items()]
    facts += [
        (
            f"{name.capitalize()} period",
            f"{part.told}: {part.rows:,} payments, {part.frauds:,} frauds of {amount(part.amount)}",
        )
        for name, part in found.parts.items()
    ]
    facts += [("Declined", f"{data.declined:,}")] if data.declined else []
    facts += [("Licence", data.licence or "not stated"), ("Citation", data.cite or "not given")]
    facts += [("Noted", note) for note in data.notes]
    lead = (
        "Periods follow one another, with a delay before each that is judged: nothing that was learned or chosen knew "
        "an outcome that the team would not have had. Rows in random order are refused, as they show a card's future."
    )
    return Section("Periods, data and audit", [*_pictures(figures, "periods"), *blocks, Facts(facts)], lead)


def _pictures(figures: Mapping[str, Figure], *names: str) -> list[Block]:
    shown = [drawn(figures[name], CAPTIONS[name]) for name in names if name in figures]
    return [Pictures(shown)] if shown else []
