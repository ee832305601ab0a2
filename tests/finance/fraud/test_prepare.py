"""Periods of transactions, what may not know the future, and what the first stage leaves."""

import json
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from fraud_settings import fraud, read, rows, split

from finance.fraud.audit import audit, audit_truncation
from finance.fraud.budget import closed
from finance.fraud.parts import Period, periods, split_in_time
from finance.fraud.prepare import Prepared, kept, prepare, prepare_rows, with_levels_of
from finance.fraud.prepare import read as read_prepared
from finance.fraud.settings import Simulator
from finance.fraud.simulator import START, simulate
from finance.fraud.sources import Collected
from finance.fraud.transactions import DAY, FRAUD, GOOD, HOUR, NO_OUTCOME, UNIT, Transactions
from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.splits import CALIBRATION, PARTS, TEST, TRAIN, VALIDATION
from lepton_solutions.data.times import Clock
from lepton_solutions.errors import UserError

DATES = Clock("microseconds", "date")


@pytest.fixture(scope="module")
def payments() -> Transactions:
    return simulate(Simulator(customers=100, terminals=200, days=90, night=0.0, spending=0.0, seed=0))


def collected(transactions: Transactions) -> Collected:
    return replace(read(rows()), name="payments", transactions=transactions, notes=())


def with_column(transactions: Transactions, name: str, values: np.ndarray) -> Transactions:
    extras = Rows(values[:, None].astype(np.float32), np.empty((len(values), 0), np.int64))
    return replace(transactions, extras=extras, columns=Columns((Column(name, "numeric"),)))


def test_periods_follow_one_another_with_a_delay_before_each_that_is_judged(payments):
    part, found = split_in_time(payments, split(), delay=7, clock=DATES)
    begin = [(found[name].begin - START) / DAY for name in PARTS]
    end = [(found[name].end - START) / DAY for name in PARTS]
    assert list(zip(begin, end, strict=True)) == [(0, 48), (55, 62), (62, 69), (76, 90)]
    day = (payments.time - START) / DAY
    for code in range(4):
        inside = (day >= begin[code]) & (day < end[code])
        rows = np.flatnonzero(inside)
        gone = closed(payments, rows, begin=found[PARTS[code]].begin, delay=7 * DAY)
        np.testing.assert_array_equal(np.flatnonzero(part == code), rows if code == TRAIN else rows[~gone])
    assert (part[(day >= 48) & (day < 55)] == -1).all() and (part[(day >= 69) & (day < 76)] == -1).all()


def test_days_that_are_asked_for_are_given(payments):
    _, found = split_in_time(
        payments, split(train=20, validation=5, calibration=4, delay=3, test=6), delay=7, clock=DATES
    )
    length = {name: (period.end - period.begin) / DAY for name, period in found.items()}
    assert length == {"train": 20, "validation": 5, "calibration": 4, "test": 6}
    assert found["test"].end == START + 90 * DAY
    assert found["validation"].begin - found["train"].end == found["test"].begin - found["calibration"].end == 3 * DAY


def test_short_data_is_cut_in_eighths():
    short = simulate(Simulator(customers=3000, terminals=2000, days=8, night=0.0, spending=0.0, seed=0))
    _, found = split_in_time(short, split(), delay=7, clock=DATES)
    assert [(found[name].end - found[name].begin) / DAY for name in PARTS] == [2, 1, 1, 2]


def test_declined_rows_and_rows_without_an_outcome_are_in_no_part_but_stay(payments):
    declined = np.arange(len(payments)) % 10 == 0
    label = np.where(declined, NO_OUTCOME, payments.label).astype(np.int8)
    asked = replace(payments, declined=declined, label=label)
    part, _ = split_in_time(asked, split(), delay=7, clock=DATES)
    assert (part[declined] == -1).all()
    assert len(part) == len(payments)


