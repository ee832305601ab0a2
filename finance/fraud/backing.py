"""The sections of the fraud report that stand behind its figures: alerts, detectors, drift, declined payments, data."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from finance.fraud.evaluation import Evaluation, Example
from finance.fraud.figures import LARGE
from finance.fraud.prepare import Card
from finance.fraud.verdict import amount, percent
from lepton_solutions.reporting.page import Block, Facts, Notice, Pictures, Section, Table, Text
from lepton_solutions.reporting.run import RunMetrics
from lepton_solutions.reporting.sections import drawn

COLUMNS = 12  # of the table of those that moved most
LEVELS = ("fail", "warning", "info")
CAPTIONS = {
    "policies": "At the budget in use. Hindsight looks only at frauds that are worth it.",
    "money": "Other budgets need no other model; the axis of budgets is logarithmic.",
    "days": "Whoever was found on a day leaves the days that follow.",
    "card_precision": "Mean of the test days; a model that finds fewer keeps more to find.",
    "precision_recall": "The further to the upper right, the better; the dotted line is chance.",
    "average_precision": "Two intervals that overlap can still differ, as all models answer for the same payments.",
    "scenarios": "Kinds of fraud as the simulation made them; a real team does not know them.",
    "anomaly": "Detectors learn from payments that are presumed good, and read no label.",
    "score_drift": "Population stability index of a week's scores.",
    "column_drift": "Population stability index of a week's values.",
    "fraud_rate": "Payments with an outcome, by week.",
    "line": "By week of the test period; each counts once a day, however many of its payments lie above the line.",
    "periods": "In the gaps nobody would have known the outcomes yet.",
}


def pictures(figures: Mapping[str, Figure], *names: str) -> list[Block]:
    """Those of the figures that there are, side by side."""
    shown = [drawn(figures[name], CAPTIONS[name]) for name in names if name in figures]
    return [Pictures(shown)] if shown else []


def examples_section(found: Evaluation) -> Section:
    blocks: list[Block] = []
    for one in found.examples:
        outcome = "a fraud" if one.fraud else "a false alarm"
        where = ", ".join(f"{kind} {name}" if kind not in name else name for kind, name in one.entities.items())
        facts = [("Payment", f"{one.told}, {where}, {one.amount:,.2f}")]
        facts += [(f"Reason {place}", reason) for place, reason in enumerate(one.reasons, 1)]
        facts += [("Frauds like it", _like(one))] if one.like else []
        blocks += [Text(f"Probability {percent(one.probability)}: {outcome}."), Facts(facts)]
    lead = "The first alerts of some test days, as an investigator would read them." if blocks else ""
    return Section("Alerts and their reasons", blocks, lead)


def _like(one: Example) -> str:
    return "; ".join(f"{near.time.partition('T')[0]}, {near.amount:,.2f}" for near in one.like)


def anomaly_section(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    lead = (
        "What a team without any known fraud could start with: how unlike good payments a payment is. The network of "
        "this run reads these scores beside the histories."
    )
    blocks = pictures(figures, "anomaly")
    return Section("Anomaly score alone", blocks, lead if blocks else "")


def drift_section(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
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
            "data begin later: counts over long windows grow for that reason alone. Earlier data, a shorter "
            "split.train or shorter features.windows mend it."
        )
    return Section("Drift", [*pictures(figures, "score_drift", "column_drift", "fraud_rate"), table], lead)


def declined_section(found: Evaluation) -> Section:
    declined = found.declined
    if declined is None:
        return Section("Declined payments", [])
    rows = [
        (
            f"{percent(one.low)} to {percent(one.high)}",
            f"{one.declined:,}",
            f"{one.known:,}",
            "no outcome was ever seen" if one.declined and not one.known else "",
        )
        for one in declined.ranges
        if one.declined or one.known
    ]
    head = ("Probability", "Declined", "With an outcome", "")
    lead = (
        f"{declined.rows:,} payments were declined since calibration began, and no one knows what they were. "
        f"{declined.above:,} of them score above {percent(declined.highest)}, the highest probability of any payment "
        "with an outcome: from there on the model has never been contradicted, nor confirmed."
    )
    return Section("Declined payments", [Table(head, rows, "Declined and known by probability", align="lrrl")], lead)


def data_section(metrics: RunMetrics, data: Card, found: Evaluation, figures: Mapping[str, Figure]) -> Section:
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
    return Section("Periods, data and audit", [*pictures(figures, "periods"), *blocks, Facts(facts)], lead)
