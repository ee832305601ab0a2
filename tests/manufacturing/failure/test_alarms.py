"""Alarms counted by hand."""

import numpy as np
import pytest
from small_fleets import fleet

from manufacturing.failure.alarms import alarm_line, far_rows, raised, watched_to_failure


def test_far_from_a_failure_is_what_is_known_to_be():
    made = fleet([(10, 10.0), (10, None)])
    # One horizon is 1 hour: far is more than 3 hours from the failure, or from where a living machine was seen last.
    assert np.flatnonzero(far_rows(made, 1.0)).tolist() == [0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15]
    assert np.flatnonzero(far_rows(made, None)).tolist() == list(range(10, 20))


def test_an_alarm_counts_once_while_it_lasts():
    made = fleet([(10, 10.0), (10, 10.0), (10, None)])
    alarm = np.zeros(30, bool)
    alarm[[1, 2, 4, 8, 9]] = True  # two false ones (1-2 and 4), then 2 hours before the failure
    alarm[29] = True  # of the living one, near its last reading: nobody can say
    found = raised(made, alarm, 1.0)
    assert found.lead.tolist() == [2.0]
    assert found.missed == 1
    assert found.false_per_month == pytest.approx(2 / (20 / 720))  # 7 + 7 + 6 hours far from a failure


def test_the_line_of_the_alarm_keeps_to_the_allowed_rate():
    draw = np.random.default_rng(0)
    made = fleet([(300, None)] * 20)
    urgency = draw.normal(size=made.rows)
    line = alarm_line(made, urgency, 10.0, 2.0)
    assert 1.5 < raised(made, urgency >= line, 10.0).false_per_month <= 2.0


def test_where_one_alarm_would_be_too_many_the_line_lies_above_all_that_healthy_machines_showed():
    made = fleet([(20, 20.0)])
    line = alarm_line(made, made.time, 1.0, 1.0)
    assert line == np.nextafter(16.0, np.inf)  # at 17 it is within 3 hours of its failure
    assert alarm_line(fleet([(2, 2.0)]), np.zeros(2), 1.0, 1.0) is None


def test_a_machine_that_was_read_last_long_before_its_failure_was_not_watched():
    assert watched_to_failure(fleet([(10, 10.0), (10, 30.0), (10, None), (101, 102.0)])).tolist() == [
        True, False, False, True,
    ]  # fmt: skip
