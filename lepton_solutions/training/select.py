"""Which of several models may speak for a combination: those that validation rows cannot tell from the best."""

from collections.abc import Mapping

import numpy as np

from lepton_solutions.training.calibrate import platt

CLEARLY = 2.0  # standard errors of the paired difference in log loss, about 95 % of chance differences


def contenders(logits: Mapping[str, np.ndarray], target: np.ndarray, weight: np.ndarray) -> list[str]:
    """Names of the models whose log loss is not clearly worse than the smallest, in the order given.

    logits: log-odds [n] of each on the same validation rows, target 0 or 1 [n], weight 0 or more [n]. Each is first
    calibrated on these rows, two parameters, so that order and not scale decides. Differences are paired, row by row:
    with a hundred rows nearly all pass, with thousands only equals. After Hansen, Lunde, Nason 2011 (model confidence
    set).
    """
    losses = {}
    for name, logit in logits.items():
        slope, intercept = platt(logit, target, weight)
        losses[name] = np.logaddexp(0, np.where(target == 1, -1, 1) * (slope * logit + intercept))
    best = min(losses, key=lambda name: weight @ losses[name])
    return [name for name, loss in losses.items() if name == best or not _clearly_above(loss - losses[best], weight)]


def _clearly_above(difference: np.ndarray, weight: np.ndarray) -> bool:
    mean = np.average(difference, weights=weight)
    error = np.sqrt(weight**2 @ (difference - mean) ** 2) / weight.sum()
    return bool(mean > CLEARLY * error)
