"""Figures of models that read images: cases with what was seen in them, who was taken for whom, what is left to people.

As in `plots.py`: a figure takes saved numbers, its title is the finding, and words of a domain come in as arguments.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.plots import COLOURS, GREY, INK, blank, draw_line, legend_below, per_cent, wrapped

ABREAST = 2  # tiles in a row: on a telephone an image is then still as wide as a thumb
GAP = 0.03  # between an image and its overlay, of the width


@dataclass(frozen=True)
class Tile:
    """A case: the image, the same image with what was seen in it, and two lines of text.

    picture, overlay: uint8 [h, w, 3], of one size. circle: row, column and radius in pixels of a place to find.
    """

    picture: NDArray[np.uint8]
    overlay: NDArray[np.uint8]
    text: str
    circle: tuple[float, float, float] | None = None


def montage_figure(tiles: Sequence[Tile], *, title: str) -> Figure:
    """The tiles two abreast, each an image and to its right its overlay; what is to be found is circled in both."""
    rows = -(-len(tiles) // ABREAST)
    heights = [
        max(tile.picture.shape[0] / tile.picture.shape[1] for tile in tiles[row * 2 : row * 2 + 2])
        for row in range(rows)
    ]
    figure = Figure(
        figsize=(4.6, 0.45 + sum(1.08 * height + 0.5 for height in heights)),
        layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04),
    )
    grid = figure.subplots(rows, ABREAST, squeeze=False, height_ratios=heights).ravel()
    for place, axes in enumerate(grid):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        if place < len(tiles):
            _draw_tile(axes, tiles[place])
    figure.suptitle(wrapped(title), x=0.01, ha="left", fontsize=9.5, fontweight="bold", color=INK)
    return figure


def _draw_tile(axes: Axes, tile: Tile) -> None:
    height, width = tile.picture.shape[:2]
    step = width * (1 + GAP)
    for left, pixels in ((0.0, tile.picture), (step, tile.overlay)):
        # `none` embeds the pixels as they are, and the reader's screen enlarges them.
        axes.imshow(pixels, extent=(left, left + width, height, 0), interpolation="none")
        if tile.circle is not None:
            row, column, radius = tile.circle
            axes.add_patch(Circle((left + column + 0.5, row + 0.5), radius, fill=False, color="#56B4E9", linewidth=1.3))
    axes.set(xlim=(0, step + width), ylim=(height, 0))
    axes.set_xlabel(tile.text, fontsize=8.5, color=INK, loc="left", labelpad=3)


def confusion_figure(counts: Sequence[Sequence[int]], labels: Sequence[str], *, title: str, unit: str) -> Figure:
    """counts[true][called]. A cell is as dark as its share of the row, so that rare classes are seen as well."""
    names = [textwrap.shorten(label, 24, placeholder="…") for label in labels]
    figure, axes = blank(title, height=min(3.4 + 0.12 * len(labels), 5.2))
    table = np.asarray(counts, float)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*table.shape):
        axes.text(
            column,
            row,
            f"{counts[row][column]:,}" + (f"\n{100 * share[row, column]:.0f} %" if len(labels) <= 4 else ""),
            ha="center",
            va="center",
            fontsize=9 if len(labels) <= 8 else 7,
            color="white" if share[row, column] > 0.55 else INK,
        )
    slanted = max(map(len, names)) * len(names) > 48  # characters that fit under the axes
    places = range(len(labels))
    axes.set_xticks(places, names, rotation=40 if slanted else 0, ha="right" if slanted else "center")
    axes.set_yticks(places, names)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"called, {unit}s")
    axes.set_ylabel("true")
    return figure


def coverage_risk_figure(
    coverage: Sequence[float],
    risk: Sequence[float],
    *,
    title: str,
    unit: str,
    blind: float,
    kept: tuple[float, float] | None = None,
) -> Figure:
    """Share of wrong calls among the cases that the model keeps, against how many it keeps, the most certain first.

    blind: the share where the kept ones are drawn at random. kept: the point in use.
    """
    figure, axes = blank(title)
    draw_line(axes, 0, "the most certain kept", coverage, risk)
    axes.axhline(blind, color=GREY, linewidth=1, linestyle=":", label="kept at random")
    if kept is not None:
        axes.plot(
            *kept, "D", markersize=8, color=INK, markeredgecolor="white", linestyle="none", label="in use", zorder=5
        )
    axes.set(xlim=(0, 1.02), ylim=(0, 1.1 * max(blind, *risk, 0.01)))
    axes.set_xlabel(f"{unit}s decided by the model, %")
    axes.set_ylabel("of these, called wrongly, %")
    per_cent(axes, "xy")
    legend_below(axes)
    return figure


def set_size_figure(sizes: Sequence[float], *, title: str, unit: str) -> Figure:
    """How many labels are left open: share of cases whose set holds none, one, two ... of them."""
    figure, axes = blank(title, height=2.9)
    axes.bar(range(len(sizes)), sizes, color=COLOURS[0], width=0.65)
    for size, share in enumerate(sizes):
        axes.annotate(
            f"{100 * share:.0f} %", (size, share), (0, 2), textcoords="offset points", ha="center", fontsize=8.5
        )
    axes.set(ylim=(0, 1.12 * max(sizes, default=1)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("labels in the set")
    axes.set_ylabel(f"share of {unit}s, %")
    axes.grid(axis="x", visible=False)
    per_cent(axes, "y")
    return figure


def pointing_figure(shares: Sequence[tuple[str, Interval]], *, title: str, chance: float, what: str) -> Figure:
    """How often a map points at what is to be found, under each kind of weights; the dotted line is a blind guess."""
    figure, axes = blank(title, height=1.5 + 0.4 * len(shares))
    for place, (_, interval) in enumerate(shares):
        colour = COLOURS[0] if place == 0 else GREY
        axes.barh(place, interval.value, color=colour, height=0.5)
        axes.plot([interval.low, interval.high], [place, place], color=INK, linewidth=1.4)
    axes.axvline(chance, color=INK, linewidth=1, linestyle=":", label="pointing blindly")
    axes.set_yticks(range(len(shares)), [textwrap.fill(name, 18) for name, _ in shares])
    axes.set(xlim=(0, 1.02), ylim=(len(shares) - 0.5, -0.5))
    axes.set_xlabel(f"{what} pointed at, %, with 95 % interval")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    per_cent(axes, "x")
    legend_below(axes)
    return figure
