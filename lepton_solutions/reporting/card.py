"""The model card that travels in the bundle: Markdown with purpose, data, metrics, decision, limits, licence.

After Mitchell et al. 2019, "Model Cards for Model Reporting". What only the domain knows comes in as sentences.
"""

from collections.abc import Mapping, Sequence

from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.page import estimate
from lepton_solutions.reporting.run import DataCard


def model_card(
    data: DataCard,
    test: Mapping[str, Interval],
    *,
    title: str,
    purpose: str,
    decision: str,
    limits: Sequence[str],
) -> str:
    """Markdown. `test` holds the metrics of the model in the bundle; the sentences are taken as they are."""
    positive = f", positive where it says `{data.positive}`" if data.positive else ""
    cells = {name: estimate(interval) for name, interval in test.items()}
    table = ["| metric | value | 95 % interval |", "| --- | ---: | ---: |"]
    table += [f"| {name} | {cell.value} | {cell.interval} |" for name, cell in cells.items()]
    parts = [
        f"# {title}",
        purpose,
        "## Data",
        f"{data.rows:,} rows from {_plain(data.source)}; the target is `{data.target}`{positive}.",
        *_columns(data),
        "## Metrics",
        "On test rows that took part in no choice.",
        "\n".join(table),
        "## Decision",
        decision,
        "## Limits",
        "\n".join(f"- {limit}" for limit in limits),
        "## Licence of the data",
        _plain(data.licence) if data.licence else "Not stated.",
        f"Source: {_plain(data.cite)}" if data.cite else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _columns(data: DataCard) -> list[str]:
    used = ", ".join(f"`{column.name}`" for column in data.columns)
    left_out = ", ".join(f"`{name}` ({_plain(why)})" for name, why in data.ignored.items())
    return [
        f"Columns used ({len(data.columns)}): {used}." if used else "",
        f"Not used: {left_out}." if left_out else "",
        f"Protected: {', '.join(f'`{name}`' for name in data.protected)}." if data.protected else "",
    ]


def _plain(text: str) -> str:
    """One line without what Markdown would read as a table or a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
