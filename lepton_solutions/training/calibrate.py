"""Calibration: from a model's log-odds to probabilities that hold, on rows the model never saw."""

import numpy as np
from scipy.optimize import minimize


def platt(logit: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the calibrated log-odds, fitted by weighted maximum likelihood.

    logit float64 [n], target 0 or 1 [n], weight 0 or more [n]; both classes must have weight. Targets are drawn a
    little towards the middle as Platt does, (n1 + 1) / (n1 + 2) and 1 / (n0 + 2), so that separable rows give a finite
    slope; the slope is kept above 0, since calibration must not turn the order of the rows.
    Source: Platt 1999, Probabilistic outputs for support vector machines, section 2.2.
    """
    positives, negatives = float(weight @ target), float(weight @ (1 - target))
    goal = np.where(target == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, intercept = np.exp(parameters[0]), parameters[1]
        z = slope * logit + intercept
        excess = weight * (1 / (1 + np.exp(-np.clip(z, -700, 700))) - goal) / weight.sum()
        value = weight @ (np.logaddexp(0, z) - goal * z) / weight.sum()
        return float(value), np.array([slope * (excess @ logit), excess.sum()])

    found = minimize(loss, np.zeros(2), jac=True, method="BFGS")
    return float(np.exp(found.x[0])), float(found.x[1])
