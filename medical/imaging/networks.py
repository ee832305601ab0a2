"""The network that decides about an image: window, trunk, mean over all places, linear head.

Because the head is linear and behind a mean, its weights times the map say at each place how far it speaks for each
output: the class activation map (Zhou et al. 2016), which for such heads is Grad-CAM up to the number of places
(Selvaraju et al. 2017, appendix A).

    network = new_network(form, mean=(0.3,), std=(0.2,), seed=0)
    logit, evidence = network.explained(pixels)
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lepton_solutions.errors import UserError
from medical.imaging.trunks import trunk_for

MEMBERS = "members"  # folder of a run


@dataclass(frozen=True)
class Form:
    """All that fixes the shapes of a network. size: of the images that reach it, space alone; name and width: as
    `model` has them; low, high: the window, raw units; outputs: of the head, see `outputs_for`.
    """

    name: str
    width: int
    dropout: float
    task: str
    outputs: int
    channels: int
    size: tuple[int, ...]
    low: float
    high: float

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "size": list(self.size)}

    @classmethod
    def from_json(cls, saved: dict) -> Form:
        return replace(cls(**saved), size=tuple(saved["size"]))


def outputs_for(task: str, labels: int) -> int:
    """binary: one log-odds of the second label. ordinal: one for "above level k", k from 0. Else one a label."""
    return {"binary": 1, "ordinal": labels - 1}.get(task, labels)


class Levels(nn.Module):
    """Head of ordered levels: one score, and where each level begins (Cao et al. 2020), so that they stay in order."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, features))
        nn.init.normal_(self.weight, std=0.01)
        self.bias = nn.Parameter(torch.linspace(1.0, -1.0, outputs) if outputs > 1 else torch.zeros(outputs))

    def forward(self, features: Tensor) -> Tensor:
        return features @ self.weight.T + self.bias


class ImageNetwork(nn.Module):
    """Pixels [n, c, *size] in raw units, of any number type, to [n] (binary), [n, classes], [n, labels] or
    [n, levels - 1].

    They are cut to the window [low, high], which becomes 0 to 1, then standardised by the `mean` and `std` of each
    channel.
    """

    low: Tensor
    high: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, trunk: nn.Module, features: int, form: Form, *, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.form = form
        space = [1] * len(form.size)
        self.register_buffer("low", torch.tensor(float(form.low)))
        self.register_buffer("high", torch.tensor(float(form.high)))
        self.register_buffer("mean", mean.float().reshape(-1, *space))
        self.register_buffer("std", std.float().clamp(min=1e-6).reshape(-1, *space))
        self.trunk = trunk
        self.dropout = nn.Dropout(form.dropout)
        self.head = Levels(features, form.outputs) if form.task == "ordinal" else nn.Linear(features, form.outputs)

    def share(self, pixels: Tensor) -> Tensor:
        """Where in the window each pixel lies, 0 to 1."""
        return ((pixels.float() - self.low) / (self.high - self.low)).clamp(0.0, 1.0)

    def places(self, pixels: Tensor) -> Tensor:
        """The map [n, features, *m]."""
        return self.trunk((self.share(pixels) - self.mean) / self.std)

    def decided(self, places: Tensor) -> Tensor:
        """The output, of the map."""
        output = self.head(self.dropout(places.flatten(2).mean(2)))
        return output.squeeze(1) if self.form.task == "binary" else output

    def evidence(self, places: Tensor) -> Tensor:
        """Class activation maps [n, outputs, *m], of levels [n, 1, *m]: their mean is the output less its bias."""
        weight: Tensor = self.head.weight
        return (weight @ places.flatten(2)).unflatten(2, places.shape[2:])

    def forward(self, pixels: Tensor) -> Tensor:
        return self.decided(self.places(pixels))

    def explained(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The output, and the evidence for it at each place."""
        places = self.places(pixels)
        return self.decided(places), self.evidence(places)


def new_network(
    form: Form,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    seed: int,
    pretrained: bool = False,
    weights: str | None = None,
) -> ImageNetwork:
    """With random weights of that seed, or from a publisher's (`pretrained`), or from a file of `weights`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk, features = trunk_for(
            form.name, channels=form.channels, size=form.size, width=form.width, pretrained=pretrained
        )
        network = ImageNetwork(trunk, features, form, mean=torch.tensor(mean), std=torch.tensor(std))
    if weights is not None:
        take_weights(network, Path(weights).expanduser())
    return network


def take_weights(network: ImageNetwork, file: Path) -> None:
    """Start from the trunk in a safetensors file: a run's member (`members/0.safetensors`), or the trunk's own names.

    Raises UserError for a file that is no such thing, or is of another network.
    """
    try:
        found = load_file(file)
    except Exception as error:  # safetensors raises its own kinds, OSError, and more
        raise UserError(f"model.weights={file}: cannot be read as safetensors: {error}") from error
    named = {name.removeprefix("trunk."): value for name, value in found.items() if name.startswith("trunk.")} or found
    own = network.trunk.state_dict()
    if not any(name in own for name in named):  # the library's own names
        named = {f"net.{name}": value for name, value in named.items()}
    fitting = {name: value for name, value in named.items() if name in own and own[name].shape == value.shape}
    missing = [name for name in own if name not in fitting]
    if missing:
        raise UserError(
            f"model.weights={file}: is of another network: {len(missing)} of {len(own)} tensors are missing or of "
            f"another shape, first `{missing[0]}`",
            hint=f"weights of model.name={network.form.name} with as many channels",
        )
    network.trunk.load_state_dict(fitting)


def load_networks(run: Path) -> list[ImageNetwork]:
    """The members that a run trained, in evaluation mode."""
    learned = json.loads((run / "learned.json").read_text(encoding="utf-8"))
    form = Form.from_json(learned["network"])
    blank = (0.0,) * form.channels, (1.0,) * form.channels
    networks = []
    for number in range(len(learned["members"])):
        network = new_network(form, mean=blank[0], std=blank[1], seed=0)
        network.load_state_dict(load_file(run / MEMBERS / f"{number}.safetensors"))
        networks.append(network.eval())
    return networks
