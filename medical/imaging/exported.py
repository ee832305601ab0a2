"""What leaves the lab: raw pixels and spacing in, logit, evidence and distance out, as one module and one ONNX graph.

    exported = load(run)
    logit, evidence, distance = exported(pixels, spacing)      # pictures of any size, raw units
    Path("model.onnx").write_bytes(graph(exported))

It holds everything between a decoded picture and the network's output: resampling, the members, the flips they are
averaged over. What training cached (`store.pixels`) is resampled already and goes to `on_grid` instead.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lepton_solutions.models.resample import regrid, resize
from medical.imaging.foreign import Foreign
from medical.imaging.networks import MEMBERS, ImageNetwork, load_networks

OUTPUTS = ("logit", "map", "distance")
FOREIGN = "foreign.safetensors"
SPACE = {2: ("height", "width"), 3: ("depth", "height", "width")}


@dataclass(frozen=True)
class Grid:
    """How pictures come to the size of the network. spacing: millimetres, None: stretched. resized: else they must have
    the size already. fill: what lies outside a picture, raw units.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...] | None
    resized: bool
    fill: float

    def to_json(self) -> dict[str, object]:
        return {
            "size": list(self.size),
            "spacing": None if self.spacing is None else list(self.spacing),
            "resized": self.resized,
            "fill": self.fill,
        }

    @classmethod
    def from_json(cls, saved: dict) -> Grid:
        spacing = None if saved["spacing"] is None else tuple(saved["spacing"])
        return cls(tuple(saved["size"]), spacing, saved["resized"], saved["fill"])


def on_grid(pixels: Tensor, spacing: Tensor | None, grid: Grid) -> Tensor:
    """Pictures [n, c, *space] of any size to [n, c, *grid.size]."""
    if not grid.resized:
        return pixels
    if grid.spacing is None:
        return resize(pixels, grid.size)
    assert spacing is not None
    return regrid(pixels, spacing, target=grid.spacing, size=grid.size, fill=grid.fill)


class Exported(nn.Module):
    """The ensemble. flips: axes of space, counted from the end, over whose flips answers are averaged; () for none."""

    def __init__(
        self, networks: Sequence[ImageNetwork], foreign: Foreign, grid: Grid, *, flips: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.foreign = foreign
        self.grid = grid
        self.flips = tuple(flips)
        self.ways = [axes for k in range(len(flips) + 1) for axes in itertools.combinations(flips, k)]

    @property
    def spaced(self) -> bool:
        """Whether it asks for spacing."""
        return self.grid.spacing is not None

    @property
    def resized(self) -> bool:
        """Whether it takes pictures of any size."""
        return self.grid.resized

    @property
    def members(self) -> list[ImageNetwork]:
        return [network for network in self.networks if isinstance(network, ImageNetwork)]

    def forward(self, pixels: Tensor, spacing: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """pixels: [n, c, *any], raw units. spacing: [n, dims], millimetres, where `spaced`."""
        return self.answered(on_grid(pixels, spacing, self.grid))

    def answered(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of pixels on the grid: the mean logit, the mean evidence [n, outputs, *m], the distance [n]."""
        members, logits, maps, features = self.members, [], [], []
        for network in members:
            for axes in self.ways:
                places = network.places(pixels.flip(axes) if axes else pixels)
                logits.append(network.decided(places))
                evidence = network.evidence(places)
                maps.append(evidence.flip(axes) if axes else evidence)
                features.append(places.flatten(2).mean(2))
        return _mean(logits), _mean(maps), self.foreign(members[0].share(pixels), features[0])

    def explained(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logit and evidence, of pixels on the grid."""
        logit, evidence, _ = self.answered(pixels)
        return logit, evidence


def _mean(values: list[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(values).mean(0)


def load(run: Path) -> Exported:
    """What a run trained, in evaluation mode."""
    learned = json.loads((run / "learned.json").read_text(encoding="utf-8"))
    weights = load_file(run / MEMBERS / FOREIGN)
    networks, grid = load_networks(run), Grid.from_json(learned["grid"])
    classes, features = weights["centres"].shape
    foreign = Foreign(classes, features, len(grid.size))
    foreign.load_state_dict(weights)
    return Exported(networks, foreign, grid, flips=learned["flips"]).eval()


def graph(exported: Exported) -> bytes:
    """The ONNX graph: `pixels` float32 [n, c, *space] and, where `spaced`, `spacing` float32 [n, dims] to `OUTPUTS`.

    n is free, and so is space where the grid resizes.
    """
    from lepton_solutions.models.graphs import export_module

    form, grid = exported.members[0].form, exported.grid
    dims = len(grid.size)
    # Any size would do as an example, but for one whose sides are equal or 1.
    space = tuple(side + 3 + 2 * axis for axis, side in enumerate(grid.size)) if grid.resized else grid.size
    inputs = {"pixels": torch.rand(2, form.channels, *space) * (form.high - form.low) + form.low}
    if exported.spaced:
        inputs["spacing"] = torch.ones(2, dims)
    free = {"pixels": dict(enumerate(SPACE[dims], 2))} if grid.resized else {}
    return export_module(exported, inputs, output=OUTPUTS, free=free).SerializeToString()
