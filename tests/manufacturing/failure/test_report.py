"""The report of each question, from figures that are made up."""

import pytest

from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.run import RunMetrics, Variant
from manufacturing.failure.evaluation import Alarms, Coverage, Evaluation, Part, Policy
from manufacturing.failure.figures import DECIDES, failure_figures
from manufacturing.failure.report import key_figures
from manufacturing.failure.verdict import answer_text, bound_text, verdict


def about(value: float) -> Interval:
    return Interval(value, 0.8 * value, 1.2 * value)


def evaluation(question: str, **keys: object) -> Evaluation:
    name = DECIDES[question][0]
    facts: dict[str, object] = {
        "question": question,
        "clock": "hours",
        "horizon": 15.0,
        "asked": "at every reading",
        "baseline": "linear",
        "parts": {"calibration": Part(units=15, lives=15, rows=900, failures=12)},
        "test": {"trained": {name: about(0.5)}, "linear": {name: about(0.6)}},
        "policies": (
            Policy(policy="this model", rate=about(0.008), failures=1, services=20, wasted=30.0),
            Policy(policy="fixed interval", rate=about(0.010), failures=1, services=22, wasted=60.0),
            Policy(policy="run to failure", rate=about(0.05), failures=20, services=0),
            Policy(policy="oracle", rate=about(0.005), failures=0, services=20, wasted=0.5),
        ),
        "saved": Interval(0.002, 0.001, 0.003),
        "alarms": Alarms(lead=[3.0, 12.0, 30.0], missed=1, failures=4, false_per_month=0.4),
    }
    return Evaluation.model_validate(facts | keys)


def metrics(found: Evaluation) -> RunMetrics:
    variants = {name: Variant(label=name, test=test) for name, test in found.test.items()}
    return RunMetrics(pipeline="x", primary=DECIDES[found.question][0], chosen="trained", variants=variants)


@pytest.mark.parametrize("question", ["rul", "failure", "diagnosis", "health"])
def test_every_question_has_figures_key_figures_and_a_sentence(question):
    found = evaluation(question)
    assert {"models", "cost", "lead"} <= set(failure_figures(metrics(found), found))
    labels = [item.label for item in key_figures(metrics(found), found)]
    assert DECIDES[question][1] in labels
    assert "False alarms" in labels
    assert answer_text(found).endswith(".")


def test_what_a_run_did_not_measure_is_left_out():
    found = evaluation("diagnosis", policies=(), saved=None, alarms=None)
    assert set(failure_figures(metrics(found), found)) == {"models"}
    assert verdict(found) == "50 % of readings are given the right fault; linear model on window features: 0.6."


def test_the_verdict_names_what_is_saved_and_over_which_rule():
    assert verdict(evaluation("rul")) == (
        "Servicing by this model costs 8.00 per 1,000 hours, 20 % less than servicing at a fixed age (10.00), the "
        "cheapest rule without a model."
    )


def test_a_difference_that_chance_explains_is_not_called_a_saving():
    found = evaluation("rul", saved=Interval(0.002, -0.001, 0.005))
    assert verdict(found).startswith("Not shown to be worth using")
    assert "2.00 (-1.00 to 5.00)" in verdict(found)


def test_the_bound_is_told_with_the_machines_behind_it():
    covered = Coverage(asked=0.9, measured=Interval(0.88, 0.8, 0.95), machines=22, margin=31.0)
    text = bound_text(evaluation("rul", coverage=covered))
    assert "88 % (80 to 95 %)" in text
    assert "22 test machines" in text
    assert "12 failures of calibration machines" in text
    assert bound_text(evaluation("rul")).startswith("No lower bound can be given")


def test_no_rate_of_false_alarms_where_no_machine_was_far_from_a_failure():
    found = evaluation("rul", alarms=Alarms(lead=[3.0], missed=0, failures=1, false_per_month=None))
    assert "False alarms" not in [item.label for item in key_figures(metrics(found), found)]
