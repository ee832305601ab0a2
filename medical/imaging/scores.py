"""Which of two networks is better on validation images? One figure for every task, from logits and what is known."""

from __future__ import annotations

import numpy as np


def area(task: str, logit: np.ndarray, target: np.ndarray) -> float:
    """Area under the ROC curve: of the positive class; else the mean over classes (one against the rest), labels, or
    thresholds between levels. Unknown targets (-1, NaN) are left out, and columns that show one class only; 0.5 where
    nothing is left.

    logit: [n] binary, [n, classes], [n, labels], [n, levels - 1].
    """
    from sklearn.metrics import roc_auc_score

    found = []
    for score, truth in columns(task, logit, target):
        if len(np.unique(truth)) == 2:
            found.append(float(roc_auc_score(truth, score)))
    return float(np.mean(found)) if found else 0.5


def columns(task: str, logit: np.ndarray, target: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The yes-or-no questions that a task comes to: scores and truth, 0 or 1, of the known rows of each."""
    if task == "multilabel":
        known = np.isfinite(target)
        return [(logit[known[:, i], i], target[known[:, i], i]) for i in range(target.shape[1])]
    rows = target >= 0
    logit, target = logit[rows], target[rows]
    if task == "binary":
        return [(logit, target)]
    if task == "ordinal":
        return [(logit[:, k], target > k) for k in range(logit.shape[1])]
    share = logit - np.logaddexp.reduce(logit, axis=1, keepdims=True)
    return [(share[:, k], target == k) for k in range(logit.shape[1])]
