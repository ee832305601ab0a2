"""What the page and the card say, and when they say that it is not worth it."""

import json
import re
import shutil

import pytest
from fraud_run import FraudRun, fraud_run

from finance.fraud.card import fraud_card
from finance.fraud.evaluation import AMOUNT, BASELINE, NOBODY, Evaluation, Scenario
from finance.fraud.figures import fraud_figures
from finance.fraud.report import fraud_report, key_figures
from finance.fraud.verdict import best_budget, line_text, model_text, verdict
from lepton_solutions.errors import UserError
from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.run import RunMetrics, read_record


@pytest.fixture(scope="module")
def run() -> FraudRun:
    return fraud_run()


@pytest.fixture(scope="module")
def found(run) -> Evaluation:
    return read_record(run.folder / "evaluation.json", Evaluation)


@pytest.fixture(scope="module")
def page(run) -> str:
    return fraud_report(run.folder)


def told(found: Evaluation, *, saved: float, over: tuple[float, float, float], rule: str, **beside) -> Evaluation:
    """The same with other money."""
    other = saved - over[0]
    policies = tuple(
        one.model_copy(update={"saved": Interval(other, other, other)}) if one.policy == rule else one
        for one in found.money.policies
    )
    money = found.money.model_copy(
        update={
            "saved": Interval(saved, saved - 10, saved + 10),
            "saved_over_rule": Interval(*over),
            "rule": rule,
            "policies": policies,
            **beside,
        }
    )
    return found.model_copy(update={"money": money, "combine": ("mlp", "lightgbm"), "baseline": "lightgbm"})


def test_the_page_has_its_sections_and_needs_nothing_from_outside(page):
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    for title in (
        "Money saved", "Cards found by day", "Alerts and their reasons", "Models compared", "Anomaly score alone",
        "Drift", "Declined payments", "Periods, data and audit", "Limits", "Released model", "How to reproduce it",
    ):  # fmt: skip
        assert title in titles
    assert "<script" not in page and not re.findall(r'(?:src|href)="http', page)
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL).split()


def test_figures_are_written_beside_the_page(run):
    assert (run.folder / "report.html").is_file()
    names = {file.stem for file in (run.folder / "figures").iterdir()}
    assert {"money", "days", "precision_recall", "anomaly", "score_drift", "periods", "training_mlp"} <= names


def test_every_model_is_drawn_once(run, found):
    metrics = read_record(run.folder / "metrics.json", RunMetrics)
    alone = found.model_copy(update={"combine": (found.baseline,)})
    axes = fraud_figures(metrics, alone)["precision_recall"].axes[0]
    labels = [line.get_label() for line in axes.lines]
    assert len(labels) == len(set(labels)) == 5  # ours, three more, chance


def test_savings_beyond_chance_are_told_with_the_rule_they_beat(found):
    better = told(found, saved=500, over=(200, 100, 300), rule=AMOUNT, saved_over_baseline=Interval(50, 20, 80))
    text = verdict(better)
    assert text.startswith("Looking at 5 cards a day by this model saves 500 a day, where looking at the highest ")
    assert "amounts saves 300; the best simple model, LightGBM, " in text


def test_savings_within_chance_are_not_called_savings(found):
    text = verdict(told(found, saved=120, over=(20, -50, 90), rule=AMOUNT, saved_over_baseline=Interval(0, -1, 1)))
    assert text.startswith("Not shown to be worth using: looking at 5 cards a day by this model saves 120 a day, ")
    assert "a difference of 20 (-50 to 90)" in text


def test_a_budget_that_loses_money_is_told_with_one_that_would_not(found):
    curve = found.money.curve.model_copy(
        update={"budgets": [1, 5], "saved": {**found.money.curve.saved, "this model": [30.0, -40.0]}}
    )
    losing = told(found, saved=-40, over=(-40, -60, -20), rule=NOBODY, curve=curve)
    assert "loses 40 a day, looking at nobody saves nothing" in verdict(losing)
    assert verdict(losing).endswith("With hindsight, 1 a day would have saved 30.")
    assert best_budget(losing) == (1, 30.0)


@pytest.mark.parametrize(
    ("over", "words"),
    [((5, 1, 9), "; the best"), ((-5, -9, -1), "which is more"), ((1, -3, 5), "too near to tell apart here")],
)
def test_the_best_simple_model_stands_beside_it(found, over, words):
    one = told(found, saved=500, over=(200, 100, 300), rule=AMOUNT, saved_over_baseline=Interval(*over))
    assert words in verdict(one)


def test_a_model_that_is_the_best_simple_one_says_so(found):
    alone = told(found, saved=500, over=(200, 100, 300), rule=AMOUNT).model_copy(update={"combine": ("lightgbm",)})
    assert "it is LightGBM alone" in verdict(alone) and "The model in use is LightGBM" in model_text(alone)
    assert BASELINE not in [one.policy for one in alone.policies()]
    assert alone.without_twin(["trained", "mlp", "lightgbm"]) == ["trained", "mlp"]


def test_key_figures_answer_what_is_asked_first(found):
    money, precision, *_ = key_figures(found)
    assert money.label == "Money saved a day" and "lost to fraud" in money.note
    hits, looked = sum(day.hits for day in found.days), sum(day.looked for day in found.days)
    assert precision.note == f"{hits} of {looked} cases in {len(found.days)} days"
    assert f"raised {found.line.alerts:,.0f} a day" in line_text(found)


def test_kinds_of_fraud_are_shown_where_they_are_known(run, found, tmp_path):
    kinds = (Scenario(scenario=1, cards=9, found=Interval(1.0, 0.7, 1.0)),)
    kinds += (Scenario(scenario=2, cards=20, found=Interval(0.4, 0.2, 0.6)),)
    metrics = read_record(run.folder / "metrics.json", RunMetrics)
    figures = fraud_figures(metrics, found.model_copy(update={"scenarios": kinds}))
    assert "compromised terminals, 40 %" in figures["scenarios"].get_suptitle()
    assert "scenarios" not in fraud_figures(metrics, found)


def test_an_absent_file_is_named(run, tmp_path):
    shutil.copy(run.folder / "metrics.json", tmp_path)
    shutil.copy(run.folder / "data.json", tmp_path)
    with pytest.raises(UserError, match=r"evaluation\.json: no such file"):
        fraud_report(tmp_path)


def test_names_in_the_data_cannot_write_into_the_page(run, tmp_path):
    for name in ("metrics.json", "data.json", "evaluation.json"):
        shutil.copy(run.folder / name, tmp_path)
    data = json.loads((tmp_path / "data.json").read_text())
    (tmp_path / "data.json").write_text(json.dumps(data | {"source": "<script>alert(1)</script>"}))
    assert "<script" not in fraud_report(tmp_path)


def test_the_card_says_what_it_is_for_what_it_reached_and_its_limits(run, found):
    data = json.loads((run.folder / "data.json").read_text())
    card = fraud_card(data, json.loads((run.folder / "evaluation.json").read_text()))
    value = found.test["trained"]["average_precision"].value
    for words in ("# Fraud in payments", "## Limits", f"| average_precision | {value:.3f} |", verdict(found)):
        assert words in card
    assert (run.folder / "bundle" / "card.md").read_text() == card
