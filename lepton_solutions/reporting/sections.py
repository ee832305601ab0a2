"""Parts of a report that every pipeline has: how the training went, what a model weighs, how to reproduce the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from lepton_solutions.files import write_text
from lepton_solutions.reporting.page import Block, Code, Facts, Picture, Pictures, Section, Table, Text, picture
from lepton_solutions.reporting.plots import history_figure
from lepton_solutions.reporting.run import Parity, RunMetrics, Variant
from lepton_solutions.training.history import NAME, judged, read_history
from lepton_solutions.training.plan import PLAN

MOST_COURSES = 4  # trainings whose course the page shows


def drawn(figure: Figure, caption: str) -> Picture:
    """A figure whose title is also what a screen reader says."""
    return picture(figure, alt=figure.get_suptitle().replace("\n", " "), caption=caption)


def weight_of(variant: Variant) -> tuple[str, str]:
    """Size in kB and median time of a single row in ms, as cells."""
    size = "–" if variant.size_bytes is None else f"{variant.size_bytes / 1000:,.1f}"
    return size, "–" if variant.latency_ms is None else f"{variant.latency_ms.p50:.3f}"


def training_figures(training: Path) -> dict[str, Figure]:
    """The course of each training of a run, by name; training: the folder of that name in the run folder."""
    return {file.parent.name: _course(file) for file in sorted(training.glob(f"*/{NAME}"))}


def write_page(run: Path, out: Path, page: str, figures: Mapping[str, Figure]) -> None:
    """`report.html`, and its figures as files, with the courses of the run's trainings."""
    write_text(out / "report.html", page)
    (out / "figures").mkdir()
    courses = {f"training_{name}": figure for name, figure in training_figures(run / "training").items()}
    for name, figure in {**figures, **courses}.items():
        figure.savefig(out / "figures" / f"{name}.png", dpi=150)


def training_section(training: Path) -> Section:
    """How each network of the run was trained, and by which plan."""
    figures = training_figures(training)
    pictures = [
        drawn(
            figures[name], f"{_named(name)}: the loss falls on the rows it learns from; the figure below it, on others."
        )
        for name in list(figures)[:MOST_COURSES]
    ]
    plans = {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in training.glob(f"*/{PLAN}")}
    words = [f"`{name}`: " + ", ".join(map(str, plan["chosen"].values())) for name, plan in sorted(plans.items())]
    blocks: list[Block] = [Pictures(pictures)] if pictures else []
    if len(figures) > len(pictures):
        blocks.append(Text(f"The courses of {len(figures) - len(pictures)} more lie in the folder `figures`."))
    if words:
        blocks.append(Text("Device, precision, memory layout and execution of a step: " + "; ".join(words) + "."))
    return Section("Training", blocks)


def released_section(metrics: RunMetrics, *, unit: str, blocks: Sequence[Block] = ()) -> Section:
    """Whether the exported model answers as the trained one. unit: `rows`, `images`. blocks: what stands below."""
    parity = metrics.parity
    if parity is None:
        return Section("Released model", [])
    lead = (
        f"The exported model was compared with the trained one on {parity.rows:,} {unit}: the largest difference of a "
        f"probability is {parity.largest_difference:.1g}, and {parity.flipped or 'no'} decision"
        f"{'' if parity.flipped == 1 else 's'} flipped."
    )
    return Section("Released model", [*parity_tables(parity, unit=unit), *blocks], lead)


def parity_tables(parity: Parity, *, unit: str) -> list[Block]:
    """The comparison by kind of rows, where it was recorded."""
    rows = [
        (case.case, f"{case.rows:,}", f"{case.largest_difference:.1g}", f"{case.flipped:,}") for case in parity.cases
    ]
    head = (unit.capitalize(), "Count", "Largest difference", "Flipped decisions")
    return [Table(head, rows, f"By kind of {unit}", tall=len(rows) > 12)] if rows else []


def making_section(metrics: RunMetrics) -> Section:
    """The command, what each stage took, and on what."""
    blocks: list[Block] = [Code(metrics.command)] if metrics.command else []
    if metrics.seconds:
        rows = [(stage, f"{spent:.1f}") for stage, spent in metrics.seconds.items()]
        rows.append(("together", f"{sum(metrics.seconds.values()):.1f}"))
        blocks.append(Table(("Stage", "Seconds"), rows, "Time taken"))
    facts = [("Seed", str(metrics.seed))] if metrics.seed is not None else []
    facts += [(name, str(value)) for name, value in metrics.environment.items()]
    if facts:
        blocks.append(Facts(facts))
    lead = "This command, on these versions, gives these figures." if metrics.command else ""
    return Section("How to reproduce it", blocks, lead)


def _named(training: str) -> str:
    """Members of an ensemble are numbered, other networks have a name."""
    return f"Network {int(training) + 1}" if training.isdigit() else f"Training of `{training}`"


def _course(history: Path) -> Figure:
    rows = read_history(history)
    metric = next(iter(judged(rows)), None)
    last = rows[-1]
    found = f"{metric.replace('_', ' ')} {last[metric]:.3f}" if metric in last else f"loss {last['loss']:.3f}"
    name = history.parent.name
    title = f"{_named(name) if name.isdigit() else name}: {found} after {last['epoch']:.0f} epochs"
    return history_figure(rows, title=title, metric=metric)
