"""What the fraud pipeline learns: detectors on presumed good rows, models, calibration, the line of the budget. Always
from earlier periods than those it is judged on; no test rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finance.fraud.budget import card_precision, days_of, threshold_for
from finance.fraud.detectors import telling
from finance.fraud.explain import Usual, usual_of
from finance.fraud.forest import fit_forest
from finance.fraud.inputs import columns_of, rows_of
from finance.fraud.members import (
    FOREST,
    OURS,
    SIMPLE,
    FraudNet,
    Model,
    Scores,
    combine,
    fit_networks,
    fit_simple,
    half_the_threads,
    logits,
)
from finance.fraud.prepare import FEATURES, Prepared, kept, read, read_definition
from finance.fraud.sequence import SequenceModel
from finance.fraud.settings import Fraud
from finance.fraud.transactions import FRAUD, UNIT
from lepton_solutions import metrics
from lepton_solutions.data.columns import Columns
from lepton_solutions.data.decision import Decision, sigmoid
from lepton_solutions.data.prepare import Sample
from lepton_solutions.data.splits import CALIBRATION, PARTS, TRAIN, VALIDATION
from lepton_solutions.files import write_json
from lepton_solutions.models.boosting import Boosting
from lepton_solutions.models.combination import Combination
from lepton_solutions.models.linear import Additive
from lepton_solutions.progress import Progress
from lepton_solutions.training.calibrate import platt
from lepton_solutions.training.plan import PLAN

LEARNED, MODELS, COURSES = "learned.json", "models", "training"
KINDS: dict[str, type[FraudNet] | type[SequenceModel] | type[Boosting] | type[Additive]] = {
    "mlp": FraudNet,
    "sequence": SequenceModel,  # where last payments are read
    "lightgbm": Boosting,
    "logistic": Additive,
}


def train(settings: Fraud, run: Path, out: Path, progress: Progress) -> None:
    """All models on the train period, chosen on validation, calibrated and given their line on calibration days; and
    the same for each period before, whose models are for the evaluation alone.

    Networks are trained one after the other; trees grow, and all is judged, beside those of the next period.
    """
    prepared = read(run)
    periods = [prepared, *prepared.earlier()]
    columns = columns_of(read_definition(run), prepared.transactions.columns)
    with half_the_threads() as threads, ThreadPoolExecutor(1) as beside:
        judged = []
        for period in periods:

            def watch(share: float, text: str, *, done: int = period.period) -> None:
                progress.update((done + share) / len(periods), text)

            parts = {part: sample_of(run, period, part) for part in (TRAIN, VALIDATION, CALIBRATION)}
            simple = beside.submit(fit_simple, settings, columns, parts[TRAIN], parts[VALIDATION], threads=threads)
            networks, _ = fit_networks(
                settings, columns, period.transactions.columns, parts[TRAIN], parts[VALIDATION],
                stake=period.transactions.amount[period.rows(TRAIN)] / UNIT, watch=watch,
                folder=None if period.period else run / COURSES,
            )  # fmt: skip
            judged.append(
                beside.submit(_judge, settings, period, columns, parts, networks, simple, folder_of(out, period))
            )
        latest, *before = [one.result() for one in judged]
    plan = json.loads((run / COURSES / "mlp" / PLAN).read_text(encoding="utf-8"))
    for period, learned in zip(periods, [{**latest, "plan": plan}, *before], strict=True):
        write_json(folder_of(out, period) / LEARNED, learned)
    baseline = latest["baseline"]
    ours, best = (latest["validation"][name]["average_precision"] for name in (OURS, baseline))
    progress.update(1.0, f"validation average precision {ours:.3f}, best baseline {baseline} {best:.3f}")


def folder_of(run: Path, period: Prepared) -> Path:
    """Where a period's `models` and `learned.json` lie: those of the latest in the run folder itself."""
    return run / MODELS / f"earlier-{period.period}" if period.period else run


