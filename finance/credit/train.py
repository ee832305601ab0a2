"""What the credit pipeline learns: rows made ready, models fitted and calibrated, the cut-off decided. No test rows."""

import json
from pathlib import Path

import numpy as np

from finance.credit.members import OURS, SIMPLE, Model, fit_members
from finance.credit.scorecard import Scorecard
from finance.credit.settings import Credit, DecisionSettings
from lepton_solutions import metrics
from lepton_solutions.data.decision import Decision, sigmoid
from lepton_solutions.data.findings import failures
from lepton_solutions.data.prepare import Prepared, Sample, prepare
from lepton_solutions.data.splits import CALIBRATION, TRAIN, VALIDATION
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.progress import Progress
from lepton_solutions.training.calibrate import platt
from lepton_solutions.training.plan import PLAN
from lepton_solutions.training.select import combined


def prepare_rows(settings: Credit, run: Path, out: Path) -> None:
    """Rows, split and audit; a failing audit ends the run, and `audit.json` stays to say why."""
    prepared = prepare(settings.data, settings.audit, seed=settings.seed)
    prepared.write(out)
    error = failures(prepared.findings)
    if error is not None:
        (out / "audit.json").replace(run / "audit.json")
        raise UserError(f"{prepared.facts['source']}: {error.message}", hint=error.hint)


def train(settings: Credit, run: Path, out: Path, progress: Progress) -> None:
    """All models on the train part, calibrated on the calibration part; the baseline chosen on the validation part."""
    prepared = Prepared.read(run)
    parts = {part: prepared.sample(part) for part in (TRAIN, VALIDATION, CALIBRATION)}
    models = fit_members(
        settings, prepared.columns, parts[TRAIN], parts[VALIDATION], progress=progress, folder=run / "training" / "mlp"
    )
    for name, model in models.items():
        model.save(out / "models" / name)
    models[OURS] = combination = combined({name: models[name] for name in settings.combine}, parts[VALIDATION])
    held = parts[CALIBRATION]
    slopes = {name: platt(model.logit(held.rows), held.target, held.weight) for name, model in models.items()}
    on_validation = {name: _validation(model, slopes[name], parts[VALIDATION]) for name, model in models.items()}
    baseline = max(SIMPLE, key=lambda name: on_validation[name]["auc"])
    cutoffs = {
        name: decide(settings.decision, slopes[name], model.logit(held.rows), held.weight)
        for name, model in models.items()
    }
    scorecard = models["scorecard"]
    assert isinstance(scorecard, Scorecard)
    learned = {
        "baseline": baseline,
        "combine": list(combination.models),
        "validation": on_validation,
        "decisions": {name: decision.to_json() for name, decision in cutoffs.items()},
        "plan": json.loads((run / "training" / "mlp" / PLAN).read_text(encoding="utf-8")),
        "scorecard": scorecard.points_table(),
    }
    write_json(out / "learned.json", learned)
    progress.update(1.0, f"validation auc {on_validation[OURS]['auc']:.3f}, best baseline {baseline} "
                    f"{on_validation[baseline]['auc']:.3f}")  # fmt: skip


def _validation(model: Model, platt_fit: tuple[float, float], sample: Sample) -> dict[str, float]:
    slope, intercept = platt_fit
    probability = sigmoid(slope * model.logit(sample.rows) + intercept)
    return metrics.metric_values(sample.target, probability, sample.weight)


def decide(
    settings: DecisionSettings, calibration: tuple[float, float], logit: np.ndarray, weight: np.ndarray
) -> Decision:
    """The cut-off, from the costs or from the share to approve, and the band for a person around it.

    logit, weight: [n], of the calibration part. With calibrated probabilities the cheapest cut-off has a closed form,
    cost_of_refusal / (cost_of_refusal + cost_of_default) (Elkan 2001): nothing is tuned, so nothing can leak.
    """
    slope, intercept = calibration
    log_odds = slope * logit + intercept
    if settings.approval_rate is None:
        cut = float(np.log(settings.cost_of_refusal / settings.cost_of_default))
    else:
        cut = float(np.quantile(log_odds, settings.approval_rate, weights=weight, method="inverted_cdf"))
    reach = 0.0
    if settings.review > 0:
        reach = float(np.quantile(np.abs(log_odds - cut), settings.review, weights=weight, method="inverted_cdf"))
    low, threshold, high = (float(sigmoid(np.asarray(at))) for at in (cut - reach, cut, cut + reach))
    if settings.approval_rate is not None:
        threshold = float(np.nextafter(threshold, 1))  # the applicant at the quantile is approved too
    return Decision(slope, intercept, threshold, low, high, below="approve", at_or_above="refuse")
