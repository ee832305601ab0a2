"""From answers to decisions: the columns a reader gets, and what they are learned from."""

import json
from dataclasses import replace

import numpy as np
import pytest
from histories_settings import failure
from small_fleets import fleet

from lepton_solutions.data.splits import CALIBRATION, TRAIN
from manufacturing.failure.bounds import Bound
from manufacturing.failure.deciding import best_f1, fit_decisions
from manufacturing.failure.decisions import Decision, hazards

TIME = np.array([100.0, 200.0])


def test_a_decision_is_the_same_after_json():
    one = Decision("rul", 0.9, 2.0, 20.0, Bound(0.25, 5.0), horizon=15.0, labels=("a", "b"), alarm=-12.5)
    assert Decision.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_remaining_life_gives_a_bound_a_service_date_and_a_decision():
    found = Decision("rul", 0.9, 2.0, 20.0, Bound(0.25, 4.0)).applied(np.array([[60.0], [16.0]]), TIME)
    assert found["low"].tolist() == [44.0, 11.0]  # 60 - .25 * 64, 16 - .25 * 20
    assert found["service_by"].tolist() == [142.0, 202.0]  # 40 hours until the line, 2 to arrange it
    assert found["decision"].tolist() == ["run", "service"]


def test_without_a_line_nothing_is_ever_due():
    found = Decision("rul", 0.9, 0.0, None).applied(np.array([[0.0], [1.0]]), TIME)
    assert found["decision"].tolist() == ["run", "run"]
    assert np.isnan(found["service_by"]).all()
    assert np.isnan(found["low"]).all()


def test_probabilities_are_calibrated_bin_by_bin():
    answer = np.array([[0.1, 0.28], [0.5, 0.5]])
    np.testing.assert_allclose(hazards(answer), [[0.1, 0.2], [0.5, 0.0]])
    plain = Decision("failure", 0.9, 0.0, 0.25, horizon=8.0)
    np.testing.assert_allclose(plain.probability(answer), answer, atol=1e-8)
    odds = np.array([[0.1 / 0.9, 0.2 / 0.8]]) * 2  # an intercept of log 2 doubles the odds of each hazard
    expected = 1 - np.cumprod(1 - odds / (1 + odds), axis=1)
    np.testing.assert_allclose(replace(plain, intercept=np.log(2)).probability(answer[:1]), expected)
    assert plain.applied(answer, TIME)["decision"].tolist() == ["service", "service"]


def test_a_diagnosis_names_the_likeliest_fault_and_health_the_sensor():
    found = Decision("diagnosis", 0.9, 0.0, None, labels=("fine", "inner")).applied(np.array([[0.3, 0.7]]), TIME[:1])
    assert (found["class"][0], found["certainty"][0], found["p_fine"][0]) == ("inner", 0.7, 0.3)
    found = Decision("health", 0.9, 0.0, 1.0, sensors=("heat", "flow")).applied(np.array([[1.5, 0.2, 1.3]]), TIME[:1])
    assert (found["decision"][0], found["most"][0]) == ("alarm", "flow")


def test_the_best_f1_is_that_of_every_threshold_tried():
    from sklearn.metrics import f1_score

    draw = np.random.default_rng(0)
    happened = (draw.random(300) < 0.2).astype(float)
    probability = (0.3 * happened + draw.random(300)).round(2) / 1.3
    tried = max(f1_score(happened, probability >= line) for line in np.unique(probability))
    assert f1_score(happened, probability >= best_f1(probability, happened)) == pytest.approx(tried)


def test_lives_cut_before_their_failure_do_not_set_the_service_line():
    """Their rows end at half of the life; read as lived to the end, they would look as if no service came in time."""
    whole = fleet([(40, 40.0)] * 12, unit=[f"w{i}" for i in range(12)])
    cut = fleet([(40, 40.0)] * 12 + [(10, 90.0)] * 12)
    asked = failure()

    def line(made) -> float | None:
        part = np.where(np.arange(made.lives) % 2, TRAIN, CALIBRATION).astype(np.int8)
        answer = np.minimum(made.remaining(), 30.0)[:, None]
        said = {"trained": answer}
        return fit_decisions(asked, "rul", replace(made, part=part), said, cap=30.0, horizon=4.0)["trained"].line

    assert line(cut) == line(whole)
    assert 1 <= line(whole) < 2  # the last row that is in time; rows are an hour apart


def test_the_more_cautious_line_of_train_and_held_machines_is_kept():
    """Machines held back are answered right, train machines 5 hours too late: the lines differ by those 5 hours."""
    made = replace(fleet([(40, 40.0)] * 20), part=np.repeat([TRAIN, CALIBRATION], 10).astype(np.int8))
    late = np.where((made.part == TRAIN)[made.life_of_row()], 5.0, 0.0)
    answer = {"trained": (made.remaining() + late)[:, None]}
    found = fit_decisions(failure(), "rul", made, answer, cap=50.0, horizon=4.0)["trained"]
    assert 6 <= found.line < 7  # rows are an hour apart: these lines are one