def test_a_row_that_becomes_known_too_late_is_not_learned_from(payments):
    _, found = split_in_time(payments, split(), delay=7, clock=DATES)
    late = (payments.time >= START + 40 * DAY) & (payments.time < START + 48 * DAY)
    slow = replace(payments, seen=np.where(late, payments.time + 30 * DAY, payments.time))
    part, _ = split_in_time(slow, split(), delay=7, clock=DATES)
    assert (part[late] == -1).all()
    before, _ = split_in_time(payments, split(), delay=7, clock=DATES)
    np.testing.assert_array_equal(part[~late], before[~late])
    assert found["train"].end == START + 48 * DAY


def test_data_that_is_too_short_for_what_is_asked_is_refused(payments):
    with pytest.raises(
        UserError, match=r"the data spans 90 days, too few for 7 of validation, .* twice 7 of delay, 70 of"
    ):
        split_in_time(payments, split(test=70), delay=7, clock=DATES)
    with pytest.raises(UserError, match="and 60 to learn from"):
        split_in_time(payments, split(train=60), delay=7, clock=DATES)


@pytest.mark.parametrize("code", range(4))
def test_a_period_without_a_fraud_is_refused_by_name(payments, code):
    part, _ = split_in_time(payments, split(), delay=7, clock=DATES)
    honest = replace(payments, label=np.where(part == code, GOOD, payments.label).astype(np.int8))
    with pytest.raises(
        UserError, match=rf"the {PARTS[code]} period, 2018-0.* has no fraud among [\d,]+ transactions, of"
    ):
        split_in_time(honest, split(), delay=7, clock=DATES)


def test_an_earlier_period_is_that_of_data_which_ends_earlier(payments):
    part, found = split_in_time(payments, split(test=7), delay=7, clock=DATES, earlier=2)
    before = payments.time < START + 76 * DAY
    expected, periods_ = split_in_time(payments.take(before), split(test=7), delay=7, clock=DATES)
    assert found == periods_
    np.testing.assert_array_equal(part[before], expected)
    assert (part[~before] == -1).all()
    with pytest.raises(UserError, match="7 of test, 9 test periods earlier, and some to learn from"):
        split_in_time(payments, split(test=7), delay=7, clock=DATES, earlier=9)


def test_what_comes_after_the_end_that_is_asked_for_is_not_read(tmp_path, payments):
    asked = fraud("split.until=2018-06-10", "split.periods=2", "split.test=7", "features.windows=[7]")
    prepare_rows(asked, tmp_path, tmp_path, collected=collected(payments))
    found = read_prepared(tmp_path)
    assert found.transactions.time[-1] < START + 70 * DAY <= found.transactions.time[-1] + DAY
    (before,) = found.earlier()
    assert found.card.parts["test"].told == "2018-06-03 00:00 to 2018-06-10 00:00"
    assert before.card.parts["test"].told == "2018-05-27 00:00 to 2018-06-03 00:00"
    assert before.card.parts["test"].rows == len(before.rows(TEST)) > 0
    stored = np.load(tmp_path / "features.npy")
    assert len(stored) == kept(found.parts).sum() > (found.part >= 0).sum()


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("2018-01-01", "no transaction is before 2018-01-01, the first is at 2018-04-01"),
        ("tomorrow", "found `tomorrow`, expected a date"),
        ("2018-06-01T00:00:00Z", "expected dates that name no time zone"),
    ],
)
def test_an_end_that_cannot_be_meant_is_refused(tmp_path, payments, until, said):
    with pytest.raises(UserError, match=f"split.until.*{said}"):
        prepare_rows(fraud(f"split.until='{until}'"), tmp_path, tmp_path, collected=collected(payments))


