"""Makes the decision: calibration, thresholds, conformal limits and what goes to a person, from calibration images.

    decision = fit_decision(settings.decision, task="binary", labels=("benign", "malignant"), level="patient",
                            logit=logit, distance=distance, target=target, units=units)    # of the calibration part

Arrays as in `medical.imaging.pooling`. The validation part chose the weights, so nothing is fitted on it.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np

from lepton_solutions.errors import UserError
from medical.imaging.calibration import calibrated
from medical.imaging.decision import ImageDecision, Level, unit_distance
from medical.imaging.pooling import MEAN, Floats, Pooling, TaskName, unit_targets
from medical.imaging.threshold import at_best_accuracy, at_sensitivity, conformal_limit


class Rules(Protocol):
    """`decision` of the config."""

    @property
    def min_sensitivity(self) -> float | None: ...
    @property
    def coverage(self) -> float: ...
    @property
    def by_class(self) -> bool: ...
    @property
    def refer(self) -> float: ...
    @property
    def out_of_distribution(self) -> float: ...


def check_rules(settings: Rules, task: TaskName) -> None:
    """Raises UserError for a rule that the task cannot follow; called before anything is read or trained."""
    if settings.min_sensitivity is not None and task not in ("binary", "multilabel"):
        raise UserError(
            f"decision.min_sensitivity: found {settings.min_sensitivity:g} with several classes, expected null: "
            "there is no single class whose cases must be found",
            hint="two classes, or model.task=multilabel, have one",
        )


def fit_decision(
    settings: Rules,
    *,
    task: TaskName,
    labels: tuple[str, ...] | list[str],
    level: Level,
    logit: np.ndarray,
    distance: np.ndarray | None,
    target: np.ndarray,
    units: np.ndarray,
    pooling: Pooling = MEAN,
) -> ImageDecision:
    """Calibration, thresholds, conformal limits and what goes to a person, from images of the calibration part.

    All is counted in units, unlabelled ones left out; they and their images still say what looks foreign. target: int64
    [n], -1 unknown, or float [n, findings], NaN unknown. Raises UserError where no unit shows a class that is needed.
    """
    check_rules(settings, task)
    _, wanted = unit_targets(target, units, task)
    z = pooling.pooled(task, logit, units)
    known = ~np.isnan(wanted).all(axis=1) if task == "multilabel" else wanted >= 0
    slope, intercept = calibrated(task, z[known], wanted[known], tuple(labels))
    far = None if distance is None else unit_distance(distance, units)
    decision = ImageDecision(
        task=task,
        labels=tuple(labels),
        level=level,
        pooling=pooling,
        slope=slope,
        intercept=intercept,
        threshold=(),
        coverage=settings.coverage,
        by_class=settings.by_class or task == "multilabel",  # of findings, those that are there have to be in the set
        limit=(),
        refer_below=None,
        distance_limit=None if far is None else _upper(far, 1 - settings.out_of_distribution),
    )
    probability, wanted = decision.probability(z[known]), wanted[known]
    decision = replace(decision, threshold=_thresholds(settings, task, tuple(labels), probability, wanted))
    decision = replace(decision, limit=_limits(settings, decision, probability, wanted))
    if settings.refer > 0:
        decision = replace(decision, refer_below=_upper(decision.certainty(probability), settings.refer))
    return decision


def _upper(values: np.ndarray, share: float) -> float:
    """The quantile, an observed value: no more than 1 - share of the values lie above it."""
    return float(np.quantile(values, share, method="higher"))


def _thresholds(
    settings: Rules, task: TaskName, labels: tuple[str, ...], probability: Floats, wanted: np.ndarray
) -> tuple[float, ...]:
    if task not in ("binary", "multilabel"):
        return ()
    found = []
    for p, y in zip(_columns(probability), _columns(wanted), strict=True):
        known = y >= 0  # neither -1 nor NaN
        p, y = p[known], y[known]
        if len(np.unique(y)) < 2 and task == "multilabel":
            found.append(0.5)  # a finding that calibration images never show, or always
        elif settings.min_sensitivity is None:
            found.append(at_best_accuracy(p, y))
        else:
            found.append(at_sensitivity(p, y, settings.min_sensitivity))
    return tuple(found)


def _limits(
    settings: Rules, decision: ImageDecision, probability: Floats, wanted: np.ndarray
) -> tuple[float | None, ...]:
    if decision.task == "multilabel":
        return tuple(
            conformal_limit(1 - p[y == 1], settings.coverage)
            for p, y in zip(_columns(probability), _columns(wanted), strict=True)
        )
    truth = wanted.astype(np.int64)
    score = 1 - decision.shares(probability)[np.arange(len(truth)), truth]
    if not settings.by_class:
        return (conformal_limit(score, settings.coverage),) * len(decision.labels)
    return tuple(conformal_limit(score[truth == code], settings.coverage) for code in range(len(decision.labels)))


def _columns(values: np.ndarray) -> np.ndarray:
    """[columns, units]."""
    return values[None] if values.ndim == 1 else values.T
