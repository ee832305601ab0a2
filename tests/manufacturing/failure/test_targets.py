"""What a row teaches, and that a replacement teaches no failure."""

import numpy as np
import pytest
import torch
from small_fleets import fleet

from lepton_solutions.errors import UserError
from manufacturing.failure.simulator import Machines, Simulated, simulate
from manufacturing.failure.targets import BINS, bins_of, goal_of, hazard_task, outcome_of, remaining_task


def test_bins_hold_the_failure_the_survived_and_the_unknown():
    made = fleet([(4, 4.0), (4, None)])  # rows at 0, 1, 2, 3; one fails at 4, one is alive at 3
    nan = np.nan
    np.testing.assert_array_equal(
        bins_of(made, 4.0, 2),  # bins of 2 hours: (0, 2], (2, 4]
        [[0, 1], [0, 1], [1, nan], [1, nan], [0, nan], [0, nan], [nan, nan], [nan, nan]],
    )


def test_rows_of_which_nothing_is_known_teach_nothing():
    goal = goal_of("failure", fleet([(4, 4.0), (4, None)]), cap=None, horizon=8.0)
    assert goal.rows.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert goal.outputs == BINS
    assert goal.target.shape == (7, BINS)


def test_the_likelihood_is_that_of_the_survival_model():
    """Survive the first bin, fail in the second; the third is behind the failure and says nothing."""
    logits, target = torch.tensor([[-2.0, 0.5, 3.0]]), torch.tensor([[0.0, 1.0, np.nan]])
    hazard = torch.sigmoid(logits[0])
    expected = -torch.log(1 - hazard[0]) - torch.log(hazard[1])
    assert hazard_task(3).loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-6)


def test_remaining_life_of_the_living_is_penalised_only_where_it_is_too_short():
    goal = goal_of("rul", fleet([(4, 4.0), (4, None)]), cap=3.0, horizon=None)
    assert goal.rows.tolist() == [0, 1, 2, 3, 4, 5, 6]  # the last row of the living says nothing
    np.testing.assert_allclose(3 * goal.target[:, 0], [3, 3, 2, 1, 3, 2, 1])
    assert goal.target[:, 1].tolist() == [1, 1, 1, 1, 0, 0, 0]
    short, long = torch.tensor([[0.2]]), torch.tensor([[0.9]])
    living, failed = torch.tensor([[0.5, 0.0]]), torch.tensor([[0.5, 1.0]])
    loss = remaining_task().loss
    assert loss(short, living).item() == pytest.approx(0.09)
    assert loss(long, living).item() == 0
    assert loss(long, failed).item() == pytest.approx(0.16)


def test_an_outcome_is_known_where_it_failed_or_was_seen_for_the_whole_horizon():
    rows, happened = outcome_of("failure", fleet([(4, 4.0), (4, None)]), cap=None, horizon=2.0)
    assert rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert happened.tolist() == [0, 0, 1, 1, 0, 0]
    rows, left = outcome_of("rul", fleet([(4, 4.0), (4, None)]), cap=3.0, horizon=None)
    assert (rows.tolist(), left.tolist()) == ([0, 1, 2, 3], [3, 3, 2, 1])


def test_a_label_a_row_is_one_bin():
    made = fleet([(1, None)] * 3, label=[0, 1, -1])
    np.testing.assert_array_equal(bins_of(made, None, 1), [[0], [1], [np.nan]])
    assert goal_of("failure", made, cap=None, horizon=None).target.tolist() == [[0.0], [1.0]]


def test_no_failure_within_the_horizon_offers_another_question():
    with pytest.raises(UserError, match="no failure within 2 hours of any train row") as found:
        goal_of("failure", fleet([(4, None)]), cap=None, horizon=2.0)
    assert "question=health" in str(found.value.hint)


READ = 1.0  # the hour ahead in which a failure is foretold


def inputs(made: Simulated) -> np.ndarray:
    """Of each row: readings without the effect of load and speed, averaged over the last 10 hours, and the age."""
    fleet = made.fleet
    names = [name for name in fleet.sensors if name not in ("humidity", "supply_voltage", "load", "speed")]
    values = fleet.values[:, [fleet.sensors.index(name) for name in names]].astype(np.float64)
    values = np.where(np.isnan(values), np.nanmean(values, axis=0), values)
    run = fleet.values[:, [fleet.sensors.index(name) for name in fleet.settings]].astype(np.float64)
    run = np.column_stack([np.ones(fleet.rows), run])
    values = values - run @ np.linalg.lstsq(run, values, rcond=None)[0]
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    row, first = np.arange(fleet.rows), np.repeat(fleet.starts[:-1], np.diff(fleet.starts))
    begin = np.maximum(first, row - 9)
    average = (total[row + 1] - total[begin]) / (row + 1 - begin)[:, None]
    age = made.age()
    return np.column_stack([average, np.log(age), age / 200])


def risk_learned(made: Simulated, judged: Simulated, how: str) -> np.ndarray:
    """[rows of judged], P(failure within the hour) of a discrete-time hazard fitted with replacements taken as said."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fleet = made.fleet
    failed, left = fleet.failed_at.copy(), fleet.outlived()
    if how == "failure":
        failed = np.where(made.replaced, fleet.seen_until, failed)
    fails = (np.repeat(np.isfinite(failed), np.diff(fleet.starts))) & (left <= READ)
    rows = (left > 0) & (fails | (left >= READ))
    if how == "dropped":
        rows &= ~np.repeat(made.replaced, np.diff(fleet.starts))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(inputs(made)[rows], fails[rows])
    return model.predict_proba(inputs(judged))[:, 1]


def test_replacements_as_censoring_recover_the_true_hazard_and_as_failures_or_dropped_they_do_not():
    made, judged = (simulate(Machines(maintained=True, seed=seed)) for seed in (0, 100))
    true = judged.risk(READ)
    ratio, error = {}, {}
    for how in ("censored", "failure", "dropped"):
        found = risk_learned(made, judged, how)
        ratio[how], error[how] = found.mean() / true.mean(), np.abs(found - true).mean()
    assert 0.8 < ratio["censored"] < 1.25
    assert min(ratio["failure"], ratio["dropped"]) > 2
    assert error["censored"] < min(error["failure"], error["dropped"]) / 2
