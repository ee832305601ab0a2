"""The scorecard: points that a person can add, ordered like bad rates, and their sum as the model."""

import numpy as np
import pytest
from real_rows import exported, german, spoiled

from finance.credit.scorecard import OFFSET, POINTS_PER_LOGIT, Scorecard, fit_scorecard
from lepton_solutions.data.columns import Rows

COLUMNS, ROWS, TARGET = german()
ONES = np.ones(len(ROWS))


def fitted(rows=ROWS, target=TARGET, weight=ONES, **more) -> Scorecard:
    return fit_scorecard(rows, target, weight, columns=COLUMNS, seed=0, **{"penalty": 0.001, **more})


def by_hand(card: Scorecard, row: int) -> int:
    """The points of a row, looked up in the printed table by its words."""
    total = 0
    for column in card.points_table():
        kind = next(known for known in COLUMNS.columns if known.name == column["column"])
        points = {bin_["bin"]: bin_["points"] for bin_ in column["bins"]}
        if kind.kind == "category":
            code = ROWS.codes[row, COLUMNS.categories.index(kind)]
            total += next(given for words, given in points.items() if kind.levels[code - 2] in words.split(", "))
            continue
        value = ROWS.numeric[row, COLUMNS.numeric.index(kind)]
        for words, given in points.items():
            first, last = words.split()[0], words.split()[-1]
            low = -np.inf if first in ("below", "any") else float(first) if first != "missing" else np.nan
            high = float(last) if last not in ("above", "any", "missing") else np.inf
            if low <= value < high or (np.isnan(value) and first == "missing"):
                total += given
    return total


def test_points_added_by_hand_are_the_score():
    card = fitted()
    assert [by_hand(card, row) for row in range(200)] == card.score(ROWS)[:200].tolist()


def test_600_points_are_odds_of_50_and_20_more_double_them():
    card = fitted()
    odds = np.exp(-card.logit(ROWS))  # repaid to defaulted
    # float32 steps: one part in a million of the odds
    assert odds == pytest.approx(50 * 2 ** ((card.score(ROWS) - 600) / 20), rel=1e-5)
    assert OFFSET + POINTS_PER_LOGIT * np.log(50) == pytest.approx(600)


def test_points_are_ordered_like_bad_rates():
    for column in fitted().points_table():
        known = sorted((bin_["bad_rate"], -bin_["points"]) for bin_ in column["bins"] if bin_["rows"])
        assert [points for _, points in known] == sorted(points for _, points in known), column["column"]


def test_bins_hold_every_training_row_once_and_at_least_a_twentieth():
    for column in fitted().points_table():
        rows = [bin_["rows"] for bin_ in column["bins"]]
        assert sum(rows) == 1000
        assert min(rows[:-1]) >= 0.05 * 940  # some 50 amounts are missing, in the last bin


def test_whole_points_lose_little_against_the_published_figure():
    from sklearn.metrics import roc_auc_score

    train = np.arange(1000) % 5 > 0
    card = fitted(ROWS.take(train), TARGET[train], ONES[train])
    assert roc_auc_score(TARGET[~train], card.logit(ROWS.take(~train))) > 0.75  # .79 over folds, +- .03 for 200 rows


@pytest.mark.parametrize("rows", [ROWS, spoiled(ROWS), ROWS.take(slice(0, 1))], ids=["known", "spoiled", "one"])
def test_the_graph_gives_the_trained_log_odds(rows):
    card = fitted()
    assert exported(card.graph(), rows) == pytest.approx(card.logit(rows), abs=1e-5)  # float32 sums of 20 terms


def test_rows_at_an_edge_fall_to_the_same_side():
    card = fitted()
    edges = [(j, edge) for j, row in enumerate(card.additive.edges) for edge in row if np.isfinite(edge)]
    rows = ROWS.take(np.arange(2 * len(edges)))
    for i, (column, edge) in enumerate(edges):
        rows.numeric[2 * i : 2 * i + 2, column] = edge, np.nextafter(edge, np.float32(-np.inf))
    assert exported(card.graph(), rows) == pytest.approx(card.logit(rows), abs=1e-5)


def test_values_never_missing_and_levels_never_seen_in_training_are_no_evidence():
    card = fitted()
    gone = Rows(ROWS.numeric.copy(), ROWS.codes.copy())
    gone.numeric[:, 0], gone.codes[:, 0] = np.nan, 0
    points = [column["bins"][-1]["points"] for column in card.points_table() if column["column"] in ("a0", "a1")]
    neutral = [column["bins"][-1]["points"] for column in card.points_table() if column["bins"][-1]["rows"] == 0]
    assert len(set(neutral)) == 1  # each column's share of the constant, nothing else
    assert points[0] == neutral[0]
    assert len(set(card.score(gone) - card.score(ROWS))) > 1


def test_a_whole_weight_is_that_many_equal_rows():
    weight = np.random.default_rng(0).integers(0, 4, len(ROWS))
    repeated = np.repeat(np.arange(len(ROWS)), weight)
    weighted = fitted(weight=weight.astype(float))
    doubled = fitted(ROWS.take(repeated), TARGET[repeated], np.ones(len(repeated)))
    assert weighted.score(ROWS).tolist() == doubled.score(ROWS).tolist()


def test_columns_that_say_nothing_leave_the_overall_odds():
    nothing = Rows(np.zeros_like(ROWS.numeric), np.full_like(ROWS.codes, 2))
    card = fitted(nothing)
    assert card.points_table() == []
    assert card.logit(nothing) == pytest.approx(np.log(300 / 700), abs=1e-6)


def test_a_saved_scorecard_is_the_same(tmp_path):
    card = fitted()
    card.save(tmp_path / "a")
    fitted().save(tmp_path / "b")
    loaded = Scorecard.load(tmp_path / "a")
    assert loaded.points_table() == card.points_table()
    assert loaded.score(ROWS).tolist() == card.score(ROWS).tolist()
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
