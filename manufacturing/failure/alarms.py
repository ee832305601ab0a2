"""Alarms: how early before a failure, and how often for nothing.

An alarm is false where a machine is further from its failure than REACH horizons, or known to outlast them. It lasts
until a reading without one; the next is another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manufacturing.failure.fleet import Fleet

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MONTH = 720.0  # units of the clock to which a rate of false alarms refers: hours of 30 days
REACH = 3.0  # horizons before its failure in which a machine may well raise an alarm
LINES = 300  # that are tried
CLOSE = 0.02  # of a life: who was last read so shortly before the failure was watched until then


@dataclass(frozen=True)
class Raised:
    """lead: time from the first alarm of each life that failed to its failure, rising. missed: failures without one.
    false_per_month: false alarms per machine and MONTH; NaN where no machine was far from its failure.
    """

    lead: Floats
    missed: int
    false_per_month: float


def raised(fleet: Fleet, alarm: Bools, horizon: float | None) -> Raised:
    """alarm: [rows]. horizon None: any time before a failure will do, only what never failed is far from one."""
    life, far = fleet.life_of_row(), far_rows(fleet, horizon)
    first = np.full(fleet.lives, np.inf)
    rows = np.flatnonzero(alarm & ~far)
    np.minimum.at(first, life[rows], fleet.time[rows])
    reached, announced = watched_to_failure(fleet), np.isfinite(first)
    lead = np.sort((fleet.failed_at - np.where(announced, first, 0.0))[reached & announced])
    spent = far.sum() * usual_step(fleet) / MONTH
    rate = begun(fleet, alarm & far).sum() / spent if spent else float("nan")
    return Raised(lead, int((reached & ~announced).sum()), float(rate))


def alarm_line(fleet: Fleet, urgency: Floats, horizon: float | None, rate: float) -> float | None:
    """The lowest line of which, as of every higher one, machines that are far from a failure pass no more than `rate` a
    month: just above all that they showed, where they were watched for so short a time that one passing is too many.
    None where no machine is far from a failure.
    """
    far = far_rows(fleet, horizon)
    if not far.any():
        return None
    spent = far.sum() * usual_step(fleet) / MONTH
    found = float(np.nextafter(urgency[far].max(), np.inf))
    shown = np.sort(urgency[far])
    for line in np.unique(np.concatenate([np.quantile(shown, np.linspace(0, 1, LINES)), shown[-LINES:]]))[::-1]:
        if begun(fleet, (urgency >= line) & far).sum() / spent > rate:
            break
        found = float(line)
    return found


def far_rows(fleet: Fleet, horizon: float | None) -> Bools:
    """[rows]: whether the machine is far from a failure for all that is known. A label says it where there is one."""
    if fleet.label is not None:
        return fleet.label == 0
    if horizon is None:
        return np.repeat(~np.isfinite(fleet.failed_at), np.diff(fleet.starts))
    remaining = fleet.remaining()
    return np.where(np.isfinite(remaining), remaining, fleet.outlived()) > REACH * horizon


def begun(fleet: Fleet, alarm: Bools) -> Bools:
    """[rows]: where an alarm begins that the reading before did not have."""
    first = np.zeros(fleet.rows, bool)
    first[fleet.starts[:-1]] = True
    return alarm & (first | ~np.concatenate([[False], alarm[:-1]]))


def watched_to_failure(fleet: Fleet) -> Bools:
    """[lives]: whether readings go on until the failure; those of a machine that was cut before it do not."""
    last = fleet.time[fleet.last_rows()]
    close = np.maximum(1.5 * usual_step(fleet), CLOSE * (fleet.failed_at - fleet.time[fleet.starts[:-1]]))
    return fleet.failed_at - last <= close  # False for NaN


def usual_step(fleet: Fleet) -> float:
    """The usual time between two readings of a life."""
    gaps = np.diff(fleet.time)[np.diff(fleet.life_of_row()) == 0]
    return float(np.median(gaps)) if len(gaps) else 1.0
