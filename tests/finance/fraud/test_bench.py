"""The bench of fraud: its protocol on payments that can be counted by hand, and what its rows hold."""

from dataclasses import replace

import numpy as np
import pytest
from small_payments import payments

from finance.fraud.bench import fraud
from finance.fraud.bench_models import FIRST, METRICS, NETWORKS, OWN, PUBLISHED, asked, figures, knowable
from finance.fraud.parts import periods
from finance.fraud.transactions import DAY, HOUR
from lepton_solutions.bench import Cell


def test_every_cell_has_its_own_name():
    assert len({cell.key for cell in fraud().cells}) == len(fraud().cells)


def test_fold_0_is_the_single_split_of_the_book():
    first = periods(FIRST, train=7, delay=7, test=7, folds=4)[0]
    begin, end = (np.datetime64(at, "us").astype("datetime64[D]") for at in (first.test.begin, first.test.end))
    assert (str(begin), str(end)) == ("2018-08-08", "2018-08-15")


def test_rows_are_means_over_folds_and_seeds():
    def record(shift: float) -> dict:
        each = [[0.8 + shift, 0.5, 0.2], [0.9 + shift, 0.7, 0.4]]
        return {"figures": {"combination": each}, "fit_seconds": {"combination": 3.0}, "peak_mb": 900}

    records = {Cell(PUBLISHED, NETWORKS, seed): record(0.01 * seed) for seed in range(2)}
    found = {(row.model, row.metric): row for row in fraud().rows(records) if row.task == PUBLISHED}
    assert found["Combination", "auc"].value == pytest.approx(0.855)
    assert found["Combination", "auc, fold 0"].value == pytest.approx(0.805)
    assert found["Combination", "average_precision"].value == pytest.approx(0.6)
    assert found["the book's XGBoost", "average_precision"].value == 0.687
    assert "| **Combination** | 0.855 | 0.600 | 0.300 | 0.805 / 0.500 / 0.200 | 2 |" in fraud().conclusions(records)
    assert not [row for row in fraud().rows(records) if row.task == OWN]


def test_cards_that_were_known_are_left_out_and_found_ones_leave():
    """Three cards pay on each of the seven test days; card 0 was known before, card 1 is a fraud throughout."""
    fold = periods(0, train=7, delay=7, test=7, folds=1)[0]
    times = [2 * DAY, *(fold.test.begin + day * DAY + hour * HOUR for day in range(7) for hour in (1, 2, 3))]
    cards = [0, *([0, 1, 2] * 7)]
    rows = payments(times, [1_000_000] * 22, {"card": cards}, label=[1, *([1, 1, 0] * 7)])
    kept = asked(rows, fold)
    assert set(rows.entities["card"][kept].tolist()) == {1, 2}
    assert len(kept) == 14
    score = (rows.entities["card"][kept] == 1).astype(float)
    auc, precision, found = figures(rows, kept, score, fold)
    assert (auc, precision) == (1.0, 1.0)
    assert found == pytest.approx(1 / 7 / 100)  # on the first day, and never again
    assert len(METRICS) == 3


def test_frauds_at_a_terminal_are_known_from_the_first_that_was_reported():
    """Terminal 0 is compromised from day 1 on; a large amount on terminal 1 is a fraud of its own kind."""
    days, kinds = [1, 3, 9, 20, 20], [2, 2, 2, 2, 1]
    rows = payments([day * DAY for day in days], [1] * 5, {"terminal": [0, 0, 0, 0, 1]}, label=[1] * 5)
    found = knowable(replace(rows, scenario=np.array(kinds, np.int8)))
    assert found.tolist() == [False, False, True, True, True]