def _judge(
    settings: Fraud,
    prepared: Prepared,
    columns: Columns,
    parts: Mapping[int, Sample],
    networks: Mapping[str, Model],
    simple: Future[dict[str, Model]],
    out: Path,
) -> dict[str, Any]:
    """Keeps the models of one period; what was learned of them, for `learned.json`."""
    models = {**networks, **simple.result()}
    for name, model in models.items():
        model.save(out / MODELS / name)
    detectors = detectors_of(models, settings, columns, prepared, parts[TRAIN])
    models[OURS] = combination = combine(models, parts[VALIDATION])
    held = prepared.transactions.take(prepared.rows(CALIBRATION))
    period = prepared.card.parts[PARTS[CALIBRATION]].period
    days = partial(days_of, held, begin=period.begin, end=period.end)
    decisions, validation = {}, {}
    seen = logits({**models, **detectors}, parts[VALIDATION].rows)
    for name, logit in logits({**models, **detectors}, parts[CALIBRATION].rows).items():
        slope, intercept = platt(logit, parts[CALIBRATION].target, parts[CALIBRATION].weight)
        probability = sigmoid(slope * logit + intercept)
        line = threshold_for(days(probability), settings.decision.budget)
        decisions[name] = Decision(slope, intercept, line, line, line, below="pass", at_or_above="investigate")
        validation[name] = _validation(settings, prepared, parts[VALIDATION], seen[name])
    baseline = max(SIMPLE, key=lambda name: validation[name]["average_precision"])
    return {
        "baseline": baseline,
        "combine": list(combination.models),
        "validation": validation,
        "decisions": {name: decision.to_json() for name, decision in decisions.items()},
    }


def sample_of(run: Path, prepared: Prepared, part: int) -> Sample:
    """The rows of a part as a model reads them, with their outcomes."""
    place = prepared.rows(part)
    stored = np.flatnonzero(kept(prepared.parts))
    features = np.load(run / FEATURES, mmap_mode="r")[np.searchsorted(stored, place)]
    rows = rows_of(features, prepared.transactions.extras.take(place))
    return Sample(rows, prepared.transactions.label[place], np.ones(len(place)))


def load_models(folder: Path) -> dict[str, Model]:
    """What `train` saved of a period, see `folder_of`, and the combination."""
    places = {name: folder / MODELS / name for name in KINDS}
    models: dict[str, Model] = {name: KINDS[name].load(place) for name, place in places.items() if place.is_dir()}
    return {**models, OURS: Combination({name: models[name] for name in read_learned(folder)["combine"]})}


def detectors_of(
    models: Mapping[str, Model], settings: Fraud, columns: Columns, prepared: Prepared, train: Sample
) -> dict[str, Scores]:
    """What knows no label: those whose scores the network reads, and the usual forest, which is grown anew wherever it
    is asked for: that takes a second and gives the same each time.
    """
    network = models["mlp"]
    assert isinstance(network, FraudNet)
    places = telling([column.name for column in columns.numeric], prepared.transactions.columns.names)
    forest = fit_forest(train.rows.numeric[train.target != FRAUD], places, seed=settings.seed)
    return {**{detector.kind: detector for detector in network.detectors}, FOREST: forest}


def usual_in(prepared: Prepared, train: Sample) -> Usual:
    """What reasons are told against: the train part of a run."""
    return usual_of(train.rows, prepared.transactions.take(prepared.rows(TRAIN)), np.equal(train.target, FRAUD))


def read_learned(folder: Path) -> dict:
    return json.loads((folder / LEARNED).read_text(encoding="utf-8"))


def _validation(settings: Fraud, prepared: Prepared, sample: Sample, logit: NDArray[np.float64]) -> dict[str, float]:
    """AUC, average precision and card precision at the budget on validation days. logit: [n], of the sample."""
    slope, intercept = platt(logit, sample.target, sample.weight)
    found = metrics.metric_values(sample.target, sigmoid(slope * logit + intercept), sample.weight)
    held = prepared.transactions.take(prepared.rows(VALIDATION))
    period = prepared.card.parts[PARTS[VALIDATION]].period
    days = days_of(held, logit, begin=period.begin, end=period.end)
    return {**found, "card_precision": card_precision(days, settings.decision.budget)}
