"""Tennessee Eastman in `lepton bench failure`: which fault a row shows, and how long each goes unnoticed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from lepton_solutions import tasks
from lepton_solutions.data.batches import Resident
from lepton_solutions.data.series import windows_at
from lepton_solutions.models.dense import mlp
from lepton_solutions.settings import Fit
from lepton_solutions.training.loop import fit
from manufacturing.failure.health import Index, Summary, fit_health, fit_principal
from manufacturing.failure.tennessee import FAULTS, ONSET, find, read_rows

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
WINDOW = 20  # rows of a window that a fault is called by, an hour
SHORT = 8  # of one that it is noticed by: 300 rows of normal running hold too few long ones to know their spread
LEARNED = 300  # rows of normal running that train; the rest of the 500 sets the line
FALSE_ALARMS = 0.01  # of rows of normal running
RUN = 3  # rows above the line in succession that make an alarm
MINUTES = 3  # between rows


def plant(seed: int, settings: Fit) -> dict[str, object]:
    """Mean classification of the 21 faults, and per fault the delay in minutes, None where it is never found."""
    train = [read_rows(find(f"d{fault:02d}")) for fault in range(FAULTS + 1)]
    test = [read_rows(find(f"d{fault:02d}_te")) for fault in range(FAULTS + 1)]
    normal, calm = train[0][:LEARNED], train[0][LEARNED:]
    mean, std = normal.mean(0), normal.std(0)
    series = [torch.from_numpy(((rows - mean) / std).clip(-10, 10)).float() for rows in (normal, *train[1:])]
    asked = [torch.from_numpy(((rows - mean) / std).clip(-10, 10)).float() for rows in test]
    held = torch.from_numpy(((calm - mean) / std).clip(-10, 10)).float()
    windows = [_windows(rows) for rows in series]
    delays: dict[str, list[float | None]] = {}
    false: dict[str, float] = {}
    for name, model in {
        "health index": fit_health(_windows(series[0], SHORT), settings, sensors=52, seed=seed),
        "PCA, T2 and SPE": fit_principal(_windows(series[0], SHORT), sensors=52),
    }.items():
        line = float(np.quantile(_index(model, _windows(held, SHORT)), 1 - FALSE_ALARMS))
        index = [_index(model, _windows(rows, SHORT)) for rows in asked]
        delays[name] = [delay(one[ONSET:], line) for one in index[1:]]
        false[name] = float(np.mean(np.concatenate([index[0], *(one[:ONSET] for one in index[1:])]) > line))
    called = {name: learn(windows, [_windows(rows) for rows in asked], seed, settings) for name, learn in KINDS.items()}
    recall = {
        name: [float((one[ONSET:] == fault).mean()) for fault, one in enumerate(answers) if fault]
        for name, answers in called.items()
    }
    return {"recall": recall, "delay_minutes": delays, "false_alarms": false}


def delay(index: Floats, line: float) -> float | None:
    """Minutes from the first row until `RUN` rows in succession lie above the line, None where they never do.

    >>> delay(np.array([0.0, 2, 0, 2, 2, 2]), 1.0)
    15.0
    """
    over = np.convolve(index > line, np.ones(RUN), mode="valid") == RUN
    return float((int(over.argmax()) + RUN - 1) * MINUTES) if over.any() else None


def _windows(rows: torch.Tensor, window: int = WINDOW) -> torch.Tensor:
    first = torch.zeros(len(rows), dtype=torch.int64)
    return windows_at(rows, first, torch.arange(len(rows)), window)


@torch.no_grad()
def _index(model: Index, windows: torch.Tensor) -> Floats:
    found: Floats = model(windows)[:, 0].double().numpy()
    return found


def _summaries(windows: list[torch.Tensor], by: Summary) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([by(one).flatten(1) for one in windows])


def network(windows: list[torch.Tensor], asked: list[torch.Tensor], seed: int, settings: Fit) -> list[Whole]:
    """The fault of each asked row, by dense layers on the summaries of its window."""
    summary, x, target = _table(windows)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Dropout(0.1), mlp(x.shape[1], 128, 128, FAULTS + 1, dropout=0.2))
    fit(
        model,
        tasks.multiclass(FAULTS + 1),
        Resident((x,), target),
        settings.model_copy(update={"learning_rate": 2e-3, "epochs": 20, "batch_size": 128}),
        seed=seed,
        generator=torch.Generator().manual_seed(seed),
    )
    model.eval()
    with torch.no_grad():
        return [model(_summaries([one], summary)).argmax(1).numpy() for one in asked]


def forest(windows: list[torch.Tensor], asked: list[torch.Tensor], seed: int, settings: Fit) -> list[Whole]:
    """The same by a random forest on the same summaries."""
    summary, x, target = _table(windows)
    model = RandomForestClassifier(100, min_samples_leaf=2, random_state=seed, n_jobs=1).fit(x.numpy(), target.numpy())
    return [model.predict(_summaries([one], summary).numpy()) for one in asked]


def boosting(windows: list[torch.Tensor], asked: list[torch.Tensor], seed: int, settings: Fit) -> list[Whole]:
    """The same by LightGBM."""
    import lightgbm

    summary, x, target = _table(windows)
    model = lightgbm.LGBMClassifier(
        n_estimators=30,
        learning_rate=0.2,
        num_leaves=15,
        colsample_bytree=0.3,
        max_bin=63,
        random_state=seed,
        n_jobs=1,
        verbose=-1,
    ).fit(x.numpy(), target.numpy())
    return [np.asarray(model.predict(_summaries([one], summary).numpy())) for one in asked]


KINDS = {"network": network, "random forest": forest, "LightGBM": boosting}


def _table(windows: list[torch.Tensor]) -> tuple[Summary, torch.Tensor, torch.Tensor]:
    summary = Summary(windows[0].shape[2])
    summary.fit(summary.plain(windows[0]))
    target = torch.cat([torch.full((len(one),), fault) for fault, one in enumerate(windows)])
    return summary, _summaries(windows, summary), target
