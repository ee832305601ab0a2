"""What a run measures on its test days, against the same figures worked out from its predictions."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from fraud_run import FURTHER, NAMES, SMALL, FraudRun, fraud_run
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from small_payments import many_payments, payments

from finance.fraud.alerts import by_scenario, line_by_week
from finance.fraud.budget import card_precision, days_of, look
from finance.fraud.evaluation import AMOUNT, HINDSIGHT, MODEL, NOBODY, Evaluation
from finance.fraud.measure import evaluate, precision_recall
from finance.fraud.money import money
from finance.fraud.replay import Ground, replay
from finance.fraud.settings import Investigation
from finance.fraud.transactions import DAY, FRAUD, HOUR, UNIT
from lepton_solutions.config import read_jobs
from lepton_solutions.pipeline import execute
from lepton_solutions.progress import Progress

ASKED = Investigation(budget=1, cost_of_case=2.0, recovered=0.5)


@pytest.fixture(scope="module")
def run() -> FraudRun:
    return fraud_run()


@pytest.fixture(scope="module")
def found(run) -> Evaluation:
    return Evaluation.model_validate_json((run.folder / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def predictions(run):
    frame = pq.read_table(run.folder / "predictions.parquet").to_pandas()
    frame["day"] = frame["time"].dt.floor("D")
    return frame


@pytest.fixture
def ground() -> Ground:
    """Two days of three cards: card 0 and 2 are hit on both."""
    rows = payments(
        [HOUR, 2 * HOUR, 3 * HOUR, DAY + HOUR, DAY + 2 * HOUR, DAY + 3 * HOUR],
        [UNIT * amount for amount in (10, 70, 3, 20, 9, 4)],
        {"card": [0, 1, 2, 0, 1, 2]},
        label=[1, 0, 1, 1, 0, 1],
    )
    rows = replace(rows, scenario=np.array([1, 0, 2, 1, 0, 3], np.int8))
    return Ground(rows, 0, 2 * DAY, seed=0)


SCORE = np.array([0.9, 0.8, 0.5, 0.95, 0.1, 0.6])


def test_a_replay_on_the_cards_there_were_is_what_looking_at_them_gives():
    rows = many_payments(400, every=HOUR)
    rows = replace(rows, label=np.abs(rows.label).astype(np.int8))
    days = days_of(rows, np.random.default_rng(0).random(400), begin=0, end=40 * DAY)
    for budget in (1, 2, 5):
        one, other = replay(days, budget, np.ones((1, 4))), look(days, budget)
        assert one.looked[0].tolist() == [len(alerts) for alerts in other.alerts]
        assert one.hits[0].tolist() == other.hits.tolist()
        assert one.open_frauds[0].tolist() == other.open_frauds.tolist()
        np.testing.assert_allclose(one.stopped[0], other.saved)


def test_a_card_drawn_twice_is_looked_at_twice_and_one_never_drawn_is_not(ground):
    days = ground.days(SCORE)
    twice = replay(days, 2, np.array([[2.0, 1.0, 1.0], [0.0, 1.0, 1.0]]))
    assert twice.hits.tolist() == [[2, 1], [1, 0]]  # then card 0 has left, and card 2 is found; without 0: 1 and 2
    assert twice.stopped.tolist() == [[20, 4], [3, 0]]
    assert twice.recall.tolist() == [1.0, 1.0]


def test_saved_is_what_came_back_less_what_looking_cost(ground):
    saved = ground.played(ground.days(SCORE), 1).saved(recovered=0.5, cost_of_case=2.0)
    assert saved.tolist() == [[0.5 * 10 - 2, 0.5 * 4 - 2]]


def test_money_of_each_way_to_choose_by_hand(ground):
    days = ground.days(SCORE)
    told = money(ground, days, days, ASKED)
    value = {policy["policy"]: policy["saved"]["value"] for policy in told["policies"]}
    assert value[MODEL] == (3 + 0) / 2
    assert value[AMOUNT] == (-2 + 0.5 * 20 - 2) / 2  # card 1 has the highest amount of the first day, and is good
    assert value[HINDSIGHT] == 3 / 2  # card 0; half of 3 or 4 is not above the cost of a look
    assert value[NOBODY] == 0 and told["rule"] == AMOUNT
    assert told["saved_over_rule"]["value"] == value[MODEL] - value[AMOUNT]
    assert told["saved_over_baseline"] == {"value": 0, "low": 0, "high": 0}
    assert told["lost"] == (13 + 24) / 2


def test_the_curve_holds_the_budget_in_use_and_each_point_is_a_replay(ground):
    days = ground.days(SCORE)
    curve = money(ground, days, days, ASKED)["curve"]
    for place, budget in enumerate(curve["budgets"]):
        once = ground.played(days, budget).saved(recovered=0.5, cost_of_case=2.0)
        assert curve["saved"][MODEL][place] == pytest.approx(once.mean())
    assert ASKED.budget in curve["budgets"]


def test_a_kind_of_fraud_is_found_where_its_card_is_looked_at_on_its_day(ground):
    days = ground.days(SCORE)
    found = {one["scenario"]: one for one in by_scenario(ground, days, look(days, 1).alerts)}
    assert {kind: (one["cards"], one["found"]["value"]) for kind, one in found.items()} == {
        1: (1, 1.0),
        2: (1, 0.0),
        3: (1, 1.0),
    }


def test_precision_at_each_recall_adds_up_to_average_precision():
    draw = np.random.default_rng(1)
    label = (draw.random(150) < 0.2).astype(np.int8)
    score = draw.random(150).round(2)  # with ties
    points = precision_recall(label, score)
    recall, precision = np.array(points["recall"]), np.array(points["precision"])
    expected = average_precision_score(label, score)
    assert np.diff(recall, prepend=0) @ precision == pytest.approx(expected, abs=1e-5)  # six decimals are kept


def test_metrics_are_those_of_the_predictions(found, predictions):
    label, p = predictions["label"], predictions["probability"]
    ours = found.test["trained"]
    assert ours["average_precision"].value == pytest.approx(average_precision_score(label, p))
    assert ours["auc"].value == pytest.approx(roc_auc_score(label, p))
    assert ours["brier"].value == pytest.approx(brier_score_loss(label, p))
    for metrics in found.test.values():
        assert all(one.low <= one.value <= one.high for one in metrics.values())


def test_an_earlier_period_measures_what_a_run_of_data_that_ends_there_does(run, found):
    (job,) = read_jobs(
        "finance/fraud",
        [f"data.path={run.settings.data.path}", *NAMES, *FURTHER, *SMALL, "split.until=2018-05-24", "split.test=7",
         "split.validation=7", "split.delay=7", f"run.dir={run.folder}-earlier"],
        multirun=False,
    )  # fmt: skip
    folder = execute(job, Progress(quiet=True))
    alone = Evaluation.model_validate_json((folder / "evaluation.json").read_text())
    assert alone.test_periods == found.test_periods[1:] == ("2018-05-17 00:00 to 2018-05-24 00:00",)
    assert alone.test.keys() == found.periods[1].keys()
    for name, metrics in found.periods[1].items():
        for metric, value in metrics.items():
            assert value == pytest.approx(alone.test[name][metric].value, abs=1e-9), (name, metric)


def test_figures_over_periods_are_means_and_stay_where_a_metric_can_be(found):
    assert len(found.periods) == 2
    for name, metrics in found.over_periods.items():
        for metric, one in metrics.items():
            assert one.value == pytest.approx(np.mean([period[name][metric] for period in found.periods]))
            assert 0 <= one.low <= one.value <= one.high
            assert metric == "log_loss" or one.high <= 1
    assert {name: one.value for name, one in found.test["trained"].items()} == found.periods[0]["trained"]


def test_no_day_looks_at_more_cards_than_the_budget(found, predictions):
    looked = predictions[predictions["decision"] == "investigate"].groupby("day")["card"].nunique()
    assert looked.tolist() == [day.looked for day in found.days]
    assert looked.max() == found.budget


def test_money_is_that_of_the_payments_looked_at(found, predictions):
    some = predictions[predictions["decision"] == "investigate"]
    came_back = some["amount"][some["label"] == FRAUD].sum()
    cost = found.cost_of_case * some.groupby("day")["card"].nunique().sum()
    assert found.money.saved.value == pytest.approx((came_back - cost) / len(found.days))
    assert found.money.saved.value == pytest.approx(np.mean([day.saved for day in found.days]))


def test_who_was_found_is_not_looked_at_again(predictions):
    some = predictions[predictions["decision"] == "investigate"]
    for _, of_card in some.groupby("card"):
        found_on = of_card["day"][of_card["label"] == FRAUD]
        assert found_on.empty or of_card["day"].max() == found_on.min()


def test_card_precision_is_that_of_the_days(found):
    hits = [day.hits for day in found.days]
    assert found.test["trained"]["card_precision"].value == pytest.approx(np.mean(hits) / found.budget)


def test_the_fixed_line_raises_what_lies_above_it(found, predictions):
    above = predictions[predictions["probability"] >= found.line.threshold].groupby("day")["card"].nunique()
    assert found.line.alerts == pytest.approx(above.sum() / len(found.days))
    assert sum(week.days for week in found.line.weeks) == len(found.days)


def test_a_weeks_own_line_meets_the_budget_on_its_median_day(run, ground):
    told = line_by_week(run.prepared, ground, ground.days(SCORE), 0.55, 2)
    assert told["alerts"] == 2.0  # cards 0 and 1, then 0 and 2
    assert [week["line"] for week in told["weeks"]] == [pytest.approx((0.8 + 0.6) / 2)]


def test_a_week_without_payments_has_no_line(run, ground):
    later = replace(ground, end=15 * DAY)
    told = line_by_week(run.prepared, later, later.days(SCORE), 0.55, 2)
    assert [week["days"] for week in told["weeks"]] == [7] and told["alerts"] == pytest.approx(4 / 15)


def test_without_cards_each_payment_is_a_case():
    rows = payments([HOUR, 2 * HOUR, DAY + HOUR], [UNIT, UNIT, 5 * UNIT], {}, label=[1, 0, 1])
    ground = Ground(rows, 0, 2 * DAY, seed=0)
    found = ground.played(ground.days(np.array([0.2, 0.9, 0.5])), 1)
    assert found.hits.tolist() == [[0, 1]] and found.stopped.tolist() == [[0, 5]] and found.recall.tolist() == [0.5]


def test_declined_payments_are_scored_beside_those_with_an_outcome(run, found):
    rows = run.prepared.transactions
    late = rows.declined & (rows.time >= run.prepared.card.parts["calibration"].begin)
    declined = found.declined
    assert declined.rows == late.sum() == sum(one.declined for one in declined.ranges)
    parts = run.prepared.card.parts
    assert sum(one.known for one in declined.ranges) == parts["calibration"].rows + parts["test"].rows


def test_examples_are_alerts_with_their_reasons(found, predictions):
    looked = set(predictions["id"][predictions["decision"] == "investigate"])
    assert found.examples and {one.id for one in found.examples} <= looked
    truth = dict(zip(predictions["id"], predictions["label"], strict=True))
    assert [one.fraud for one in found.examples] == [truth[one.id] == FRAUD for one in found.examples]
    assert any(one.reasons for one in found.examples)


def test_the_same_run_measures_the_same(run, tmp_path):
    evaluate(run.settings, run.folder, tmp_path, Progress(quiet=True))
    assert json.loads((tmp_path / "evaluation.json").read_text()) == json.loads(
        (run.folder / "evaluation.json").read_text()
    )


def test_intervals_draw_cards_not_days():
    """A card whose score is right on every day and one whose score never is: their mix is all that varies."""
    time = [day * DAY + card for day in range(10) for card in range(40)]
    card = [c for _ in range(10) for c in range(40)]
    label = [int(c < 20) for c in card]
    rows = payments(time, [UNIT] * 400, {"card": card}, label=label)
    ground = Ground(rows, 0, 10 * DAY, seed=0)
    share = ground.interval_of(lambda times: times[:, :20].sum(axis=1) / times.sum(axis=1))
    assert share.value == 0.5
    spread = 1.96 * np.sqrt(0.25 / 40)  # of 40 cards, whatever the number of days
    assert share.high - share.low == pytest.approx(2 * spread, rel=0.1)


def test_card_precision_of_a_replay_is_that_of_the_budget(ground):
    days = ground.days(SCORE)
    assert ground.played(days, 2).hits.mean() / 2 == card_precision(days, 2)