def test_folds_are_those_of_the_published_protocol(payments):
    """Fold k: 7 days from 2018-07-25 less 7k days, 7 days of delay, 7 days of test."""
    begin = int(np.datetime64("2018-07-25", "us").astype(np.int64))
    found = periods(begin, train=7, delay=7, test=7, folds=4)
    told = [(fold.train.told(DATES), fold.test.told(DATES)) for fold in found[:2]]
    assert told[0] == ("2018-07-25 00:00 to 2018-08-01 00:00", "2018-08-08 00:00 to 2018-08-15 00:00")
    assert told[1] == ("2018-07-18 00:00 to 2018-07-25 00:00", "2018-08-01 00:00 to 2018-08-08 00:00")
    (fold,) = periods(START, train=7, delay=7, test=7, folds=1)
    learned, judged = fold.rows(payments)
    day = (payments.time - START) // DAY
    assert set(day[learned].tolist()) == set(range(7)) and set(day[judged].tolist()) == set(range(14, 21))


def test_a_period_ends_before_its_end(payments):
    moment = int(payments.time[500])
    before, after = Period(START, moment).rows(payments), Period(moment, moment + HOUR).rows(payments)
    assert (payments.time[before] < moment).all() and payments.time[after[0]] == moment


def test_parts_that_are_not_in_order_fail(payments):
    part, _ = split_in_time(payments, split(), delay=7, clock=DATES)
    assert audit(payments, part, target="fraud") == []
    (finding,) = audit(payments, np.where(part == TEST, TRAIN, np.where(part == TRAIN, TEST, part)), target="fraud")[:1]
    assert (finding.level, finding.check) == ("fail", "time")


def test_a_copy_of_the_target_among_the_further_columns_fails(payments):
    part, _ = split_in_time(payments, split(), delay=7, clock=DATES)
    leaking = with_column(payments, "chargeback", payments.label * 5.0)
    (finding,) = audit(leaking, part, target="fraud")
    assert (finding.level, finding.check, finding.columns) == ("fail", "giveaway", ("chargeback",))


def test_a_column_that_moves_from_train_to_test_is_a_warning(payments):
    part, _ = split_in_time(payments, split(), delay=7, clock=DATES)
    noise = np.random.default_rng(0).normal(size=len(payments))
    (finding,) = audit(with_column(payments, "rate", noise + (payments.time > START + 70 * DAY)), part, target="fraud")
    assert (finding.level, finding.check) == ("warning", "drift")


def counted(rows: Transactions, before: int) -> np.ndarray:
    """Of each row the payments of its card in the day before it, and that card's frauds known `before` it, by hand."""
    found = np.zeros((len(rows), 2))
    card = rows.entities["card"]
    for row in range(len(rows)):
        mine = card == card[row]
        found[row, 0] = (mine & (rows.time < rows.time[row]) & (rows.time >= rows.time[row] - DAY)).sum()
        found[row, 1] = (mine & (rows.time < rows.time[row] - before) & (rows.label == FRAUD)).sum()
    return found


@pytest.fixture(scope="module")
def few(payments) -> Transactions:
    return payments.take(payments.entities["card"] < 12)


def test_features_of_the_past_pass_the_truncation(few):
    assert audit_truncation(few, lambda rows: counted(rows, 7 * DAY), delay=7) == []


def test_outcomes_read_before_they_are_known_fail(few):
    (finding,) = audit_truncation(few, lambda rows: counted(rows, 0), delay=7, names=("count", "frauds"))
    assert (finding.level, finding.check, finding.columns) == ("fail", "future", ("frauds",))
    assert "with its future" in finding.message


@pytest.mark.parametrize(
    "feature",
    [
        lambda rows: (rows.amount / rows.amount.mean())[:, None],  # scaled by what is still to come
        lambda rows: np.append(np.diff(rows.time), 0)[:, None].astype(float),  # until the next payment
        lambda rows: np.where(rows.amount < np.median(rows.amount), np.nan, 1.0)[:, None],  # missing by the future
    ],
    ids=["scaled", "next", "missing"],
)
def test_features_of_the_future_fail(few, feature):
    (finding,) = audit_truncation(few, feature, delay=7)
    assert finding.level == "fail" and finding.columns == ("feature 1",)


