"""Remaining life of C-MAPSS's engines in `lepton bench failure`, beside published figures and simple models.

Protocol: 14 sensors and the age; the target capped at 125 cycles in training and test; the last window of each test
engine. Every choice was made on training engines, a quarter of them held out and cut at random.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, stdev
from typing import cast

import numpy as np

from lepton_solutions.bench import Cell, Row, interval
from lepton_solutions.config import read_settings
from lepton_solutions.data.splits import TEST, TRAIN
from manufacturing.failure.baselines import LABELS
from manufacturing.failure.cmapss import CAP, CMAPSS_FD004
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.scores import phm_score, rmse
from manufacturing.failure.settings import Failure

NETWORK, TREES = "ours, one network", "lightgbm"
BOTH, ENSEMBLE = "ours, network and trees", "ours, networks and trees of all seeds"
# The publisher's fourth set lies in few data roots.
SETS = [name for name in ("fd001", "fd002", "fd003", "fd004") if name != "fd004" or CMAPSS_FD004.find() is not None]
SEEDS = (0, 1, 2, 3, 4)
CELLS = [
    *(Cell(name, rival, 0) for name in SETS for rival in ("average_life", "linear", TREES)),
    *(Cell(name, TREES, seed) for name in SETS for seed in SEEDS[1:]),
    *(Cell(name, NETWORK, seed) for name in SETS for seed in SEEDS),
]
# (set, who, RMSE, where it is from)
PUBLISHED = [
    ("fd001", "LSTM 2017", 16.14, "Zheng et al. 2017"),
    ("fd001", "DCNN 2018", 12.61, "Li et al. 2018"),
    ("fd001", "TMSCNN", 10.26, "as collected in later papers"),
    ("fd001", "I-GLIDE", 9.47, "as collected in later papers"),
    ("fd001", "STAR 2024", 10.61, "Sensors 2024"),
    ("fd002", "LSTM 2017", 24.49, "Zheng et al. 2017"),
    ("fd002", "DCNN 2018", 22.36, "Li et al. 2018"),
    ("fd002", "STEP transformer", 12.34, "as collected in later papers"),
    ("fd002", "STAR 2024", 13.47, "Sensors 2024"),
    ("fd003", "LSTM 2017", 16.18, "Zheng et al. 2017"),
    ("fd003", "DCNN 2018", 12.64, "Li et al. 2018"),
    ("fd003", "I-GLIDE", 8.29, "as collected in later papers"),
    ("fd003", "STAR 2024", 10.71, "Sensors 2024"),
    ("fd004", "DCNN 2018", 23.31, "Li et al. 2018"),
    ("fd004", "STAR 2024", 15.87, "Sensors 2024"),
    ("fd004", "STEP transformer", 12.10, "as collected in later papers"),
]

ABOUT = """
Remaining useful life of NASA's C-MAPSS engines (Saxena et al. 2008): root mean squared error in cycles at the last
window of each test engine, test target clipped at 125 as in training, and unclipped beside it; PHM score: the sum over
engines. 14 sensors (2, 3, 4, 7, 8, 9, 11 to 15, 17, 20, 21) and the age; regimes are found on training engines.

- Ours is `lepton run manufacturing/failure data=cmapss_fd00N` with `conf/manufacturing/failure.yaml` as it is, for all
  sets alike, trained on all published training engines: a network and LightGBM on the same window, whose answers are
  averaged. Epochs, inputs and the average were chosen on training engines, a quarter of them held out and cut at random
  cycles; no epoch is picked afterwards.
- Rows of one model: mean and Student interval over 5 seeds; `of all seeds` averages the answers of the 5 networks and
  the 5 sets of trees, and its interval resamples engines.
- Simple models read the same features of the same windows; trained on seven eighths of the training
  engines, their strength is chosen on the others.
- Test engines were answered once by the networks of each seed and once by the trees; those of FD002 once more by seed 0
  when the network still trained for 15 epochs there (12.10).
