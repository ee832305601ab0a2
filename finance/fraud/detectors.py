"""What is unlike the payments that are presumed good: three networks that never read a label, and a forest beside them.

    detector = fit_detector("variational", numeric, settings, seed=0)     # rows that nobody reported as fraud
    detector.logit(rows)                                                  # [n], more is stranger

Inputs are deviations from the usual: what is seldom anything but zero, such as known frauds at a terminal, is far away
as soon as it is something. Only columns that speak of the payment itself are read: how busy a card is hides what is
strange of a payment, and did so on weeks of the Handbook's payments before those that the bench reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lepton_solutions import tasks
from lepton_solutions.data.batches import Batch, Resident
from lepton_solutions.data.columns import Rows
from lepton_solutions.models.autoencoder import Autoencoder
from lepton_solutions.models.dense import mlp
from lepton_solutions.settings import Fit
from lepton_solutions.training.loop import fit

Kind = Literal["autoencoder", "variational", "one_class"]
MOST = 60_000  # rows that are learned from
EPOCHS, BATCH, RATE = 10, 256, 3e-3
HIDDEN, NARROW = 64, 8  # units beside and inside the bottleneck
FAR = 30.0  # deviations at which an input is cut
TELLING = ("amount", ": amount over mean", ": known fraud rate")  # the columns of a history that are read


class Deviations(nn.Module):
    """numeric float32 [n, columns] to deviations from the mean [n, p] of the p that are read; a missing one is 0."""

    places: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, places: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("places", torch.tensor(places, dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(len(places)))
        self.register_buffer("std", torch.ones(len(places)))

    def forward(self, numeric: Tensor) -> Tensor:
        z = (numeric[:, self.places] - self.mean) / self.std
        return torch.where(torch.isnan(z), 0.0, z).clamp(-FAR, FAR)

    def fit(self, numeric: NDArray[np.float32]) -> None:
        x = numeric[:, self.places.numpy()].astype(np.float64)
        known = ~np.isnan(x).all(0)
        mean, std = np.zeros(x.shape[1]), np.ones(x.shape[1])
        mean[known], std[known] = np.nanmean(x[:, known], 0), np.nanstd(x[:, known], 0)
        self.mean = torch.tensor(mean, dtype=torch.float32)
        self.std = torch.tensor(np.where(std > 1e-6, std, 1.0), dtype=torch.float32)


class Reconstruction(nn.Module):
    """By how much an autoencoder fails to repeat a row, [n] (Sakurada and Yairi 2014)."""

    def __init__(self, p: int) -> None:
        super().__init__()
        self.network = Autoencoder(p, HIDDEN, min(NARROW, max(1, p // 2)))

    def forward(self, x: Tensor) -> Tensor:
        return (self.network(x) - x).square().mean(1)


class Variational(nn.Module):
    """The negative evidence bound of a variational autoencoder, [n] (Kingma and Welling 2014; An and Cho 2015).

    noise [n, NARROW] is drawn while it learns; the score is that of the middle of the code.
    """

    def __init__(self, p: int) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(p, HIDDEN, 2 * NARROW), mlp(NARROW, HIDDEN, p)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        middle, log_variance = self.encoder(x).chunk(2, dim=1)
        log_variance = log_variance.clamp(-8, 8)
        code = middle if noise is None else middle + noise * (0.5 * log_variance).exp()
        apart = 0.5 * (middle.square() + log_variance.exp() - 1 - log_variance).sum(1)
        return ((self.decoder(code) - x).square().sum(1) / 2 + apart) / x.shape[1]


class OneClass(nn.Module):
    """The distance of a row's code from the middle of the good ones, [n] (Ruff et al. 2018, Deep SVDD).

    Without biases, and with the middle fixed before it learns, so that the codes cannot all fall into one point.
    """

    middle: Tensor

    def __init__(self, p: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(p, HIDDEN, bias=False), nn.Linear(HIDDEN, NARROW, bias=False)
        self.register_buffer("middle", torch.zeros(NARROW))

    def code(self, x: Tensor) -> Tensor:
        return self.last(nn.functional.leaky_relu(self.first(x), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return (self.code(x) - self.middle).square().mean(1)


NETWORKS: dict[Kind, type[nn.Module]] = {
    "autoencoder": Reconstruction,
    "variational": Variational,
    "one_class": OneClass,
}


class Detector(nn.Module):
    """numeric float32 [n, columns] in raw units to a score [n], the logarithm of what its network gives."""

    def __init__(self, kind: Kind, places: Sequence[int]) -> None:
        super().__init__()
        self.kind = kind
        self.inputs, self.network = Deviations(places), NETWORKS[kind](len(places))

    def forward(self, numeric: Tensor) -> Tensor:
        return torch.log(self.network(self.inputs(numeric)) + 1e-6)

    @torch.no_grad()
    def logit(self, rows: Rows) -> NDArray[np.float64]:
        """float64 [n]: no log-odds, but in the same order."""
        parts = torch.from_numpy(rows.numeric).split(65_536)
        return torch.cat([self(part) for part in parts]).double().numpy()

    def save(self, folder: Path) -> None:
        """Writes `KIND.safetensors`; the folder is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state_dict(), folder / f"{self.kind}.safetensors")

    @classmethod
    def load(cls, folder: Path, kind: Kind) -> Detector:
        """The inverse of `save`."""
        tensors = load_file(folder / f"{kind}.safetensors")
        found = cls(kind, tensors["inputs.places"].tolist())
        found.load_state_dict(tensors)
        return found.eval()


def telling(names: Sequence[str], own: Sequence[str]) -> list[int]:
    """Places of the columns that a detector reads. own: further columns of the data, all of which are read."""
    said = [name in own or name == TELLING[0] or any(word in name for word in TELLING[1:]) for name in names]
    return [place for place, read in enumerate(said) if read]


def fit_detector(
    kind: Kind,
    numeric: NDArray[np.float32],
    places: Sequence[int],
    settings: Fit,
    *,
    seed: int,
    watch: Callable[[float, str], None] = lambda share, text: None,
) -> Detector:
    """numeric: [n, columns] of presumed good transactions, of which up to 60,000 are drawn; places: what is read."""
    draw = np.random.default_rng(seed)
    if len(numeric) > MOST:
        numeric = numeric[np.sort(draw.choice(len(numeric), MOST, replace=False))]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        detector = Detector(kind, places)
    detector.inputs.fit(numeric)
    x = detector.inputs(torch.from_numpy(numeric))
    network = detector.network
    if isinstance(network, OneClass):
        with torch.no_grad():
            network.middle = network.code(x).mean(0)
    fit(
        network,
        tasks.anomaly(),
        Resident((x,), torch.zeros(len(x)), augment=_with_noise if kind == "variational" else None),
        settings.model_copy(
            update={
                "epochs": EPOCHS,
                "batch_size": min(BATCH, len(x)),
                "learning_rate": RATE,
                "weight_decay": 1e-2,
                "patience": None,
                "label_smoothing": 0.0,
                "mixup": 0.0,
                "balanced": False,
            }
        ),
        seed=seed,
        generator=torch.Generator().manual_seed(seed),
        watch=watch,
    )
    return detector.eval()


def _with_noise(batch: Batch) -> Batch:
    (x,) = batch.inputs
    return batch._replace(inputs=(x, torch.randn(len(x), NARROW, device=x.device)))
