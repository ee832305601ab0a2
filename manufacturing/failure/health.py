"""Is a machine still as it was when it was well? `question=health` learns from healthy periods alone.

A window is summed up by each sensor's last value, mean and spread; an autoencoder that has seen only healthy ones fails
to repeat what is not like them. The index of a window is how far it fails, in units of what healthy calibration
machines reach at the false-alarm rate that is asked for: above 1 is an alarm. Each sensor has its share in it.

Beside it stands the chemist's baseline: principal components of the same summaries, T2 inside them and SPE outside.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lepton_solutions import tasks
from lepton_solutions.data.batches import Resident
from lepton_solutions.data.splits import CALIBRATION, TRAIN
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.models.autoencoder import Autoencoder
from lepton_solutions.progress import Progress
from lepton_solutions.settings import Fit
from lepton_solutions.training.loop import fit
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.settings import Failure

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
MONTH = 720.0  # units of the clock to which `decision.false_alarms` refers
HEALTHY = 0.5  # share of a life, from its start, that counts as healthy where labels do not say
QUIET = 0.1  # added to the variance of a window: a pause in the noise is no finding
FAR = 8.0  # deviations at which a summary is cut: one broken sensor is enough for an alarm, not for overflow
EXPLAINED = 0.9  # share of the variance that principal components keep, as the process literature has it
LEARN = 0.7  # share of the healthy windows that the autoencoder learns from; the later ones size its errors
EPOCHS, MOST_ROWS, MEMBER = 30, 20_000, "0.safetensors"


class Summary(nn.Module):
    """window [b, W, F] to [b, 3, k] of its first k features: last value, mean, spread, each against healthy windows."""

    def __init__(self, sensors: int) -> None:
        super().__init__()
        self.sensors = sensors
        self.register_buffer("mean", torch.zeros(3, sensors))
        self.register_buffer("std", torch.ones(3, sensors))

    def plain(self, window: Tensor) -> Tensor:
        """Before it is compared with healthy windows."""
        x = window[:, :, : self.sensors]
        mean = x.mean(1)
        spread = ((x - mean.unsqueeze(1)).square().mean(1) + QUIET).sqrt()
        return torch.stack([x[:, -1], mean, spread], dim=1)

    def forward(self, window: Tensor) -> Tensor:
        return ((self.plain(window) - self.mean) / self.std).clamp(-FAR, FAR)

    def fit(self, plain: Tensor) -> None:
        """plain: [n, 3, k], of healthy windows."""
        self.mean, self.std = plain.mean(0), plain.std(0).clamp_min(1e-3)


class Index(nn.Module):
    """window [b, W, F] to [b, 1 + k]: the index, of which more than 1 is an alarm, and each sensor's share of it, which
    sum to the index. What a kind of model cannot explain of a window, [b, k] of 0 or more, is its `surprise`.
    """

    line: Tensor

    def __init__(self, sensors: int) -> None:
        super().__init__()
        self.summary = Summary(sensors)
        self.register_buffer("line", torch.ones(()))

    def surprise(self, summary: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, window: Tensor) -> Tensor:
        surprise = self.surprise(self.summary(window)) / self.line
        return torch.cat([surprise.sum(1, keepdim=True), surprise], dim=1)


class Health(Index):
    """By the errors of an autoencoder, each against its size on healthy windows."""

    usual: Tensor

    def __init__(self, sensors: int) -> None:
        super().__init__(sensors)
        wide = 3 * sensors
        self.network = Autoencoder(wide, max(8, wide), max(2, sensors))
        self.register_buffer("usual", torch.ones(wide))

    def surprise(self, summary: Tensor) -> Tensor:
        flat = summary.flatten(1)
        errors = ((self.network(flat) - flat) / self.usual).square()
        return errors.unflatten(1, (3, self.summary.sensors)).mean(1)


class Principal(Index):
    """By T2 and SPE of principal components, each against its mean on healthy windows; as many components as rows allow
    are stored, those that do not count have no weight.
    """

    inside: Tensor
    outside: Tensor

    def __init__(self, sensors: int) -> None:
        super().__init__(sensors)
        wide = 3 * sensors
        self.register_buffer("inside", torch.zeros(wide, wide))  # T2 = x' inside x
        self.register_buffer("outside", torch.zeros(wide, wide))  # residual = outside x

    def surprise(self, summary: Tensor) -> Tensor:
        flat = summary.flatten(1)
        explained = flat * (flat @ self.inside)
        residual = (flat @ self.outside).square()
        return (explained + residual).unflatten(1, (3, self.summary.sensors)).sum(1)


def fit_health(
    windows: Tensor, settings: Fit, *, sensors: int, seed: int, watch: Callable[[float, str], None] | None = None
) -> Health:
    """windows: [n, W, F], two or more, in the order of time, of healthy machines; the first `sensors` features are the
    readings. The line is not set.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        health = Health(sensors)
    health.summary.fit(health.summary.plain(windows))
    every = health.summary(windows).flatten(1)
    # The usual error of a feature is told by windows that were not learned from: neighbours share most of their rows,
    # and what drifts slowly would seem far too sure.
    x, apart = every.tensor_split([min(len(every) - 1, max(1, round(LEARN * len(every))))])
    fit(
        health.network,
        tasks.reconstruction(),
        Resident((x,), x),
        settings.model_copy(
            update={
                "epochs": settings.epochs or EPOCHS,
                "batch_size": min(len(x), settings.batch_size or 64),
                "patience": None,
            }
        ),
        seed=seed,
        generator=torch.Generator().manual_seed(seed),
        watch=watch or (lambda share, text: None),
    )
    with torch.no_grad():
        health.usual = (health.network(apart) - apart).square().mean(0).sqrt().clamp_min(1e-2)
    return health.eval()


