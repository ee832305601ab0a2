"""Test machines asked again, on lives that can be counted by hand."""

import numpy as np
import pytest
from histories_settings import failure
from small_fleets import fleet

from manufacturing.failure.decisions import Decision
from manufacturing.failure.evaluation import FAILING, INTERVAL, MODEL, ORACLE
from manufacturing.failure.measure import moments
from manufacturing.failure.replayed import policies, tracks


def perfect(machines) -> np.ndarray:
    """Remaining life as it is, 100 where no failure is known."""
    return np.nan_to_num(machines.remaining(), nan=100.0)[:, None]


def test_machines_are_asked_along_their_life_or_where_they_were_cut():
    watched, cut, alive = (100, 99.5), (30, 80.0), (25, None)
    found = moments(fleet([watched, cut, alive]))
    assert found[:-1].max() < 100 and len(found) == 21
    assert found[-1] == 129  # the last row of the one that was cut; of the living nobody knows


def test_who_knows_the_future_pays_what_the_oracle_pays():
    machines = fleet([(40, 40.0), (25, 25.0), (33, 33.0)])
    decision = Decision("rul", 0.9, 0.0, 1.0, None)
    found = policies(
        failure("data=machines"), machines, machines, perfect(machines), decision, None, np.random.default_rng(0)
    )
    rate = {one["policy"]: one["rate"]["value"] for one in found["policies"]}
    assert rate[MODEL] == pytest.approx(rate[ORACLE])
    assert rate[MODEL] < rate[INTERVAL] <= rate[FAILING]
    assert found["saved"]["value"] == pytest.approx(rate[INTERVAL] - rate[MODEL])


def test_nothing_is_compared_where_fewer_than_two_machines_failed():
    machines = fleet([(40, 40.0), (25, None)])
    decision = Decision("rul", 0.9, 0.0, 1.0, None)
    assert not policies(
        failure("data=machines"), machines, machines, perfect(machines), decision, None, np.random.default_rng(0)
    )


def test_tracks_are_the_best_the_middle_and_the_worst():
    machines = fleet([(10, 10.0)] * 7)
    error = np.repeat([3.0, 0.0, 6.0, 1.0, 5.0, 2.0, 4.0], 10)
    found = tracks(machines, machines.remaining() + error, Decision("rul", 0.9, 0.0, None, None), None)
    assert [(one["why"], one["unit"]) for one in found] == [
        ("best", "machine 1"), ("best", "machine 3"), ("median", "machine 5"), ("median", "machine 0"),
        ("worst", "machine 4"), ("worst", "machine 2"),
    ]  # fmt: skip
