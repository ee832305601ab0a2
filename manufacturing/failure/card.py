"""The failure model's card, `card.md` of the bundle, after Mitchell et al. 2019, "Model Cards for Model Reporting"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lepton_solutions.reporting.page import estimate
from manufacturing.failure.evaluation import Evaluation
from manufacturing.failure.prepare import Card
from manufacturing.failure.verdict import LIMITS, bound_text, verdict

PURPOSE = {
    "rul": "Remaining useful life of a machine from its sensor history, with a lower bound and a service date.",
    "failure": "The probability that a machine fails within the horizon, and whether to service it.",
    "diagnosis": "Which fault a signal shows.",
    "health": "Whether a machine still behaves as healthy ones did, with the sensors that differ.",
}


def failure_card(data: Card, evaluation: Mapping[str, object], learned: Mapping[str, Any]) -> str:
    """Markdown, from what data.json, evaluation.json and learned.json hold."""
    found = Evaluation.model_validate(evaluation)
    cells = {name: estimate(interval) for name, interval in found.test["trained"].items()}
    network = (
        f"{len(learned['members'])} x `{learned['network']['name']}`, window of {learned['network']['window']} rows"
    )
    table = ["| metric | value | 95 % interval |", "| --- | ---: | ---: |"]
    table += [f"| {name} | {cell.value} | {cell.interval} |" for name, cell in cells.items()]
    source = " ".join(data.source.split())
    parts = [
        "# Equipment failure",
        PURPOSE[data.question],
        "## Data",
        f"{data.rows:,} readings of {data.units:,} machines from {source}. Time in {data.clock}.",
        f"Sensors: {', '.join(f'`{name}`' for name in data.sensors)}.",
        f"Network: {network}.",
        "## Metrics",
        f"On test machines that took part in no choice, asked {found.asked}.",
        "\n".join(table),
        verdict(found),
        "## Lower bound" if data.question == "rul" else "",
        bound_text(found) if data.question == "rul" else "",
        "## Limits",
        "\n".join(f"- {limit}" for limit in LIMITS),
        "## Licence of the data",
        data.licence or "Not stated.",
        f"Source: {data.cite}" if data.cite else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