"""


def measure(task: str, model: str, seed: int) -> dict[str, object]:
    """What a model trained on all training engines says of each test engine's last window."""
    settings, fleet = engines(task)
    fitted, test = fleet.of_part(TRAIN), fleet.of_part(TEST)
    start = time.perf_counter()
    said = answer(settings, fitted, test, test.last_rows(), model, seed)
    seconds = time.perf_counter() - start
    remaining = test.remaining()[test.last_rows()]
    return {"fit_seconds": seconds, "predicted": said.round(4).tolist(), "remaining": remaining.tolist()}


def engines(task: str, **changes: object) -> tuple[Failure, Fleet]:
    """The config of a set and its engines, in their published parts."""
    from manufacturing.failure.train import suited

    asked = [f"data=cmapss_{task}", *(f"{key}={value}" for key, value in changes.items())]
    settings = read_settings("manufacturing/failure", asked, Failure)
    fleet = cast(Fleet, settings.data.source.resolve()(settings.data))
    return suited(settings, fleet), fleet


def answer(settings: Failure, fitted: Fleet, asked: Fleet, ends: np.ndarray, model: str, seed: int) -> np.ndarray:
    """Remaining life [n] in cycles."""
    from manufacturing.failure.baselines import Seen, fit_baselines, seen
    from manufacturing.failure.exported import Exported
    from manufacturing.failure.inputs import fit_scaling
    from manufacturing.failure.learning import answered, form_of, learn, view_of
    from manufacturing.failure.targets import goal_of, outcome_of
    from manufacturing.failure.train import cap_of

    cap = cap_of(settings, fitted)
    assert cap is not None
    if model == NETWORK:
        scaling = fit_scaling(fitted, settings.inputs)
        goal = goal_of("rul", fitted, cap=cap, horizon=None)
        view = view_of(fitted, scaling, settings.inputs.window or 1)
        network, _ = learn(form_of(settings, scaling, 1), view, goal, settings, seed=seed, cap=cap, horizon=None)
        found = answered(
            Exported([network], "rul", cap).eval(), view_of(asked, scaling, settings.inputs.window or 1), ends
        )
        return found[:, 0]
    chosen = np.random.default_rng(seed).permutation(fitted.lives)
    held, rest = fitted.take(np.sort(chosen[::8])), fitted.take(np.sort(np.delete(chosen, np.s_[::8])))
    scaling = fit_scaling(rest, settings.inputs)

    def looked(fleet: Fleet, rows: np.ndarray) -> Seen:
        view = view_of(fleet, scaling, settings.inputs.window or 1)
        kept = len(scaling.kept)
        return seen(view.features, view.first, fleet, rows, window=view.window, sensors=kept)

    pairs = []
    for fleet in (rest, held):
        rows, target = outcome_of("rul", fleet, cap=cap, horizon=None)
        pairs.append((looked(fleet, rows), target))
    baselines = fit_baselines(
        "rul", rest, pairs[0], pairs[1], cap=cap, sensors=len(scaling.kept), seed=seed, names=[model]
    )
    return baselines[model].answer(looked(asked, ends))[:, 0]


def rows(records: Mapping[Cell, dict]) -> list[Row]:
    """The table as far as it is measured."""
    return [*_models(records), *_ensembles(records), *_published(records)]


def scores(predicted: np.ndarray, remaining: np.ndarray) -> dict[str, float]:
    """Of test engines: RMSE with the target clipped at the cap, without, and the PHM score of the clipped target."""
    clipped = np.minimum(remaining, CAP)
    return {
        "rmse": rmse(predicted, clipped),
        "rmse_uncapped": rmse(predicted, remaining),
        "phm_score": phm_score(predicted, clipped),
    }


def _models(records: Mapping[Cell, dict]) -> Iterator[Row]:
    """One row a model and metric: mean over its seeds, Student's interval where there are several."""
    for (task, model), found in _grouped(records).items():
        each = [scores(np.array(one["predicted"]), np.array(one["remaining"])) for one in found]
        for metric in each[0]:
            value, low, high = interval([one[metric] for one in each])
            several = len(each) > 1
            yield _row(task, model, metric, value, low if several else None, high if several else None, found)


