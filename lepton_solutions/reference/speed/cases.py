"""What is trained in the speed bench: four data sets in memory, and a network, a loss and a batch size for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lepton_solutions import tasks
from lepton_solutions.data.columns import as_number
from lepton_solutions.data.sources import Source
from lepton_solutions.data.tables import read_table
from lepton_solutions.models.convolution import ConvNet
from lepton_solutions.models.dense import mlp
from lepton_solutions.models.recurrent import Recurrent
from lepton_solutions.tasks import Task

RATE = 1e-3  # of Adam, for every case and every loop
TAIWAN = Source(
    name="uci_default_credit_card",
    file="UCI_Credit_Card.csv.gz",
    home="https://www.kaggle.com/datasets/uciml/default-of-credit-card-clients-dataset",
    licence="CC BY 4.0",
    cite="I.-C. Yeh and C.-h. Lien, Expert Systems with Applications 36(2), 2009, doi:10.24432/C55S3H",
)
CMAPSS = Source(
    name="cmapss",
    file="train_FD001.txt.gz",
    home="https://www.nasa.gov/intelligent-systems-division/discovery-and-systems-health/pcoe/pcoe-data-set-repository/",
    licence="NASA open data",
    cite="A. Saxena, K. Goebel, D. Simon, N. Eklund, Damage propagation modeling for aircraft engine run-to-failure "
    "simulation, PHM 2008",
)
PNEUMONIA, ADRENAL = (
    Source(
        name="medmnist",
        file=file,
        home="https://zenodo.org/records/10519652",
        licence="CC BY 4.0",
        cite="J. Yang et al., MedMNIST v2, Scientific Data 10:41, 2023",
    )
    for file in ("pneumoniamnist_train_reordered.npz", "adrenalmnist3d.npz")
)

WINDOW, CAP = 30, 125  # cycles: of a window, and the remaining life that is learned at most (Heimes 2008)
# The 14 of the 21 sensors that change in FD001, counted from 1 (Zheng et al. 2017).
SENSORS = (2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 15, 17, 20, 21)
IMAGES, VOLUMES = 256, 256  # rows that are trained on, so that an epoch takes seconds


@dataclass(frozen=True)
class Rows:
    """inputs: float32 [n, ...]. target: float32 [n]. what: where they come from, for the page."""

    inputs: Tensor
    target: Tensor
    what: str


@dataclass(frozen=True)
class Case:
    """rows, network: make them; the network gives [b, 1]. task: what is learned, of an output [b]. epochs: that a loop
    is timed for in one turn, behind one to warm up."""

    rows: Callable[[], Rows]
    network: Callable[[], nn.Module]
    task: Task
    batch_size: int
    epochs: int
    network_said: str


def table() -> Rows:
    """Taiwan's 30,000 card holders, 23 columns, standardised."""
    if TAIWAN.find() is None:
        x = np.random.default_rng(0).normal(size=(30_000, 23))
        return _rows(x, x[:, 0] > 0.77, "30,000 synthetic rows of 23 columns")
    rows = read_table(str(TAIWAN.fetch())).drop_columns(["ID"])
    *columns, target = (as_number(rows.column(name), name=name) for name in rows.column_names)
    x = np.column_stack(columns)
    return _rows((x - x.mean(0)) / x.std(0), target, "Taiwan credit cards, 30,000 rows of 23 columns")


def windows() -> Rows:
    """C-MAPSS FD001: every 30 cycles in a row of 14 sensors, between 0 and 1; the target is a share of 125 cycles."""
    if CMAPSS.find() is None:
        x = np.random.default_rng(0).random((17_731, WINDOW, len(SENSORS)))
        return _rows(x, x[:, -1].mean(axis=1), "17,731 synthetic windows of 30 x 14")
    cycles = np.loadtxt(CMAPSS.fetch())
    sensors = cycles[:, [4 + number for number in SENSORS]]
    sensors = (sensors - sensors.min(0)) / np.ptp(sensors, axis=0)
    found, target = [], []
    for unit in np.unique(cycles[:, 0]):
        of_unit = sensors[cycles[:, 0] == unit]
        found.append(np.lib.stride_tricks.sliding_window_view(of_unit, WINDOW, axis=0).transpose(0, 2, 1))
        target.append(np.arange(len(of_unit) - WINDOW, -1, -1).clip(max=CAP) / CAP)
    x = np.concatenate(found)
    return _rows(x, np.concatenate(target), f"C-MAPSS FD001, {len(x):,} windows of 30 x 14")


def images() -> Rows:
    """PneumoniaMNIST at 28 px; every ninth training image, since the file is ordered by class."""
    return _medmnist(PNEUMONIA, IMAGES, (28, 28), "PneumoniaMNIST")


def volumes() -> Rows:
    """AdrenalMNIST3D at 28^3."""
    return _medmnist(ADRENAL, VOLUMES, (28, 28, 28), "AdrenalMNIST3D")


def _medmnist(source: Source, count: int, shape: tuple[int, ...], name: str) -> Rows:
    size = " x ".join(map(str, shape))
    if source.find() is None:
        x = np.random.default_rng(0).random((count, 1, *shape))
        return _rows(x, np.arange(count) % 2, f"{count} synthetic inputs of {size}")
    with np.load(source.fetch()) as arrays:
        every = np.linspace(0, len(arrays["train_images"]) - 1, count).astype(int)
        x, y = arrays["train_images"][every], arrays["train_labels"][every, 0]
    return _rows(x[:, None] / 255, y, f"{name}, {count} of its training part, {size}")


def _rows(inputs: np.ndarray, target: np.ndarray, what: str) -> Rows:
    return Rows(torch.tensor(inputs, dtype=torch.float32), torch.tensor(target, dtype=torch.float32), what)


def resnet18() -> nn.Module:
    """As it is used for small images: the first convolution 3 x 3 with stride 1, and no pooling behind it."""
    import timm

    network = timm.create_model("resnet18", num_classes=1, in_chans=1)
    network.conv1 = nn.Conv2d(1, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


class Flat(nn.Module):
    """A network whose output [b, 1] is taken as [b], as the targets of all loops are."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).squeeze(1)


def new_network(case: Case, seed: int) -> nn.Module:
    """The same weights for every loop."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Flat(case.network())


CASES = {
    "mlp": Case(table, lambda: mlp(23, 128, 128, 1), tasks.binary(), 512, 8, "MLP 23-128-128-1"),
    "lstm": Case(windows, lambda: Recurrent(14, 64, 1, layers=2), tasks.regression(), 256, 1, "LSTM, 2 layers of 64"),
    "resnet18": Case(images, resnet18, tasks.binary(), 64, 1, "ResNet-18, stem 3 x 3, stride 1"),
    "cnn3d": Case(
        volumes, lambda: ConvNet(1, (16, 32, 64), 1, dims=3), tasks.binary(), 32, 1, "3-D CNN, 16-32-64 channels"
    ),
}
