"""Calibration at the deciding level: from pooled logits to probabilities that hold, fitted on the calibration part."""

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from lepton_solutions.data.decision import sigmoid
from lepton_solutions.errors import UserError
from lepton_solutions.training.calibrate import platt
from medical.imaging.pooling import Floats, TaskName, log_softmax

# Slopes of the log-odds, and inverse temperatures, lie between these. A network without skill gives nearly constant
# logits, and a few cases would stretch their last digits, in which two engines differ, to probabilities.
FLATTEST, STEEPEST = 1 / 20, 20.0
Line = tuple[tuple[float, ...], tuple[float, ...]]


def calibrated(task: TaskName, logit: Floats, target: np.ndarray, labels: tuple[str, ...]) -> Line:
    """Slopes and intercepts of the logits, one an output; of several classes one slope, 1 / temperature.

    logit: [units, ...]. target: [units] codes, all known, or [units, findings] with NaN for unknown. An output of which
    no unit shows both sides keeps the network's own log-odds; a binary task with one class only raises UserError.
    Source of the temperature: Guo et al. 2017.
    """
    if task == "multiclass":
        return (1 / temperature(logit, target.astype(np.int64)),), ()
    if task == "binary":
        if len(np.unique(target)) < 2:
            only = labels[int(target[0])] if len(target) else "none at all"
            raise UserError(
                f"calibration part: found {len(target)} labelled cases, only `{only}`; expected some of each class",
                hint="more images, or a larger third share in `data.parts`",
            )
        lines = [_platt(logit, target.astype(np.float64))]
    elif task == "multilabel":
        lines = [_platt_or_none(z, y) for z, y in zip(logit.T, target.T, strict=True)]
    else:
        lines = [_platt_or_none(z, (target > level).astype(np.float64)) for level, z in enumerate(logit.T)]
    return tuple(slope for slope, _ in lines), tuple(intercept for _, intercept in lines)


def temperature(logit: Floats, target: np.ndarray) -> float:
    """What the logits are divided by so that the true classes become most probable; between 1/20 and 20.

    Targets are drawn a little towards all classes, as Platt's are: (n + 1) / (n + classes) of the true one, of which
    there are n, so that a network that errs on no calibration case does not become certain of everything.
    """
    if not len(target):
        return 1.0
    classes = logit.shape[1]
    count = np.bincount(target, minlength=classes)[target][:, None]
    goal = (count * np.eye(classes)[target] + 1) / (count + classes)

    def loss(log_slope: float) -> float:
        return float(-(goal * log_softmax(np.exp(log_slope) * logit)).sum(axis=1).mean())

    found = minimize_scalar(loss, bounds=np.log([FLATTEST, STEEPEST]), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(-found.x))


def _platt_or_none(logit: Floats, target: np.ndarray) -> tuple[float, float]:
    known = ~np.isnan(target)
    z, y = logit[known], target[known]
    return (1.0, 0.0) if len(np.unique(y)) < 2 else _platt(z, y)


def _platt(logit: Floats, target: Floats) -> tuple[float, float]:
    slope, intercept = platt(logit, target, np.ones(len(target)))
    if FLATTEST <= slope <= STEEPEST:
        return slope, intercept
    slope = min(max(slope, FLATTEST), STEEPEST)
    positives, negatives = target.sum(), (1 - target).sum()
    wanted = positives * (positives + 1) / (positives + 2) + negatives / (negatives + 2)  # what Platt's targets sum to

    def excess(at: float) -> float:
        return float(sigmoid(slope * logit + at).sum() - wanted)

    reach = float(np.abs(slope * logit).max()) + 50
    return slope, float(brentq(excess, -reach, reach))
