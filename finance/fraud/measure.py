"""What the fraud pipeline measures on test days: metrics, cards found within the budget, money saved, drift. Chooses
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from finance.fraud.alerts import by_day, by_scenario, line_by_week
from finance.fraud.budget import Day, Floats, card_precision, look
from finance.fraud.drift import drift
from finance.fraud.examples import examples
from finance.fraud.explain import Explainer
from finance.fraud.features import Definition
from finance.fraud.history import histories
from finance.fraud.inputs import columns_of, rows_of
from finance.fraud.members import OURS, Model, logits
from finance.fraud.money import money
from finance.fraud.prepare import Prepared, read, read_definition
from finance.fraud.replay import Ground, ground_of, replay
from finance.fraud.settings import Fraud
from finance.fraud.train import detectors_of, folder_of, load_models, read_learned, sample_of, usual_in
from finance.fraud.transactions import DAY, FRAUD, UNIT, Whole
from lepton_solutions.class_metrics import class_metrics, metric_difference
from lepton_solutions.data.columns import Rows
from lepton_solutions.data.decision import Decision
from lepton_solutions.data.splits import CALIBRATION, PARTS, TEST, TRAIN
from lepton_solutions.files import write_json
from lepton_solutions.metrics import metric_values
from lepton_solutions.progress import Progress

METRICS = ("average_precision", "auc", "brier", "ece", "log_loss")
POINTS = 200  # of a precision-recall curve
RANGES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)  # of probabilities, for declined payments


def evaluate(settings: Fraud, run: Path, out: Path, progress: Progress) -> None:
    """Every variant on the test period, with intervals that resample cards."""
    prepared, learned, definition = read(run), read_learned(run), read_definition(run)
    samples = {part: sample_of(run, prepared, part) for part in range(len(PARTS))}
    columns, models = columns_of(definition, prepared.transactions.columns), load_models(run)
    detectors = detectors_of(models, settings, columns, prepared, samples[TRAIN])
    decisions = {name: Decision.from_json(saved) for name, saved in learned["decisions"].items()}
    said = logits({**models, **detectors}, samples[TEST].rows)
    chance = {name: decisions[name].probability(logit) for name, logit in said.items()}
    ground = ground_of(prepared, TEST, seed=settings.seed)
    days = {name: ground.days(p) for name, p in chance.items()}
    budget, baseline = settings.decision.budget, learned["baseline"]
    progress.update(0.2, "metrics")
    test = {name: _measured(ground, p, decisions[name].threshold, days[name], budget) for name, p in chance.items()}
    progress.update(0.6, f"test average precision {test[OURS]['average_precision']['value']:.3f}")

    def score(part: int, place: Whole) -> Floats:
        if part == TEST:
            return chance[OURS][place]
        return decisions[OURS].probability(models[OURS].logit(samples[part].rows.take(place)))

    alerts = look(days[OURS], budget).alerts
    rows = {part: sample.rows for part, sample in samples.items()}
    explainer = Explainer(definition, columns, usual_in(prepared, samples[TRAIN]), prepared.card.read_layout().clock)
    recall = ground.interval_of(lambda times: replay(days[OURS], budget, times).recall)
    found: dict[str, Any] = {
        "unit": next(iter(ground.rows.entities), "transaction"),
        "budget": budget,
        "cost_of_case": settings.decision.cost_of_case,
        "recovered": settings.decision.recovered,
        "delay": definition.delay / DAY,
        "parts": _parts(prepared),
        "baseline": baseline,
        "combine": learned["combine"],
        "detectors": list(detectors),
        "validation": learned["validation"],
        "test": test,
        "better_than_baseline": _differences(ground, decisions, chance, days, baseline, budget),
        "precision_recall": {name: precision_recall(ground.rows.label, p) for name, p in chance.items()},
        "recall": recall.to_json(),
        "days": by_day(settings.decision, prepared, ground, days[OURS]),
        "scenarios": by_scenario(ground, days[OURS], alerts),
        "line": line_by_week(prepared, ground, days[OURS], decisions[OURS].threshold, budget),
        "declined": _declined(
            prepared, models[OURS], decisions[OURS], samples[CALIBRATION].rows, chance[OURS], definition
        ),
        "examples": examples(
            prepared, ground, days[OURS], alerts, explainer, samples[TEST].rows, models[OURS], decisions[OURS]
        ),
    }
    progress.update(0.7, "money")
    found["money"] = money(ground, days[OURS], days[baseline], settings.decision)
    progress.update(0.8, "periods before")
    found["test_periods"] = [one.card.parts[PARTS[TEST]].told for one in (prepared, *prepared.earlier())]
    found["periods"] = [
        {name: {metric: one["value"] for metric, one in measured.items()} for name, measured in test.items()},
        *(_before(settings, run, period) for period in prepared.earlier()),
    ]
    progress.update(0.9, "drift")
    found["drift"] = drift(prepared, columns, rows, score, reach=definition.reach)
    write_json(out / "evaluation.json", found)
    anomaly = {kind: said[kind] for kind in detectors}
    _write_predictions(ground, chance[OURS], anomaly, days[OURS], alerts, out)
    saved = found["money"]["saved"]["value"]
    progress.update(1.0, f"{budget} {found['unit']}s a day save {saved:,.0f} a day on test days")


def _before(settings: Fraud, run: Path, prepared: Prepared) -> dict[str, dict[str, float]]:
    """The metrics of each variant on the test days of an earlier period."""
    folder = folder_of(run, prepared)
    train, test = (sample_of(run, prepared, part) for part in (TRAIN, TEST))
    columns = columns_of(read_definition(run), prepared.transactions.columns)
    models, decisions = load_models(folder), read_learned(folder)["decisions"]
    ground, found = ground_of(prepared, TEST, seed=settings.seed), {}
    detectors = detectors_of(models, settings, columns, prepared, train)
    for name, logit in logits({**models, **detectors}, test.rows).items():
        chance = Decision.from_json(decisions[name]).probability(logit)
        values = metric_values(test.target, chance, test.weight)
        precision = card_precision(ground.days(chance), settings.decision.budget)
        found[name] = {metric: values[metric] for metric in METRICS} | {"card_precision": precision}
    return found


def precision_recall(label: NDArray[np.int8], score: Floats) -> dict[str, list[float]]:
    """Precision at each recall, from the highest score down; of a longer curve the points most even in recall.

    >>> precision_recall(np.array([1, 0, 1], np.int8), np.array([0.9, 0.8, 0.7]))["precision"]
    [1.0, 0.5, 0.666667]
    """
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=-np.inf))
    hits = np.cumsum(label[order] == FRAUD)[ends]
    recall, precision = hits / hits[-1], hits / (ends + 1)
    if len(ends) > POINTS:
        kept = np.unique(np.searchsorted(recall, np.linspace(0, 1, POINTS)).clip(max=len(ends) - 1))
        recall, precision = recall[kept], precision[kept]
    return {"recall": recall.round(6).tolist(), "precision": precision.round(6).tolist()}


def _measured(ground: Ground, p: Floats, line: float, days: Sequence[Day], budget: int) -> dict[str, Any]:
    called = (p >= line).astype(np.int64)
    label = ground.rows.label.astype(np.int64)
    found = class_metrics("binary", label, p, called, groups=ground.card, generator=ground.draws())
    precision = ground.interval_of(lambda times: replay(days, budget, times).hits.mean(axis=1) / budget)
    return {name: found[name].to_json() for name in METRICS} | {"card_precision": precision.to_json()}


def _differences(
    ground: Ground,
    decisions: Mapping[str, Decision],
    chance: Mapping[str, Floats],
    days: Mapping[str, Sequence[Day]],
    baseline: str,
    budget: int,
) -> dict[str, Any]:
    """This model's figure less that of the baseline, on the same resamples."""
    called = {name: (chance[name] >= decisions[name].threshold).astype(np.int64) for name in (OURS, baseline)}
    precision = metric_difference(
        "average_precision",
        "binary",
        ground.rows.label.astype(np.int64),
        (chance[OURS], called[OURS]),
        (chance[baseline], called[baseline]),
        groups=ground.card,
        generator=ground.draws(),
    )
    assert precision is not None  # the split gives each part both outcomes

    def cards_found(times: Floats) -> Floats:
        ours, theirs = (replay(days[name], budget, times).hits for name in (OURS, baseline))
        return (ours - theirs).mean(axis=1) / budget

    return {
        "average_precision": precision.to_json(),
        "card_precision": ground.interval_of(cards_found).to_json(),
    }


