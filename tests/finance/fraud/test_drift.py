"""What has moved since the train period, and what only looks so."""

from dataclasses import replace

import numpy as np
import pytest
from fraud_settings import fraud, read, rows

from finance.fraud.drift import drift, fraud_rate
from finance.fraud.prepare import Prepared, prepare
from finance.fraud.prepare import read as read_prepared
from finance.fraud.settings import Simulator
from finance.fraud.simulator import simulate
from finance.fraud.transactions import DAY, FRAUD
from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.splits import PARTS, TEST

COLUMNS = Columns(
    (*(Column(name, "numeric") for name in ("still", "moved", "holes")), Column("shop", "category", ("a", "b")))
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    place = tmp_path_factory.mktemp("prepared")
    made = simulate(Simulator(customers=100, terminals=200, days=90, night=0.0, spending=0.0, seed=0))
    prepare(fraud(), place, place, collected=replace(read(rows()), transactions=made, notes=()))
    return read_prepared(place)


@pytest.fixture(scope="module")
def found(prepared) -> dict:
    draw = np.random.default_rng(0)
    made, score = {}, {}
    for part in range(len(PARTS)):
        size, late = len(prepared.rows(part)), part == TEST
        numeric = draw.normal(size=(size, 3)).astype(np.float32)
        numeric[:, 1] += 1.0 * late
        numeric[draw.random(size) < (0.6 if late else 0.1), 2] = np.nan
        made[part] = Rows(numeric, draw.choice([2, 3], size, p=[0.5, 0.5])[:, None])
        score[part] = draw.beta(1, 50, size)
    return drift(prepared, COLUMNS, made, lambda part, place: score[part][place], reach=97 * DAY)


def test_what_stands_still_has_no_more_than_chance(found):
    psi = {one["name"]: one for one in found["columns"]}
    assert psi["still"]["psi"] < psi["still"]["chance"] < 0.1
    assert psi["shop"]["psi"] < psi["shop"]["chance"]
    assert found["score"]["psi"] < found["score"]["chance"]


def test_the_furthest_is_named_first_and_missing_values_count(found):
    first, second, *_ = found["columns"]
    assert {first["name"], second["name"]} == {"moved", "holes"}
    assert second["psi"] > 0.25


def test_psi_of_values_that_go_missing_is_the_closed_form(found):
    holes = next(one for one in found["columns"] if one["name"] == "holes")
    # Among the rest nothing moves: two bins, .1 and .9 missing or not, become .6 and .4.
    expected = 0.5 * np.log(0.6 / 0.1) - 0.5 * np.log(0.4 / 0.9)
    assert holes["psi"] == pytest.approx(expected, abs=0.1)  # a share of some thousand rows


def test_there_is_a_figure_for_each_week_of_each_part(found):
    parts = [week["part"] for week in found["weeks"]]
    assert parts == ["train"] * 7 + ["validation", "calibration", "test", "test"]
    assert [week["begin"] for week in found["weeks"][-2:]] == [76, 83] and found["weeks"][6]["end"] == 48
    for one in [found["score"], *found["columns"]]:
        assert len(one["weekly"]) == len(parts)
    moved = next(one for one in found["columns"] if one["name"] == "moved")["weekly"]
    assert max(moved[:9]) < 0.1 < min(moved[9:])


def test_histories_that_still_fill_are_told(found):
    assert found["filling"] == 97  # the train period begins with the data


def test_fraud_rate_counts_every_payment_from_train_to_test(prepared):
    weeks = fraud_rate(prepared)
    inside = prepared.transactions.time >= prepared.card.parts["train"].begin
    assert sum(week["rows"] for week in weeks) == inside.sum()
    assert sum(week["frauds"] for week in weeks) == (prepared.transactions.label[inside] == FRAUD).sum()
    assert [week["begin"] for week in weeks] == [7.0 * place for place in range(13)]


def test_the_train_period_against_itself_is_nothing(prepared):
    size = {part: len(prepared.rows(part)) for part in range(4)}
    same = {part: Rows(np.zeros((n, 1), np.float32), np.empty((n, 0), np.int64)) for part, n in size.items()}
    columns = Columns((Column("constant", "numeric"),))
    told = drift(prepared, columns, same, lambda part, place: np.full(len(place), 0.5), reach=0)
    assert told["columns"][0]["psi"] == 0 and told["score"]["psi"] == 0 and told["filling"] == 0
