"""Sections that the reports of all reference cases share."""

from __future__ import annotations

from matplotlib.figure import Figure

from lepton_solutions.reporting.page import Block, Code, Facts, Picture, Section, Table, picture
from lepton_solutions.reporting.run import RunMetrics, Variant


def drawn(figure: Figure, caption: str) -> Picture:
    """A figure whose title is also what a screen reader says."""
    return picture(figure, alt=figure.get_suptitle().replace("\n", " "), caption=caption)


def weight_of(variant: Variant) -> tuple[str, str]:
    """Size in kB and median time of a single row in ms, as cells."""
    size = "–" if variant.size_bytes is None else f"{variant.size_bytes / 1000:,.1f}"
    return size, "–" if variant.latency_ms is None else f"{variant.latency_ms.p50:.3f}"


def parity_section(metrics: RunMetrics, *, of: str) -> Section:
    """Whether the exported model answers as the trained one. of: what was compared, in words."""
    parity = metrics.parity
    assert parity is not None
    rows = [(case.case, f"{case.rows:,}", f"{case.largest_difference:.1g}", str(case.flipped)) for case in parity.cases]
    table = Table(("Rows", "Count", "Largest difference", "Flipped"), rows, "Exported against trained model")
    lead = (
        f"`export/` holds the model as ONNX and its weights as safetensors. Compared were {of}. A sealed bundle, and a "
        "predictor that opens it, are not part of this case."
    )
    return Section("Exported model", [table], lead)


def making_section(metrics: RunMetrics) -> Section:
    """The command, what each stage took, and on what."""
    rows = [(stage, f"{spent:.1f}") for stage, spent in metrics.seconds.items()]
    rows.append(("together", f"{sum(metrics.seconds.values()):.1f}"))
    facts = [("Seed", str(metrics.seed)), *((name, str(value)) for name, value in metrics.environment.items())]
    blocks: list[Block] = [Code(metrics.command), Table(("Stage", "Seconds"), rows, "Time taken"), Facts(facts)]
    return Section("How to reproduce it", blocks, "This command, on these versions, gives these figures.")
