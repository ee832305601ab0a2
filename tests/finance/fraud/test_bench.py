"""The bench of fraud: its protocol on payments that can be counted by hand, and what its rows hold."""

from dataclasses import replace

import numpy as np
import pytest
from small_payments import payments

from finance.fraud.bench import fraud
from finance.fraud.bench_learners import WITH_LAST, with_last
from finance.fraud.bench_models import (
    BOOKS_WEEKS,
    FOLD_0,
    LAST,
    LAST_PAYMENTS,
    METRICS,
    NETWORKS,
    OVER,
    OWN,
    PUBLISHED,
    asked,
    figures,
    knowable,
)  # fmt: skip
from finance.fraud.parts import periods
from finance.fraud.transactions import DAY, HOUR, UNIT
from lepton_solutions.bench import Cell
from lepton_solutions.data.columns import Column, Columns


def test_every_cell_has_its_own_name():
    assert len({cell.key for cell in fraud().cells}) == len(fraud().cells)


def test_fold_0_is_the_single_split_of_the_book_and_first_of_its_four():
    folds = periods(LAST, train=7, delay=7, test=7, folds=7)
    days = [str(np.datetime64(fold.test.begin, "us").astype("datetime64[D]")) for fold in folds]
    assert days[OVER[FOLD_0]] == ["2018-08-08"]
    assert days[OVER[""]] == ["2018-08-08", "2018-08-01", "2018-07-25", "2018-07-18"]
    assert days[OVER[BOOKS_WEEKS]] == ["2018-08-29", "2018-08-22", "2018-08-15", "2018-08-08"]


def test_rows_are_means_over_folds_and_seeds():
    def record(shift: float) -> dict:
        earlier, first, later = [0.9 + shift, 0.7, 0.4, 1.0], [0.8 + shift, 0.5, 0.2, 0.9], [0.4 + shift, 0.1, 0.0, 0.5]
        return {
            "figures": {"combination": [later] * 3 + [first] + [earlier] * 3},
            "fit_seconds": {"combination": 3.0},
            "peak_mb": 900,
        }

    records = {Cell(PUBLISHED, NETWORKS, seed): record(0.01 * seed) for seed in range(2)}
    found = {(row.model, row.metric): row for row in fraud().rows(records) if row.task == PUBLISHED}
    assert found["Combination", "auc"].value == pytest.approx(0.88)
    assert found["Combination", "auc, fold 0"].value == pytest.approx(0.805)
    assert found["Combination", "auc, the book's weeks"].value == pytest.approx(0.505)
    assert found["Combination", "auc of what can be known"].value == pytest.approx(0.975)
    assert found["the book's XGBoost", "average_precision, the book's weeks"].value == 0.687
    told = "| **Combination** | 0.880 | 0.650 | 0.350 | 0.975 | 0.805 / 0.500 / 0.200 | 0.505 / 0.200 / 0.050 | 2 |"
    assert told in fraud().conclusions(records)
    assert not [row for row in fraud().rows(records) if row.task == OWN]


def test_what_the_last_payments_bring_stands_beside_the_same_models_without_them():
    def record(names: list[str], value: float) -> dict:
        return {
            "figures": {name: [[value] * 4] * 7 for name in names},
            "fit_seconds": dict.fromkeys(names, 3.0),
            "peak_mb": 900,
        }

    records = {Cell(PUBLISHED, NETWORKS, seed): record(["combination"], 0.5) for seed in range(5)}
    last = ["sequence", *WITH_LAST.values()]
    records |= {Cell(PUBLISHED, LAST_PAYMENTS, 0): record(last, 0.6)}
    found = {row.model: row for row in fraud().rows(records) if row.metric == "auc"}
    told = ["Recurrent network over the last payments", "LightGBM with the last payments"]
    for model in (*told, "Combination with the last payments"):
        assert (found[model].value, found[model].seeds) == (pytest.approx(0.6), 1)
    assert found["Combination"].seeds == 5
    assert all(cell in fraud().cells for cell in records)


def test_the_last_ten_payments_of_a_card_stand_behind_the_columns_of_the_book():
    rows = payments([0, HOUR, 3 * HOUR], [5 * UNIT, 7 * UNIT, UNIT], {"card": [0, 0, 0]})
    book = Columns((Column("amount", "numeric"),))
    columns, numeric = with_last(book, np.array([[5], [7], [1]], np.float32), rows)
    assert len(columns.columns) == numeric.shape[1] == 31
    told = dict(zip(columns.names, numeric[2].tolist(), strict=True))
    assert [told[f"card: amount, {i} before"] for i in (1, 2)] == [7, 5]
    assert [told[f"card: hours ago, {i} before"] for i in (1, 2)] == [2, 3]


def test_cards_that_were_known_are_left_out_and_found_ones_leave():
    """Three cards pay on each of the seven test days; card 0 was known before, card 1 is a fraud throughout."""
    fold = periods(0, train=7, delay=7, test=7, folds=1)[0]
    times = [2 * DAY, *(fold.test.begin + day * DAY + hour * HOUR for day in range(7) for hour in (1, 2, 3))]
    cards = [0, *([0, 1, 2] * 7)]
    rows = payments(times, [1_000_000] * 22, {"card": cards}, label=[1, *([1, 1, 0] * 7)])
    known_one = np.zeros(22, bool)
    known_one[2] = True  # of the frauds of card 1 the first alone could be known
    kept = asked(rows, fold)
    assert set(rows.entities["card"][kept].tolist()) == {1, 2}
    assert len(kept) == 14
    score = (rows.entities["card"][kept] == 1).astype(float)
    auc, precision, found, known = figures(rows, kept, score, fold, known_one)
    assert (auc, precision, known) == (1.0, 1.0, 1.0)
    assert found == pytest.approx(1 / 7 / 100)  # on the first day, and never again
    assert len(METRICS) == 4
    # What nobody could know may come last of all: it counts in the AUC, and not in that of what can be known.
    last = np.where(known_one[kept], 2.0, -score)
    auc, _, _, known = figures(rows, kept, last, fold, known_one)
    assert (auc, known) == (pytest.approx(1 / 7), 1.0)


def test_frauds_at_a_terminal_are_known_from_the_first_that_was_reported():
    """Terminal 0 is compromised from day 1 on; a large amount on terminal 1 is a fraud of its own kind."""
    days, kinds = [1, 3, 9, 20, 20], [2, 2, 2, 2, 1]
    rows = payments([day * DAY for day in days], [1] * 5, {"terminal": [0, 0, 0, 0, 1]}, label=[1] * 5)
    found = knowable(replace(rows, scenario=np.array(kinds, np.int8)))
    assert found.tolist() == [False, False, True, True, True]
