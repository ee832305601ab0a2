"""The fraud model's card, `card.md` of the bundle, after Mitchell et al. 2019, "Model Cards for Model Reporting"."""

from __future__ import annotations

from collections.abc import Mapping

from finance.fraud.evaluation import Evaluation
from finance.fraud.members import LABELS, OURS
from finance.fraud.prepare import Card
from finance.fraud.verdict import LIMITS, decision_text, line_text, verdict
from lepton_solutions.reporting.page import estimate

PURPOSE = (
    "Estimates the probability that a payment is a fraud, from itself and from what was known before it, and puts "
    "those to be looked at first. It supports a team of investigators and declines nothing by itself."
)


def fraud_card(facts: Mapping[str, object], evaluation: Mapping[str, object]) -> str:
    """Markdown, from what data.json and evaluation.json hold."""
    data, found = Card.model_validate(facts), Evaluation.model_validate(evaluation)
    cells = {name: estimate(interval) for name, interval in found.test[OURS].items()}
    table = ["| metric | value | 95 % interval |", "| --- | ---: | ---: |"]
    table += [f"| {name} | {cell.value} | {cell.interval} |" for name, cell in cells.items()]
    source = " ".join(data.source.split())
    parts = [
        "# Fraud in payments",
        PURPOSE,
        "## Data",
        f"{data.rows:,} payments from {source}, {data.frauds:,} of them frauds.",
        f"Learned from the payments of {found.parts['train'].told}.",
        f"Models: {', '.join(LABELS[name] for name in found.combine)}.",
        "## Metrics",
        f"On the test period, {found.parts['test'].told}, which took part in no choice. Intervals draw {found.unit}s.",
        "\n".join(table),
        verdict(found),
        "## Decision",
        f"{decision_text(found)} {line_text(found)}",
        "## Limits",
        "\n".join(f"- {limit}" for limit in LIMITS),
        "## Licence of the data",
        data.licence or "Not stated.",
        f"Source: {data.cite}" if data.cite else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