def test_many_rows_are_thinned_by_card(payments, monkeypatch):
    monkeypatch.setattr("finance.fraud.audit.MOST_ROWS", len(payments) // 4)
    given = []
    audit_truncation(payments, lambda rows: (given.append(rows), np.zeros((len(rows), 1)))[1], delay=7)
    kept = np.unique(given[0].entities["card"])
    assert len(given[0]) == np.isin(payments.entities["card"], kept).sum() < 0.4 * len(payments)


def test_what_was_written_is_read_again(tmp_path, payments):
    amount = payments.amount / UNIT
    asked = with_column(payments, "price", amount)
    prepare(fraud(), tmp_path, tmp_path, collected=collected(asked))
    again = read_prepared(tmp_path)
    for name in (field.name for field in fields(Transactions)):
        before, after = getattr(asked, name), getattr(again.transactions, name)
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(before, after)
        elif name in ("entities", "levels"):
            assert before.keys() == after.keys()
            for kind in before:
                np.testing.assert_array_equal(before[kind], after[kind])
    np.testing.assert_array_equal(again.transactions.extras.numeric, asked.extras.numeric)
    assert again.transactions.columns == asked.columns == again.card.read_layout().columns
    assert again.card.frauds == sum((payments.label == FRAUD).tolist())
    assert again.card.parts["test"].rows == len(again.rows(TEST))
    assert again.card.parts["test"].told == "2018-06-16 00:00 to 2018-06-30 00:00"
    assert json.loads((tmp_path / "audit.json").read_text()) == []


def test_a_failing_audit_ends_the_run_and_leaves_its_findings(tmp_path, payments):
    (tmp_path / "out").mkdir()
    leaking = collected(with_column(payments, "chargeback", payments.label.astype(float)))
    with pytest.raises(UserError, match="column `chargeback` gives `fraud` away: a copy of it"):
        prepare(fraud(), tmp_path, tmp_path / "out", collected=leaking)
    assert json.loads((tmp_path / "audit.json").read_text())[0]["columns"] == ["chargeback"]


def test_features_that_know_the_future_end_the_run(tmp_path, payments):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="features that change with what came later: `share`"):
        prepare(
            fraud(),
            tmp_path,
            tmp_path / "out",
            collected=collected(payments),
            features=lambda rows: (rows.amount / rows.amount.max())[:, None],
            names=("share",),
        )
    assert json.loads((tmp_path / "audit.json").read_text())[0]["check"] == "future"


def test_levels_are_those_of_the_train_period(payments):
    part, _ = split_in_time(payments, split(), delay=7, clock=DATES)
    train = part == TRAIN
    names = ("known", "later", "often")
    code = np.where(train, np.where(np.arange(len(part)) % 3, 4, 2), 3)  # `later` is in no train row
    code[0] = 1  # missing
    extras = Rows(np.full((len(part), 1), np.nan, np.float32), code[:, None].astype(np.int64))
    columns = Columns((Column("gone", "numeric"), Column("mcc", "category", names)))
    found, notes = with_levels_of(replace(payments, extras=extras, columns=columns), train)
    assert found.columns.columns == (Column("mcc", "category", ("known", "often")),)
    assert found.extras.codes[0, 0] == 1
    assert set(found.extras.codes[~train, 0].tolist()) == {0}
    assert set(found.extras.codes[train, 0].tolist()) == {1, 2, 3}
    assert notes == ["column `gone` is not read: without a value in the train period"]


def test_prepared_parts_are_positions_in_the_order_of_time(tmp_path, payments):
    prepare(fraud(), tmp_path, tmp_path, collected=collected(payments))
    found: Prepared = read_prepared(tmp_path)
    last = [found.transactions.time[found.rows(code)][[0, -1]] for code in (TRAIN, VALIDATION, CALIBRATION, TEST)]
    assert all(before[1] < after[0] for before, after in pairwise(last))