def _ensembles(records: Mapping[Cell, dict]) -> Iterator[Row]:
    """The mean answer of all seeds, with an interval that resamples engines."""
    for (task, model), found in _grouped(records).items():
        if model == BOTH and len(found) == len(SEEDS):
            predicted, remaining = _together(found)
            for metric, value in scores(predicted, remaining).items():
                chance = np.random.default_rng(0)
                drawn = [chance.integers(0, len(predicted), len(predicted)) for _ in range(1000)]
                again = [scores(predicted[rows], remaining[rows])[metric] for rows in drawn]
                low, high = np.quantile(again, [0.025, 0.975])
                yield _row(task, ENSEMBLE, metric, value, float(low), float(high), found)


def _together(found: Sequence[dict]) -> tuple[np.ndarray, np.ndarray]:
    """The mean answer of all seeds, and the truth."""
    return np.mean([one["predicted"] for one in found], axis=0), np.array(found[0]["remaining"])


def _published(records: Mapping[Cell, dict]) -> Iterator[Row]:
    for task, who, value, source in PUBLISHED:
        if any(cell.task == task for cell in records):
            yield Row(task, who, False, "rmse", value, None, None, None, None, None, f"published: {source}")


def _row(
    task: str, model: str, metric: str, value: float, low: float | None, high: float | None, found: Sequence[dict]
) -> Row:
    seconds = [one["fit_seconds"] for one in found]
    spent = sum(seconds) if model == ENSEMBLE else mean(seconds)
    peak, ours = max(one["peak_mb"] for one in found), model in (NETWORK, BOTH, ENSEMBLE)
    name = LABELS.get(model, model)
    return Row(task, name, ours, metric, value, low, high, len(found), spent, peak, "measured here")


def _grouped(records: Mapping[Cell, dict]) -> dict[tuple[str, str], list[dict]]:
    """The records of all seeds of C-MAPSS, by set and model; with those of a network and the trees of its seed."""
    groups: dict[tuple[str, str], list[dict]] = {}
    for cell, record in records.items():
        if cell.task not in SETS:
            continue
        groups.setdefault((cell.task, cell.model), []).append(record)
        trees = records.get(Cell(cell.task, TREES, cell.seed))
        if cell.model == NETWORK and trees is not None:
            groups.setdefault((cell.task, BOTH), []).append(_both(record, trees))
    return groups


def _both(network: dict, trees: dict) -> dict:
    """As `exported.combined` answers."""
    return {
        "predicted": np.mean([network["predicted"], trees["predicted"]], axis=0),
        "remaining": network["remaining"],
        "fit_seconds": network["fit_seconds"] + trees["fit_seconds"],
        "peak_mb": max(network["peak_mb"], trees["peak_mb"]),
    }


def conclusions(records: Mapping[Cell, dict]) -> str:
    """RMSE of one network and of network and trees, mean and sd over seeds, of all together, and the rivals'."""
    lines = [
        "| set | one network | trees | network and trees | of all seeds | PHM score | unclipped RMSE | seconds a fit |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    groups = _grouped(records)
    for (task, model), found in groups.items():
        if model != BOTH:
            continue
        both = scores(*_together(found))
        seconds = f"{mean(one['fit_seconds'] for one in found):.0f}"
        told = (f"**{both['rmse']:.2f}**", f"{both['phm_score']:.0f}", f"{both['rmse_uncapped']:.2f}", seconds)
        spread = [_spread(groups[task, name]) for name in (NETWORK, TREES, BOTH)]
        lines.append("| " + " | ".join((task.upper(), *spread, *told)) + " |")
    return "\n".join(lines)


def _spread(found: Sequence[dict]) -> str:
    """RMSE, mean and standard deviation over the seeds."""
    each = [scores(np.array(one["predicted"]), np.array(one["remaining"]))["rmse"] for one in found]
    return f"{mean(each):.2f}" + (f" ± {stdev(each):.2f}" if len(each) > 1 else "")
