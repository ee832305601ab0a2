"""From log-odds to probability to word."""

import json

import numpy as np
import pytest

from lepton_solutions.data.decision import Decision, sigmoid

DECISION = Decision(2.0, -1.0, 0.5, 0.4, 0.6, below="approve", at_or_above="refuse")


def test_sigmoid_by_its_closed_form():
    assert sigmoid(np.log(np.array([1 / 3, 1, 3]))).tolist() == pytest.approx([0.25, 0.5, 0.75])


def test_sigmoid_of_large_numbers_neither_overflows_nor_loses_small_probabilities():
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(np.array([-1e6, -700, 700, 1e6])).tolist() == pytest.approx([0, np.exp(-700), 1, 1], rel=1e-12)


def test_the_probability_is_of_the_calibrated_log_odds():
    assert DECISION.probability(np.array([0.5, 1.0])).tolist() == pytest.approx([0.5, 1 / (1 + np.exp(-1))])


def test_float32_log_odds_give_float64_probabilities():
    assert DECISION.probability(np.array([0.5], dtype=np.float32)).dtype == np.float64


def test_ends_of_the_review_band():
    words = DECISION.words(np.array([0.39, 0.4, 0.5, 0.599, 0.6]))
    assert words == ["approve", "review", "review", "review", "refuse"]


def test_without_a_band_the_threshold_itself_is_refused():
    plain = Decision(1, 0, 0.5, 0.5, 0.5, below="approve", at_or_above="refuse")
    assert plain.words(np.array([np.nextafter(0.5, 0), 0.5])) == ["approve", "refuse"]


def test_no_rows_no_words():
    assert DECISION.words(np.empty(0)) == []


def test_it_survives_json_unchanged():
    assert Decision.from_json(json.loads(json.dumps(DECISION.to_json()))) == DECISION
