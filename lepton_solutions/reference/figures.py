"""Figures of the reference cases, from saved numbers; a title is the finding."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure

from lepton_solutions.reporting.plots import COLOURS, GREY, INK

GRID = 6  # images in a row


def mistakes_figure(pictures: Sequence[tuple[Sequence[Sequence[int]], str]], *, title: str) -> Figure:
    """Images [28, 28], 0 paper to 255 ink, each with a text of two lines under it."""
    rows = -(-len(pictures) // GRID)
    figure = Figure(figsize=(4.6, 0.5 + 1.1 * rows), layout="constrained")
    for place, axes in enumerate(figure.subplots(rows, GRID, squeeze=False).ravel()):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        if place < len(pictures):
            pixels, text = pictures[place]
            axes.imshow(pixels, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
            axes.set_xlabel(text, fontsize=8.5, color=INK)
    _head(figure, title)
    return figure


def prediction_figure(predicted: Sequence[float], observed: Sequence[float], *, title: str, unit: str) -> Figure:
    """Observed against predicted values, one point a row, drawn as pixels; on the dotted line they agree."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    ends = [min(*predicted, *observed), max(*predicted, *observed)]
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle=":", label="predicted = observed")
    axes.scatter(predicted, observed, s=5, color=COLOURS[0], alpha=0.35, linewidths=0, rasterized=True)
    axes.set_xlabel(f"predicted, {unit}", fontsize=9, color=INK)
    axes.set_ylabel(f"observed, {unit}", fontsize=9, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=9, color=GREY)
    figure.legend(loc="outside lower left", fontsize=8.5, frameon=False)
    _head(figure, title)
    return figure


def _head(figure: Figure, title: str) -> None:
    figure.suptitle(textwrap.fill(title, 54), x=0.01, ha="left", fontsize=9.5, fontweight="bold", color=INK)
