"""Which of several models may speak for a combination: those that validation rows cannot tell from the best."""

from collections.abc import Mapping

import numpy as np

from lepton_solutions.data.prepare import Sample
from lepton_solutions.models.combination import Combination, Model
from lepton_solutions.training.calibrate import platt

CLEARLY = 2.0  # standard errors of the paired difference in log loss, about 95 % of chance differences
# Share of what the best model gains over the base rate: a member that lacks more than it brings drags the mean down.
# On folds of seeds from 100 on (Taiwan, Give Me Some Credit), members that lacked 2 % helped and those at 7 % hurt.
MATERIALLY = 0.05


def combined(models: Mapping[str, Model], validation: Sample | None) -> Combination:
    """The mean log-odds of the models not clearly worse than the best on validation rows; without those, of all."""
    if validation is None or len(models) == 1:
        return Combination(models)
    logits = {name: model.logit(validation.rows) for name, model in models.items()}
    return Combination({name: models[name] for name in contenders(logits, validation.target, validation.weight)})


def contenders(logits: Mapping[str, np.ndarray], target: np.ndarray, weight: np.ndarray) -> list[str]:
    """Names of the models whose log loss is not clearly and materially above the smallest, in the order given.

    logits: log-odds [n] of each on the same validation rows, target 0 or 1 [n], weight 0 or more [n]. Each is first
    calibrated on these rows, two parameters, so that order and not scale decides. Differences are paired, row by row:
    with a hundred rows nearly all pass, with thousands only equals. After Hansen, Lunde, Nason 2011 (model confidence
    set).
    """
    losses = {}
    for name, logit in logits.items():
        slope, intercept = platt(logit, target, weight)
        losses[name] = np.logaddexp(0, np.where(target == 1, -1, 1) * (slope * logit + intercept))
    best = min(losses.values(), key=lambda loss: weight @ loss)
    share = np.average(target, weights=weight)
    gained = -share * np.log(share) - (1 - share) * np.log(1 - share) - np.average(best, weights=weight)
    return [name for name, loss in losses.items() if not _above(loss - best, weight, MATERIALLY * gained)]


def _above(difference: np.ndarray, weight: np.ndarray, least: float) -> bool:
    mean = np.average(difference, weights=weight)
    error = np.sqrt(weight**2 @ (difference - mean) ** 2) / weight.sum()
    return bool(mean > max(CLEARLY * error, least))