def fit_principal(windows: Tensor, *, sensors: int) -> Principal:
    """The baseline on the same windows."""
    found = Principal(sensors)
    found.summary.fit(found.summary.plain(windows))
    x = found.summary(windows).flatten(1).double()
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    kept = int((values.cumsum(0) < EXPLAINED * values.sum()).sum()) + 1
    inner = vectors[:, :kept]
    rest = values[kept:].sum().clamp_min(1e-9)
    found.inside = (inner / values[:kept].clamp_min(1e-9) @ inner.T / kept).float()
    found.outside = ((torch.eye(len(values), dtype=torch.float64) - inner @ inner.T) / rest.sqrt()).float()
    return found.eval()


def line_for(index: Floats, life: NDArray[np.int64], span: float, rate: float) -> tuple[float, float]:
    """The lowest line that healthy machines pass upwards at most `rate` times a month, and how often they do.

    index: [rows], of healthy rows life after life; life: [rows]. span: time that they cover, in units of the clock.
    Where so little is covered that a single alarm would be too many, it is the highest value that was seen.
    """
    before = np.where(np.append(True, life[1:] != life[:-1]), -np.inf, np.append(-np.inf, index[:-1]))
    allowed = rate * span / MONTH
    low, high = 0, len(index) - 1
    values = np.sort(index)

    def begun(line: float) -> int:
        return int(((index > line) & (before <= line)).sum())

    # From above: passings first grow as the line comes down; the first line with too many ends the search.
    for place in range(high, low - 1, -1):
        if begun(float(values[place])) > allowed:
            line = float(values[min(place + 1, high)])
            return line, begun(line) * MONTH / span
    return float(values[0]), begun(float(values[0])) * MONTH / span


def healthy_rows(fleet: Fleet) -> Bools:
    """bool [rows]: what the first label says, else the first half of each life, else all where no machine failed."""
    if fleet.label is not None:
        return fleet.label == 0
    if not np.isfinite(fleet.failed_at).any():
        return np.ones(fleet.rows, bool)
    end = np.fmax(fleet.failed_at, fleet.seen_until)
    begin = fleet.time[fleet.starts[:-1]]
    middle = begin + HEALTHY * (end - begin)
    return fleet.time <= np.repeat(middle, np.diff(fleet.starts))


