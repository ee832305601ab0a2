"""What the failure pipeline measures on test machines: errors, the bound, what servicing by the model costs. Chooses
nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lepton_solutions import curves
from lepton_solutions.class_metrics import class_metrics, metric_difference
from lepton_solutions.data.splits import PARTS, TEST, TRAIN
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.progress import Progress
from manufacturing.failure import replayed
from manufacturing.failure.alarms import far_rows, watched_to_failure
from manufacturing.failure.attribution import attribution
from manufacturing.failure.decisions import Decision
from manufacturing.failure.draws import Machines, told
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.prepare import read_fleet
from manufacturing.failure.scores import penalty
from manufacturing.failure.settings import Failure
from manufacturing.failure.targets import outcome_of
from manufacturing.failure.train import OURS, answers_where_asked, read_learned

Floats = NDArray[np.float64]
MOMENTS = 20  # at which a machine that ran to its failure is asked about


def evaluate(settings: Failure, run: Path, out: Path, progress: Progress) -> None:
    """Every variant on the test part, with intervals that resample machines."""
    fleet, learned = read_fleet(run), read_learned(run)
    test = fleet.of_part(TEST)
    if fleet.question == "rul" and not np.isfinite(test.failed_at).any():
        raise UserError(
            f"question=rul: no machine of the test part is known to have failed, found {test.lives} lives",
            hint="more machines, a larger share in data.parts, or question=health, which needs no failures",
        )
    decisions = {name: Decision.from_json(saved) for name, saved in learned["decisions"].items()}
    said = answers_where_asked(run, test)
    draw = np.random.default_rng([settings.seed, 1])
    found: dict[str, object] = {
        "question": fleet.question,
        "clock": fleet.clock,
        "cap": learned["cap"],
        "horizon": learned["horizon"],
        "parts": {name: _part(fleet.of_part(code)) for code, name in enumerate(PARTS) if (fleet.part == code).any()},
        "baseline": learned["baseline"],
        "dropped": learned["scaling"]["dropped"],
        "regimes": len(learned["scaling"]["centres"]),
        "labels": list(fleet.labels),
    }
    measured = {"rul": _remaining, "failure": _failing, "diagnosis": _diagnosed, "health": _healthy}[fleet.question]
    found |= measured(settings, learned, fleet.of_part(TRAIN), test, said, decisions, draw)
    if fleet.question != "health":
        found["attribution"] = attribution(run, test)
    write_json(out / "evaluation.json", found)
    columns = decisions[OURS].applied(said[OURS], test.time)
    table = {
        "unit": np.repeat(test.unit, np.diff(test.starts)),
        "time": test.time,
        "actual": test.remaining() if test.label is None else test.label,
        **columns,
    }
    pq.write_table(pa.table({name: pa.array(value) for name, value in table.items()}), out / "predictions.parquet")
    name, first = next(iter(found["test"][OURS].items()))  # type: ignore[index]
    progress.update(1.0, f"test {name} {first['value']:.3f}")


def moments(fleet: Fleet) -> NDArray[np.int64]:
    """The rows at which remaining life is asked: the last of a machine that was cut before its failure, else 20 spread
    over its life; of lives whose end is not known, none.
    """
    found, watched = [], watched_to_failure(fleet)
    for life in np.flatnonzero(np.isfinite(fleet.failed_at)):
        begin, end = int(fleet.starts[life]), int(fleet.starts[life + 1])
        if watched[life]:
            found.append(np.unique(np.linspace(begin, max(begin, end - 2), MOMENTS).round().astype(np.int64)))
        else:
            found.append(np.array([end - 1]))
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _remaining(
    settings: Failure,
    learned: dict,
    train: Fleet,
    test: Fleet,
    said: Mapping[str, Floats],
    decisions: Mapping[str, Decision],
    draw: np.random.Generator,
) -> dict[str, object]:
    rows = moments(test)
    machines = Machines(_units(test, rows), draw)
    actual = test.remaining()[rows]
    clipped = np.minimum(actual, np.inf if learned["cap"] is None else learned["cap"])
    ours, decision = said[OURS][rows, 0], decisions[OURS]

    def rmse(name: str, truth: Floats) -> Floats:
        return np.sqrt(machines.means((said[name][rows, 0] - truth) ** 2))

    metrics = {
        name: {
            "rmse": told(rmse(name, clipped)),
            "mae": told(machines.means(np.abs(answer[rows, 0] - clipped))),
            "phm_score": told(machines.sums(penalty(answer[rows, 0], clipped))),
            "rmse_uncapped": told(rmse(name, actual)),
        }
        for name, answer in said.items()
    }
    found: dict[str, object] = {
        "asked": "at the last reading of each test machine"
        if not watched_to_failure(test).any()
        else f"at up to {MOMENTS} moments of each test machine's life",
        "test": metrics,
        "better_than_baseline": told(rmse(learned["baseline"], clipped) - rmse(OURS, clipped)),
        "bands": _bands(ours, clipped),
        "scatter": np.stack([actual, ours], 1).round(3).tolist(),
        "tracks": replayed.tracks(test, said[OURS][:, 0], decision, learned["cap"]),
    }
    if decision.bound is not None:
        low = decision.bound.low(ours)
        found["coverage"] = {
            "asked": decision.coverage,
            "measured": told(machines.by_machine((clipped >= low).astype(np.float64))),
            "machines": len(machines.rows),
            "margin": float((ours - low).mean()),
        }
    return found | _served(settings, learned, train, test, said, decision, draw)


def _failing(
    settings: Failure,
    learned: dict,
    train: Fleet,
    test: Fleet,
    said: Mapping[str, Floats],
    decisions: Mapping[str, Decision],
    draw: np.random.Generator,
) -> dict[str, object]:
    rows, happened = outcome_of("failure", test, cap=None, horizon=learned["horizon"])
    unit, outcome = _units(test, rows), happened.astype(np.int64)
    chance = {name: decisions[name].probability(answer)[rows, -1] for name, answer in said.items()}
    called = {name: decisions[name].due(answer)[rows].astype(np.int64) for name, answer in said.items()}
    metrics = {}
    for name, p in chance.items():
        found = class_metrics("binary", outcome, p, called[name], groups=unit, generator=_same(draw))
        first = [key for key in ("average_precision", "f1", "auc") if key in found]
        metrics[name] = {key: found[key].to_json() for key in [*first, *found]}
    both = 0 < outcome.sum() < len(outcome)
    shown: dict[str, object] = {
        "asked": "at every reading whose outcome is known",
        "test": metrics,
        "roc": {name: curves.roc_points(happened, p) for name, p in chance.items()} if both else {},
        "reliability": curves.reliability_bins(happened, chance[OURS]) if both else [],
    }
    if both:
        gain = metric_difference(
            "average_precision",
            "binary",
            outcome,
            (chance[OURS], called[OURS]),
            (chance[learned["baseline"]], called[learned["baseline"]]),
            groups=unit,
            generator=_same(draw),
        )
        shown["better_than_baseline"] = None if gain is None else gain.to_json()
    if test.label is None:
        shown |= _served(settings, learned, train, test, said, decisions[OURS], draw)
    return shown


def _diagnosed(
    settings: Failure,
    learned: dict,
    train: Fleet,
    test: Fleet,
    said: Mapping[str, Floats],
    decisions: Mapping[str, Decision],
    draw: np.random.Generator,
) -> dict[str, object]:
    assert test.label is not None
    rows = np.flatnonzero(test.label >= 0)
    unit, target, classes = _units(test, rows), test.label[rows], len(test.labels)
    metrics = {}
    for name, answer in said.items():
        chance = answer[rows]
        found = class_metrics("multiclass", target, chance, chance.argmax(1), groups=unit, generator=_same(draw))
        metrics[name] = {key: value.to_json() for key, value in found.items()}
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (target, said[OURS][rows].argmax(1)), 1)
    return {"asked": "at every labelled reading", "test": metrics, "confusion": confusion.tolist()}


def _healthy(
    settings: Failure,
    learned: dict,
    train: Fleet,
    test: Fleet,
    said: Mapping[str, Floats],
    decisions: Mapping[str, Decision],
    draw: np.random.Generator,
) -> dict[str, object]:
    """auc: of the index, of readings of sick machines against those of healthy ones."""
    far = far_rows(test, learned["horizon"])
    ill = np.flatnonzero((test.label > 0) if test.label is not None else ~far & np.isfinite(test.remaining()))
    well = np.flatnonzero(far)
    rows = np.concatenate([well, ill])
    sick = np.concatenate([np.zeros(len(well), np.int64), np.ones(len(ill), np.int64)])
    metrics = {}
    for name, answer in said.items():
        alarm = decisions[name].alarmed(answer)
        healthy = Machines(_units(test, well), draw).means(alarm[well].astype(np.float64)) if len(well) else None
        one = {} if healthy is None else {"alarm_rate": told(healthy)}
        if len(well) and len(ill):
            index = answer[rows, 0] / (1 + answer[rows, 0])  # keeps the order, between 0 and 1
            found = class_metrics(
                "binary", sick, index, alarm[rows].astype(np.int64), groups=_units(test, rows), generator=_same(draw)
            )
            one |= {key: found[key].to_json() for key in ("auc", "sensitivity") if key in found}
        metrics[name] = one
    if not metrics[OURS]:
        raise UserError(
            "question=health: no test reading is known to be of a healthy machine",
            hint="a shorter decision.horizon, or more machines",
        )
    alarms = replayed.alarms(test, said[OURS], decisions[OURS], learned["horizon"])
    return {"asked": "at readings of machines known to be healthy", "test": metrics, **alarms}


def _served(
    settings: Failure,
    learned: dict,
    train: Fleet,
    test: Fleet,
    said: Mapping[str, Floats],
    decision: Decision,
    draw: np.random.Generator,
) -> dict[str, object]:
    return {
        **replayed.policies(settings, train, test, said[OURS], decision, learned["horizon"], draw),
        **replayed.alarms(test, said[OURS], decision, learned["horizon"]),
    }


def _bands(predicted: Floats, actual: Floats) -> list[dict[str, float]]:
    """Fifths of the actual remaining life; fewer where many rows lie at the cap."""
    edges = np.unique(np.quantile(actual, np.linspace(0, 1, 6)))
    band = np.clip(np.searchsorted(edges, actual, side="right") - 1, 0, max(0, len(edges) - 2))
    found = []
    for number in np.unique(band):
        miss = (predicted - actual)[band == number]
        high = edges[min(number + 1, len(edges) - 1)]
        found.append({"low": float(edges[number]), "high": float(high), "rows": len(miss),
                      "rmse": float(np.sqrt((miss**2).mean())), "bias": float(miss.mean())})  # fmt: skip
    return found


def _units(fleet: Fleet, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """[n], the machine of each row."""
    return np.unique(fleet.unit, return_inverse=True)[1][fleet.life_of_row()[rows]]


def _same(draw: np.random.Generator) -> np.random.Generator:
    """Models are drawn alike: on the same machines."""
    return copy.deepcopy(draw)


def _part(part: Fleet) -> dict[str, int]:
    failures = int(np.isfinite(part.failed_at).sum())
    return {"units": len(np.unique(part.unit)), "lives": part.lives, "rows": part.rows, "failures": failures}
