"""The simulated machines, against the truth they come with."""

import numpy as np
import pytest
from scipy.integrate import quad

from manufacturing.failure.simulator import SHAPE, Machines, Simulated, simulate


@pytest.fixture(scope="module")
def made() -> Simulated:
    return simulate(Machines(units=1500))


def test_the_same_seed_gives_the_same_machines():
    one, two, other = (simulate(Machines(units=20, seed=seed)).fleet for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.values, two.values)
    assert one.rows != other.rows


def test_risk_is_what_the_hazard_integrates_to():
    made = simulate(Machines(units=3))
    row = int(made.fleet.starts[1]) + 60
    scale, age = made.scale[1], made.age()[row]
    total, _ = quad(lambda t: sum(SHAPE / s * (t / s) ** (SHAPE - 1) for s in scale), age, age + 24)
    assert made.risk(24)[row] == pytest.approx(1 - np.exp(-total), rel=1e-9)
    assert made.risk(1e-6)[row] / 1e-6 == pytest.approx(made.hazard()[row], rel=1e-4)


def test_as_many_machines_fail_as_the_true_risk_says(made):
    fleet, horizon = made.fleet, 24.0
    # Rows whose outcome is known whatever it is: those that are watched for the whole horizon, were there no failure.
    watched = np.isfinite(fleet.remaining()) | (fleet.outlived() >= horizon)
    lives_to_the_end = np.repeat(np.isfinite(fleet.failed_at), np.diff(fleet.starts))
    rows = np.arange(fleet.rows)[watched & (made.age() == 100.0)]
    failed = (fleet.remaining()[rows] <= horizon) & lives_to_the_end[rows]
    expected = made.risk(horizon)[rows]
    assert failed.sum() == pytest.approx(expected.sum(), abs=4 * np.sqrt((expected * (1 - expected)).sum()))


def test_failures_and_exposure_balance(made):
    """The sum of the hazard over what was lived has the failures as its mean, censored lives or not (martingale)."""
    fleet = made.fleet
    lived = fleet.seen_until - (fleet.time[fleet.starts[:-1]] - 1)
    cumulated = ((lived[:, None] / made.scale) ** SHAPE).sum()
    failures = np.isfinite(fleet.failed_at).sum()
    assert failures == pytest.approx(cumulated, abs=4 * np.sqrt(cumulated))


def test_replacements_of_the_maintained_fleet_are_censored_lives_of_the_same_machine():
    made = simulate(Machines(units=40, maintained=True))
    fleet = made.fleet
    assert np.isnan(fleet.failed_at[made.replaced]).all()
    assert made.replaced.sum() > np.isfinite(fleet.failed_at).sum() > 0
    assert len(np.unique(fleet.unit)) == 40 < fleet.lives
    same = fleet.unit[1:] == fleet.unit[:-1]
    assert np.all(fleet.time[fleet.starts[1:-1]][same] > fleet.time[fleet.last_rows()[:-1]][same])


def test_replacements_leave_the_balance_of_failures_and_exposure_in_place():
    made = simulate(Machines(units=400, maintained=True))
    fleet = made.fleet
    lived = fleet.seen_until - (fleet.time[fleet.starts[:-1]] - 1)
    cumulated = ((lived[:, None] / made.scale) ** SHAPE).sum()
    assert np.isfinite(fleet.failed_at).sum() == pytest.approx(cumulated, abs=4 * np.sqrt(cumulated))


def test_ten_times_the_machines_are_ten_times_the_rows(made):
    assert made.fleet.rows / simulate(Machines(units=150)).fleet.rows == pytest.approx(10, rel=0.1)