def train_health(settings: Failure, fleet: Fleet, run: Path, out: Path, progress: Progress) -> None:
    """The stage for `question=health`: index and baseline on healthy rows of the train part, the line on those of the
    calibration part.
    """
    from manufacturing.failure.decisions import Decision
    from manufacturing.failure.inputs import fit_scaling
    from manufacturing.failure.learning import view_of
    from manufacturing.failure.prepare import window_of
    from manufacturing.failure.train import BASELINES, LEARNED, MEMBERS, OURS

    window = window_of(settings, fleet)
    fitted, held = fleet.of_part(TRAIN), fleet.of_part(CALIBRATION)
    rows = {TRAIN: np.flatnonzero(healthy_rows(fitted)), CALIBRATION: np.flatnonzero(healthy_rows(held))}
    for part, name in ((TRAIN, "train"), (CALIBRATION, "calibration")):
        if len(rows[part]) < 2:
            raise UserError(
                f"question=health: the {name} part of {fleet.name} holds {len(rows[part])} healthy rows",
                hint="healthy is the first label, or the first half of each life",
            )
    scaling = fit_scaling(_only(fitted, rows[TRAIN]), settings.inputs)
    views = {TRAIN: view_of(fitted, scaling, window),
             CALIBRATION: view_of(held, scaling, window)}  # fmt: skip
    draw = np.random.default_rng(settings.seed)
    some = np.sort(draw.permutation(rows[TRAIN])[:MOST_ROWS])
    windows = views[TRAIN].windows(some)
    sensors = len(scaling.kept)
    health = fit_health(windows, settings.fit, sensors=sensors, seed=settings.seed, watch=progress.update)
    principal = fit_principal(windows, sensors=sensors)
    life = held.life_of_row()[rows[CALIBRATION]]
    span = _span(held, rows[CALIBRATION])
    rates = {}
    models: dict[str, Index] = {OURS: health, "principal": principal}
    for name, model in models.items():
        index = answered(model, views[CALIBRATION].windows, rows[CALIBRATION])[:, 0]
        line, rates[name] = line_for(index, life, span, settings.decision.false_alarms)
        model.line = torch.tensor(max(line, 1e-9), dtype=torch.float32)
    (out / MEMBERS).mkdir()
    save_file(health.state_dict(), out / MEMBERS / MEMBER)
    (out / BASELINES / "principal").mkdir(parents=True)
    save_file(principal.state_dict(), out / BASELINES / "principal" / "weights.safetensors")
    decision = Decision("health", settings.decision.coverage, settings.decision.lead, 1.0, sensors=scaling.names)
    write_json(
        out / LEARNED,
        {
            "question": "health",
            "horizon": None,
            "cap": None,
            "scaling": scaling.to_json(),
            "network": {"name": "health", "window": window, "channels": sensors},
            "parameters": sum(p.numel() for p in health.parameters()),
            "members": [{"seed": settings.seed}],
            "trees": False,
            "healthy_rows": {"train": len(rows[TRAIN]), "calibration": len(rows[CALIBRATION])},
            "false_alarms": rates,
            "baseline": "principal",
            "validation": {},
            "decisions": {name: decision.to_json() for name in models},
        },
    )
    progress.update(1.0, f"{rates[OURS]:.2g} false alarms a month on healthy calibration machines")


def load_health(run: Path) -> dict[str, Index]:
    """The index that ships, under the name of what is trained, and the baseline."""
    from manufacturing.failure.train import BASELINES, MEMBERS, OURS, read_learned

    sensors = read_learned(run)["network"]["channels"]
    models: dict[str, Index] = {OURS: Health(sensors), "principal": Principal(sensors)}
    files = {OURS: run / MEMBERS / MEMBER, "principal": run / BASELINES / "principal" / "weights.safetensors"}
    for name, model in models.items():
        model.load_state_dict(load_file(files[name]))
        model.eval()
    return models


@torch.no_grad()
def answered(model: Index, windows: Callable[[NDArray[np.int64]], Tensor], ends: NDArray[np.int64]) -> Floats:
    """float64 [n, 1 + sensors]: index and contributions of the windows that end at these rows."""
    chunks = np.array_split(ends, max(1, -(-len(ends) // 4096)))
    found: Floats = np.concatenate([model(windows(some)).double().numpy() for some in chunks])
    return found


def _only(fleet: Fleet, rows: NDArray[np.int64]) -> Fleet:
    """The lives with these rows alone, for what is fitted on rows and not on lives."""
    from dataclasses import replace

    length = np.bincount(fleet.life_of_row()[rows], minlength=fleet.lives)
    return replace(
        fleet,
        values=fleet.values[rows],
        time=fleet.time[rows],
        starts=np.concatenate([[0], np.cumsum(length)]).astype(np.int64),
        label=None if fleet.label is None else fleet.label[rows],
    )


def _span(fleet: Fleet, rows: NDArray[np.int64]) -> float:
    """Time that these rows cover: as many typical steps as there are rows."""
    steps = np.diff(fleet.time)
    inside = np.diff(fleet.life_of_row()) == 0
    return len(rows) * (float(np.median(steps[inside])) if inside.any() else 1.0)
