"""The figure that compares networks on validation images, for every task."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medical.imaging.scores import area

DRAW = np.random.default_rng(0)
LOGIT = DRAW.normal(size=(60, 3))


def test_two_classes():
    target = np.arange(60) % 2
    assert area("binary", LOGIT[:, 0], target) == pytest.approx(roc_auc_score(target, LOGIT[:, 0]))


def test_several_classes_are_the_mean_of_one_against_the_rest():
    target = np.arange(60) % 3
    share = np.exp(LOGIT) / np.exp(LOGIT).sum(1, keepdims=True)
    expected = roc_auc_score(target, share, multi_class="ovr", average="macro")
    assert area("multiclass", LOGIT, target) == pytest.approx(expected)


def test_unknown_targets_are_left_out():
    target = np.arange(60) % 2
    hidden = np.where(np.arange(60) < 10, -1, target)
    assert area("binary", LOGIT[:, 0], hidden) == area("binary", LOGIT[10:, 0], target[10:])
    labels = np.stack([target, 1 - target, target], 1).astype(float)
    labels[:10, 1] = np.nan
    parts = [area("binary", LOGIT[:, i], labels[:, i]) for i in (0, 2)]
    parts.append(area("binary", LOGIT[10:, 1], labels[10:, 1]))
    assert area("multilabel", LOGIT, labels) == pytest.approx(np.mean(parts))


def test_levels_are_the_mean_over_thresholds():
    target = np.arange(60) % 4
    expected = np.mean([roc_auc_score(target > k, LOGIT[:, k]) for k in range(3)])
    assert area("ordinal", LOGIT, target) == pytest.approx(expected)


def test_one_class_alone_says_nothing():
    assert area("binary", LOGIT[:, 0], np.ones(60, int)) == 0.5
