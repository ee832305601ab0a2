"""What the fraud pipeline learns: detectors on presumed good rows, models, calibration, the line of the budget. Always
from earlier periods than those it is judged on; no test rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from finance.fraud.budget import card_precision, days_of, threshold_for
from finance.fraud.detectors import Detector
from finance.fraud.explain import Usual, usual_of
from finance.fraud.inputs import columns_of, rows_of
from finance.fraud.members import OURS, SIMPLE, FraudNet, Model, Scores, combine, fit_members
from finance.fraud.prepare import FEATURES, Prepared, read, read_definition
from finance.fraud.sequence import SequenceModel
from finance.fraud.settings import Fraud
from finance.fraud.transactions import FRAUD, UNIT
from lepton_solutions import metrics
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

LEARNED, MODELS = "learned.json", "models"
KINDS: dict[str, type[FraudNet] | type[SequenceModel] | type[Boosting] | type[Additive]] = {
    "mlp": FraudNet,
    "sequence": SequenceModel,  # where last payments are read
    "lightgbm": Boosting,
    "logistic": Additive,
}


def train(settings: Fraud, run: Path, out: Path, progress: Progress) -> None:
    """All models on the train period, chosen on validation, calibrated and given their line on calibration days."""
    prepared = read(run)
    definition = read_definition(run)
    columns = columns_of(definition, prepared.transactions.columns)
    parts = {part: sample_of(run, prepared, part) for part in (TRAIN, VALIDATION, CALIBRATION)}
    stake = prepared.transactions.amount[prepared.rows(TRAIN)] / UNIT
    models, detectors = fit_members(
        settings, columns, prepared.transactions.columns, parts[TRAIN], parts[VALIDATION],
        stake=stake, progress=progress, folder=run / "training",
    )  # fmt: skip
    for name, model in models.items():
        model.save(out / MODELS / name)
    models[OURS] = combination = combine(models, parts[VALIDATION])
    progress.update(0.95, "calibration")
    held = prepared.transactions.take(prepared.rows(CALIBRATION))
    period = prepared.card.parts[PARTS[CALIBRATION]].period
    days = partial(days_of, held, begin=period.begin, end=period.end)
    decisions, validation = {}, {}
    for name, scores in {**models, **detectors}.items():
        logit = scores.logit(parts[CALIBRATION].rows)
        slope, intercept = platt(logit, parts[CALIBRATION].target, parts[CALIBRATION].weight)
        probability = sigmoid(slope * logit + intercept)
        line = threshold_for(days(probability), settings.decision.budget)
        decisions[name] = Decision(slope, intercept, line, line, line, below="pass", at_or_above="investigate")
        validation[name] = _validation(settings, prepared, parts[VALIDATION], scores)
    baseline = max(SIMPLE, key=lambda name: validation[name]["average_precision"])
    write_json(
        out / LEARNED,
        {
            "baseline": baseline,
            "combine": list(combination.models),
            "validation": validation,
            "decisions": {name: decision.to_json() for name, decision in decisions.items()},
            "plan": json.loads((run / "training" / "mlp" / PLAN).read_text(encoding="utf-8")),
        },
    )
    best = validation[baseline]["average_precision"]
    progress.update(1.0, f"validation average precision {validation[OURS]['average_precision']:.3f}, "
                    f"best baseline {baseline} {best:.3f}")  # fmt: skip


def sample_of(run: Path, prepared: Prepared, part: int) -> Sample:
    """The rows of a part as a model reads them, with their outcomes."""
    place = prepared.rows(part)
    kept = np.flatnonzero(prepared.part >= 0)
    features = np.load(run / FEATURES, mmap_mode="r")[np.searchsorted(kept, place)]
    rows = rows_of(features, prepared.transactions.extras.take(place))
    return Sample(rows, prepared.transactions.label[place], np.ones(len(place)))


def load_models(run: Path) -> dict[str, Model]:
    """What `train` saved, and the combination."""
    places = {name: run / MODELS / name for name in KINDS}
    models: dict[str, Model] = {name: KINDS[name].load(place) for name, place in places.items() if place.is_dir()}
    return {**models, OURS: Combination({name: models[name] for name in read_learned(run)["combine"]})}


def detectors_of(models: Mapping[str, Model]) -> dict[str, Detector]:
    """Those whose scores the network reads, by kind."""
    network = models["mlp"]
    assert isinstance(network, FraudNet)
    return {detector.kind: detector for detector in network.detectors}


def usual_in(prepared: Prepared, train: Sample) -> Usual:
    """What reasons are told against: the train part of a run."""
    return usual_of(train.rows, prepared.transactions.take(prepared.rows(TRAIN)), np.equal(train.target, FRAUD))


def read_learned(run: Path) -> dict:
    return json.loads((run / LEARNED).read_text(encoding="utf-8"))


def _validation(settings: Fraud, prepared: Prepared, sample: Sample, model: Scores) -> dict[str, float]:
    """AUC, average precision and card precision at the budget on validation days."""
    logit = model.logit(sample.rows)
    slope, intercept = platt(logit, sample.target, sample.weight)
    found = metrics.metric_values(sample.target, sigmoid(slope * logit + intercept), sample.weight)
    held = prepared.transactions.take(prepared.rows(VALIDATION))
    period = prepared.card.parts[PARTS[VALIDATION]].period
    days = days_of(held, logit, begin=period.begin, end=period.end)
    return {**found, "card_precision": card_precision(days, settings.decision.budget)}