def _parts(prepared: Prepared) -> dict[str, Any]:
    parts = prepared.card.parts
    first = parts["train"].begin
    return {
        name: {
            "told": part.told,
            "begin": (part.begin - first) / DAY,
            "end": (part.end - first) / DAY,
            "rows": part.rows,
            "frauds": part.frauds,
            "amount": part.amount,
        }
        for name, part in parts.items()
    }


def _declined(
    prepared: Prepared, model: Model, decision: Decision, calibration: Rows, test: Floats, definition: Definition
) -> dict[str, Any] | None:
    """Probabilities of payments that were declined from the calibration period on, beside those of known outcome.
    calibration: the rows; test: the probabilities.
    """
    rows = prepared.transactions
    place = np.flatnonzero(rows.declined & (rows.time >= prepared.card.parts["calibration"].begin))
    if not len(place):
        return None
    features = histories(rows, definition)[place]  # those kept are of rows with an outcome
    refused = decision.probability(model.logit(rows_of(features, rows.extras.take(place))))
    known = np.concatenate([decision.probability(model.logit(calibration)), test])
    edges = np.array([*RANGES[:-1], np.inf])
    counts = [np.histogram(values, edges)[0].tolist() for values in (refused, known)]
    return {
        "rows": len(place),
        "highest": float(known.max()),
        "above": int((refused > known.max()).sum()),
        "ranges": [
            {"low": low, "high": high, "declined": some, "known": others}
            for low, high, some, others in zip(RANGES[:-1], RANGES[1:], *counts, strict=True)
        ],
    }


def _write_predictions(
    ground: Ground,
    chance: Floats,
    anomaly: Mapping[str, Floats],
    days: Sequence[Day],
    alerts: Sequence[Whole],
    out: Path,
) -> None:
    """A row a test payment; `investigate` are those of cards that are looked at on that day."""
    rows = ground.rows
    looked = np.zeros(len(rows), bool)
    for day, places in zip(days, alerts, strict=True):
        low, high = np.searchsorted(rows.time, [day.begin, day.begin + DAY])
        looked[low:high] = np.isin(ground.card[low:high], day.card[places])
    table = {
        "id": pa.array(rows.id),
        "time": pa.array(rows.time, pa.timestamp("us")),
        **{kind: pa.array(rows.levels[kind][codes]) for kind, codes in rows.entities.items()},
        "amount": pa.array(rows.amount / UNIT),
        "label": pa.array(rows.label),
        "probability": pa.array(chance),
        **{f"anomaly: {kind}": pa.array(score) for kind, score in anomaly.items()},
        "decision": pa.array(np.where(looked, "investigate", "pass")),
    }
    pq.write_table(pa.table(table), out / "predictions.parquet")
