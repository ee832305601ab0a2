"""The lower bound on remaining life, over many simulated calibration fleets."""

import numpy as np
import pytest

from manufacturing.failure.bounds import FLOOR, Bound, fit_bound


def machines(count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted and actual life of rows of machines of unequal length, each off by an error of its own."""
    length = draw.integers(5, 120, count)
    machine = np.repeat(np.arange(count), length)
    actual = draw.uniform(1, 100, len(machine))
    own = draw.normal(0, 0.25, count)[machine]
    return actual * np.exp(own + draw.normal(0, 0.1, len(machine))), actual, machine


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_new_machines_outlast_the_bound_as_often_as_asked(coverage):
    draw, held = np.random.default_rng(0), []
    for _ in range(400):
        bound = fit_bound(*machines(20, draw), coverage)
        predicted, actual, _ = machines(1, draw)
        assert bound is not None
        held.append(float((actual >= bound.low(predicted)).mean()))
    error = np.std(held) / np.sqrt(len(held))
    assert np.mean(held) >= coverage - 3 * error
    assert np.mean(held) <= coverage + 1 / 21 + 3 * error + 0.02  # a step of the machines' votes, and a row's


def test_with_one_row_a_machine_it_is_the_bound_of_split_conformal_prediction():
    draw = np.random.default_rng(1)
    predicted, actual = draw.uniform(20, 90, 99), draw.uniform(20, 90, 99)
    bound = fit_bound(predicted, actual, np.arange(99), 0.9)
    floor = FLOOR * predicted.max()
    score = np.sort((predicted - actual) / (predicted + floor))
    assert bound == Bound(float(score[89]), float(floor))  # the ceil(.9 * 100)th smallest of 99


def test_a_machine_with_many_rows_has_one_vote():
    predicted, machine = np.full(1020, 10.0), np.concatenate([np.zeros(1000, int), np.arange(1, 21)])
    actual = np.where(machine == 0, 1.0, 10.0)  # one bad machine of 21 with nearly all rows
    bound = fit_bound(predicted, actual, machine, 0.9)
    assert bound is not None
    assert bound.miss == 0.0
    assert fit_bound(predicted, actual, np.arange(1020), 0.9).miss > 0.8  # counted by row it would rule


def test_nine_machines_are_needed_for_nine_in_ten():
    def of(count: int) -> Bound | None:
        return fit_bound(np.full(count, 5.0), np.full(count, 4.0), np.arange(count), 0.9)

    assert of(8) is None
    assert of(9) is not None
    assert fit_bound(np.zeros(0), np.zeros(0), np.zeros(0, int), 0.9) is None


def test_the_bound_is_never_below_zero_and_follows_the_prediction():
    bound = Bound(0.5, 10.0)
    np.testing.assert_allclose(bound.low(np.array([0.0, 10.0, 90.0])), [0.0, 0.0, 40.0])
