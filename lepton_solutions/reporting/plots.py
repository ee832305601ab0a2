"""Figures from saved numbers: the finding is the title, intervals are drawn, models differ by dash as well as colour.

Every function returns a `matplotlib.figure.Figure` (no pyplot, no global state) and computes nothing. Probabilities
are drawn in per cent. Words of a domain (who defaulted, what is refused) come in as arguments.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lepton_solutions.curves import CostCurve, Histogram, ReliabilityBin, Roc
from lepton_solutions.metrics import Interval

# Okabe and Ito 2008, without the yellow that vanishes on white; the first is the model that the figure is about.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B2568A", "#8A6A00", "#4D4D4D")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.3)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1)), (0, (8, 2)))
GREY = "#6B7580"
INK = "#1C2530"


@dataclass(frozen=True)
class Cutoff:
    """Where the decision changes; `band` is the range of probabilities that a person looks at."""

    threshold: float
    label: str
    band: tuple[float, float] | None = None
    band_label: str = ""


@dataclass(frozen=True)
class OperatingMark:
    """A point of a ROC in use, with the 95 % intervals of both its shares where they are known."""

    fpr: float
    tpr: float
    fpr_ends: tuple[float, float] | None = None
    tpr_ends: tuple[float, float] | None = None
    label: str = "in use, 95 % intervals"


def roc_figure(
    curves: Mapping[str, Roc],
    *,
    title: str,
    found: str = "positives",
    alarms: str = "negatives",
    mark: OperatingMark | None = None,
) -> Figure:
    """ROC of several models, the first drawn on top. `found` and `alarms` name the rows on the y and x axis."""
    figure, axes = blank(title, height=4.2)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    for place, (name, roc) in enumerate(curves.items()):
        draw_line(axes, place, name, roc["fpr"], roc["tpr"])
    if mark is not None:
        _draw_mark(axes, mark)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xlabel(f"{alarms} flagged, % (false alarms)")
    axes.set_ylabel(f"{found} flagged, % (found)")
    per_cent(axes, "xy")
    legend_below(axes)
    return figure


def reliability_figure(
    bins: Sequence[ReliabilityBin], *, title: str, event: str, edges: Sequence[float] = (), shares: Sequence[float] = ()
) -> Figure:
    """Observed against predicted share with 95 % intervals; below it, where the rows lie (`shares` between `edges`)."""
    figure, axes = blank(title, height=4.4, ratios=(4, 1) if shares else None)
    top = min(1.0, max(max(bin_["high"] for bin_ in bins), max(bin_["predicted"] for bin_ in bins)) * 1.04)
    axes.plot([0, top], [0, top], color=GREY, linewidth=1, linestyle=":", label="predicted = observed")
    x = [bin_["predicted"] for bin_ in bins]
    y = [bin_["observed"] for bin_ in bins]
    below = [bin_["observed"] - bin_["low"] for bin_ in bins]
    above = [bin_["high"] - bin_["observed"] for bin_ in bins]
    axes.errorbar(
        x,
        y,
        [below, above],
        fmt="o-",
        color=COLOURS[0],
        markersize=4.5,
        linewidth=1,
        capsize=2.5,
        label="95 % interval",
        clip_on=False,
        zorder=4,
    )
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.set_ylabel(f"observed rate of “{event}”, %")
    legend_below(axes)
    per_cent(axes, "xy")
    lowest = axes
    if shares:
        lowest = figure.axes[1]
        lowest.stairs(shares, edges, fill=True, color=COLOURS[0], alpha=0.35)
        lowest.set(xlim=(0, top), ylim=(0, None))
        lowest.set_ylabel("rows, %")
        per_cent(lowest, "xy", ticks=2)
    lowest.set_xlabel(f"predicted probability of “{event}”, %")
    return figure


def score_figure(
    scores: Histogram, *, title: str, positive: str, negative: str, cutoff: Cutoff | None = None
) -> Figure:
    """Predicted probabilities of the two classes, each as shares of its own class, with the cut-off."""
    figure, axes = blank(title)
    classes = ((scores["negative"], negative, None), (scores["positive"], positive, "///"))
    for place, (shares, name, hatch) in enumerate(classes):
        colour = COLOURS[place]
        area = axes.stairs(shares, scores["edges"], fill=True, linewidth=0, hatch=hatch)
        area.set(facecolor=(colour, 0.2), edgecolor=(colour, 0.45))
        axes.stairs(shares, scores["edges"], color=colour, linestyle=DASHES[place], linewidth=1.6, label=name)
    axes.set(xlim=(scores["edges"][0], scores["edges"][-1]), ylim=(0, None))
    axes.set_xlabel("predicted probability, %")
    axes.set_ylabel("share of the class, %")
    per_cent(axes, "xy")
    if cutoff is not None:
        _draw_cutoff(axes, cutoff)
    legend_below(axes)
    return figure


def cost_figure(
    curve: CostCurve, *, title: str, unit: str, cutoff: Cutoff, chosen_cost: float, flag_none: str, flag_all: str
) -> Figure:
    """Cost per `unit` against the cut-off, a line per model, the chosen point marked; two rules without a model."""
    figure, axes = blank(title, height=4.2)
    for place, (name, costs) in enumerate(curve["costs"].items()):
        draw_line(axes, place, name, curve["thresholds"], costs)
    highest = 1.12 * max(curve["flag_none"], curve["flag_all"], *(max(costs) for costs in curve["costs"].values()))
    for cost, label in ((curve["flag_none"], flag_none), (curve["flag_all"], flag_all)):
        axes.axhline(cost, color=GREY, linewidth=0.9, linestyle=":")
        label_at(axes, f"{label}: {cost:.2f}", (0.99, cost), lift=2, side="right")
    _draw_cutoff(axes, cutoff)
    axes.plot([cutoff.threshold], [chosen_cost], marker="D", markersize=8, color=COLOURS[0], markeredgecolor="white")
    axes.set(xlim=(0, 1), ylim=(0, highest))
    axes.set_xlabel("cut-off on the predicted probability, %")
    axes.set_ylabel(f"mean cost per {unit}")
    per_cent(axes, "x")
    legend_below(axes)
    return figure


def metric_figure(metrics: Mapping[str, Interval], *, title: str, metric: str) -> Figure:
    """A metric of several models as dots with 95 % intervals, the first model filled; the dotted line is its value."""
    figure, axes = blank(title, height=1.35 + 0.36 * len(metrics))
    for place, interval in enumerate(metrics.values()):
        colour, fill = (COLOURS[0], COLOURS[0]) if place == 0 else (GREY, "white")
        axes.plot([interval.low, interval.high], [place, place], color=colour, linewidth=1.6)
        axes.plot([interval.value], [place], marker="o", markersize=6.5, color=colour, markerfacecolor=fill)
        label_at(axes, f"{interval.value:.3f}", (interval.value, place), lift=5, side="center")
    if metrics:
        axes.axvline(next(iter(metrics.values())).value, color=COLOURS[0], linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(metrics)), [textwrap.fill(name, 22) for name in metrics])
    axes.set_ylim(len(metrics) - 0.5, -0.7)
    axes.set_xlabel(f"{metric}, with 95 % interval")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    return figure


def history_figure(
    rows: Sequence[Mapping[str, float]], *, title: str, metric: str | None = None, chosen: float | None = None
) -> Figure:
    """How a training went: training loss, the judge's `metric` and the learning rate, each over the epochs.

    rows: of `history.csv`. metric: the name of its column; `validation_loss` shares the axes of the training loss.
    chosen: the epoch whose weights were kept.
    """
    with_loss = metric == "validation_loss"
    alone = metric is not None and not with_loss
    figure, axes = blank(title, height=4.9 if alone else 4.2, ratios=(3, 2, 1) if alone else (3, 1))
    axes.set_ylabel("loss")
    panels = [("loss", axes, 0, "training loss"), ("rate", figure.axes[-1], 5, "learning rate")]
    if metric is not None:
        words = metric.replace("_", " ")
        panels.append((metric, axes if with_loss else figure.axes[1], 1, words))
        if alone:
            figure.axes[1].set_ylabel(words)
    for name, panel, place, label in sorted(panels, key=lambda panel: panel[2]):
        shown = [row for row in rows if name in row]
        epochs, values = [row["epoch"] for row in shown], [row[name] for row in shown]
        draw_line(panel, place, label, epochs, values)
        if name == metric:
            panel.lines[-1].set(marker="o", markersize=3.5)
    for panel in figure.axes:
        panel.yaxis.set_major_locator(MaxNLocator(2 if panel is figure.axes[-1] else 4))
        if chosen is not None:
            panel.axvline(chosen, color=INK, linewidth=1.2, label="weights kept" if panel is axes else None)
    figure.axes[-1].set(ylim=(0, None), ylabel="rate", xlabel="epoch")
    figure.axes[-1].xaxis.set_major_locator(MaxNLocator(6, integer=True))
    figure.align_ylabels()
    legend_below(axes)
    return figure


def blank(title: str, *, height: float = 3.7, ratios: tuple[int, ...] | None = None) -> tuple[Figure, Axes]:
    """Axes in the house style, one below the other where there are `ratios`; the title names the finding."""
    # 4.6 inches: a telephone shows it at about its true size, so that 8.5 points stay legible there.
    figure = Figure(figsize=(4.6, height), layout="constrained")
    if ratios is None:
        all_axes = [figure.add_subplot()]
    else:
        all_axes = list(figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios))
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(GREY)
        axes.tick_params(colors=INK, labelsize=9, color=GREY)
        axes.xaxis.label.set(fontsize=9, color=INK)
        axes.yaxis.label.set(fontsize=9, color=INK)
        axes.grid(color="#E4E8ED", linewidth=0.6)
        axes.set_axisbelow(True)
    figure.suptitle(wrapped(title), x=0.01, ha="left", fontsize=9.5, fontweight="bold", color=INK)
    return figure, all_axes[0]


def wrapped(title: str) -> str:
    """In lines of 54 characters, with a number and its per cent sign on one of them."""
    return textwrap.fill(title.replace(" %", "\u00a0%"), 54).replace("\u00a0", " ")


def draw_line(axes: Axes, place: int, name: str, x: Sequence[float], y: Sequence[float]) -> None:
    axes.plot(
        x,
        y,
        label=name,
        color=COLOURS[place % len(COLOURS)],
        linestyle=DASHES[place % len(DASHES)],
        linewidth=2.2 if place == 0 else 1.2,
        zorder=4 if place == 0 else 3,
    )


def label_at(axes: Axes, text: str, at: tuple[float, float], *, lift: float, side: Literal["right", "center"]) -> None:
    axes.annotate(
        text,
        at,
        (0, lift),
        textcoords="offset points",
        ha=side,
        va="bottom",
        fontsize=8.5,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
    )


def _draw_mark(axes: Axes, mark: OperatingMark) -> None:
    def arms(value: float, ends: tuple[float, float] | None) -> list[list[float]] | None:
        return None if ends is None else [[value - ends[0]], [ends[1] - value]]

    axes.errorbar(
        [mark.fpr],
        [mark.tpr],
        arms(mark.tpr, mark.tpr_ends),
        arms(mark.fpr, mark.fpr_ends),
        fmt="D",
        markersize=7,
        color=INK,
        markeredgecolor="white",
        linewidth=1.2,
        capsize=3,
        label=mark.label,
        zorder=5,
    )


def _draw_cutoff(axes: Axes, cutoff: Cutoff) -> None:
    if cutoff.band is not None:
        axes.axvspan(*cutoff.band, facecolor="#5B6672", alpha=0.15, linewidth=0, label=cutoff.band_label)
    axes.axvline(cutoff.threshold, color=INK, linewidth=1.2, label=cutoff.label)


def per_cent(axes: Axes, which: str, *, ticks: int = 5) -> None:
    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_locator(MaxNLocator(5 if name == "x" else ticks))
        axis.set_major_formatter(lambda share, _: f"{100 * share:.3g}")


def legend_below(axes: Axes) -> None:
    """Below the axes, where it hides no line however long the names are."""
    handles, labels = axes.get_legend_handles_labels()
    names = [textwrap.fill(str(label), 32) for label in labels]
    axes.get_figure(root=True).legend(  # type: ignore[union-attr]
        handles, names, loc="outside lower left", ncols=2, fontsize=8.5, frameon=False, alignment="left"
    )
