"""A workshop of machines that wear, with the truth beside them: the offline data set, and the pipeline's yardstick.

    made = simulate(Machines(units=150))
    made.fleet            # what a plant would have: readings, failures, machines still alive
    made.risk(24)         # what no plant has: for each row, the probability that this machine fails within 24 hours

A machine wears in two places at once, its bearing and its seal. Each wears out at a time that is Weibull distributed
about a scale of the machine's own; sensors show the wear, in the regime of the moment, with noise. Given the scales the
two hazards have a closed form, and so has every probability here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.errors import UserError
from manufacturing.failure.fleet import NOT_GIVEN, Fleet
from manufacturing.failure.settings import Histories

SHAPE = 8.0  # of both Weibulls: half of the failures fall within 11 % of their median
MODES = ("bearing", "seal")
SETTINGS = ("load", "speed")
REGIMES = np.array([[40.0, 900.0], [70.0, 1500.0], [95.0, 1450.0]])  # load in %, speed in rpm
STAY = 0.96  # probability that a machine stays in its regime for another hour
# Base and slope on (load - 70) / 30 and (speed - 1300) / 300, rise when bearing and seal are worn out, noise.
SENSORS: dict[str, tuple[float, float, float, float, float, float]] = {
    "vibration": (2.0, 0.3, 0.6, 1.8, 0.0, 0.15),
    "bearing_temperature": (61.0, 5.0, 4.0, 18.0, 0.0, 1.2),
    "acoustic": (48.0, 1.0, 3.0, 5.0, 2.0, 0.8),
    "pressure": (6.2, 0.5, 0.3, 0.0, -0.9, 0.06),
    "flow": (120.0, 9.0, 14.0, 0.0, -22.0, 1.5),
    "leakage": (0.4, 0.05, 0.0, 0.0, 1.4, 0.12),
    "current": (31.0, 6.0, 1.5, 2.5, 1.5, 0.4),
    "humidity": (45.0, 0.0, 0.0, 0.0, 0.0, 6.0),
    "supply_voltage": (400.0, 0.0, 0.0, 0.0, 0.0, 0.0),
}
STATIC = ("age_when_new", "type=A", "type=B")  # indicators stand last, as they are read from a table
MEANINGS = {
    "load": "of the rated load, %",
    "speed": "rpm",
    "vibration": "velocity, mm/s",
    "bearing_temperature": "°C",
    "acoustic": "dB",
    "pressure": "at the outlet, bar",
    "flow": "m³/h",
    "leakage": "l/h",
    "current": "A",
    "humidity": "of the hall, %; says nothing about the machine",
    "supply_voltage": "V, always the same",
    "age_when_new": "months that the machine stood in store",
}


@dataclass(frozen=True)
class Machines:
    """units: machines. censored: share that is still alive when observation ends, about. missing: share of readings
    lost. maintained: machines are repaired after a failure and their wearing parts replaced before one, when a planned
    time has come or wear shows; each repair and replacement begins another life of the same machine.
    """

    units: int = 150
    seed: int = 0
    censored: float = 0.3
    missing: float = 0.03
    maintained: bool = False


@dataclass(frozen=True)
class Simulated:
    """scale: float64 [lives, 2], the time by which 63 % of such machines would have worn out in each place, hours.
    replaced: bool [lives], ended by a planned replacement.
    """

    fleet: Fleet
    scale: NDArray[np.float64]
    replaced: NDArray[np.bool_]

    def age(self) -> NDArray[np.float64]:
        """float64 [rows]: hours since the life began."""
        begin = self.fleet.time[self.fleet.starts[:-1]] - 1  # the first reading is taken after an hour
        return self.fleet.time - np.repeat(begin, np.diff(self.fleet.starts))

    def hazard(self) -> NDArray[np.float64]:
        """float64 [rows]: the rate of failing at this moment, an hour."""
        scale = np.repeat(self.scale, np.diff(self.fleet.starts), axis=0)
        rate: NDArray[np.float64] = (SHAPE / scale * (self.age()[:, None] / scale) ** (SHAPE - 1)).sum(axis=1)
        return rate

    def risk(self, horizon: float) -> NDArray[np.float64]:
        """float64 [rows]: the probability that a machine that is alive at the row fails within so many hours."""
        age = self.age()
        gained = self._cumulated(age + horizon) - self._cumulated(age)
        risk: NDArray[np.float64] = -np.expm1(-gained)
        return risk

    def mean_remaining(self) -> NDArray[np.float64]:
        """float64 [rows], hours: the expected remaining life, integrated in steps of an hour."""
        age = self.age()
        alive, mean = np.ones(len(age)), np.zeros(len(age))
        now = self._cumulated(age)
        later = 0.0
        while alive.max() > 1e-6:
            later += 1.0
            next_alive = np.exp(now - self._cumulated(age + later))
            mean += (alive + next_alive) / 2
            alive = next_alive
        return mean

    def _cumulated(self, age: NDArray[np.float64]) -> NDArray[np.float64]:
        scale = np.repeat(self.scale, np.diff(self.fleet.starts), axis=0)
        total: NDArray[np.float64] = ((age[:, None] / scale) ** SHAPE).sum(axis=1)
        return total


def machines(data: Histories) -> Fleet:
    """150 machines, run until they fail or observation ends."""
    _reject_path(data)
    return simulate(Machines()).fleet


def maintained(data: Histories) -> Fleet:
    """150 machines over 600 hours, repaired after a failure, most of them serviced before it."""
    _reject_path(data)
    return simulate(Machines(maintained=True)).fleet


def _reject_path(data: Histories) -> None:
    if data.path is not None:
        raise UserError(
            f"data.path={data.path}: found a path beside simulated machines, which read no file",
            hint="without `data=`, or with data=own_histories, the file is read",
        )


def simulate(machines: Machines) -> Simulated:
    """The same machines for the same arguments."""
    rng = np.random.default_rng(machines.seed)
    kind = rng.random(machines.units) < 0.4  # type B wears faster
    stored = rng.uniform(0, 24, machines.units)
    lives = _maintained(machines, kind, rng) if machines.maintained else _run_down(machines, kind, rng)
    length = np.floor(lives.end).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    of_row = np.repeat(np.arange(len(length)), length)
    age = np.arange(starts[-1]) - starts[of_row] + 1.0
    settings = _settings(starts, rng)
    wear = (age[:, None] / lives.scale[of_row]) ** 3  # 1 where half a machine's life is behind it and more
    readings = _readings(settings, np.minimum(wear, 2.0), machines.missing, lives.unit[of_row], rng)
    static = np.column_stack([stored, ~kind, kind])[lives.unit][of_row]
    failed = lives.begin + lives.end
    return Simulated(
        Fleet(
            name="maintained machines" if machines.maintained else "machines",
            question="rul",
            sensors=(*SETTINGS, *SENSORS, *STATIC),
            values=np.hstack([settings, readings, static]).astype(np.float32),
            time=lives.begin[of_row] + age,
            starts=starts,
            unit=np.array([f"machine {number + 1:03d}" for number in lives.unit]),
            failed_at=np.where(lives.mode >= 0, failed, np.nan),
            seen_until=failed,
            part=np.full(len(length), NOT_GIVEN, np.int8),
            clock="hours",
            mode=lives.mode,
            modes=MODES,
            settings=SETTINGS,
            licence="made by this program",
            meanings=MEANINGS,
        ),
        lives.scale,
        lives.replaced,
    )


@dataclass(frozen=True)
class _Lives:
    """Each [lives]: unit; begin and end, hours, end counted from begin; mode, -1 where it did not fail; replaced."""

    unit: NDArray[np.int64]
    scale: NDArray[np.float64]
    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    mode: NDArray[np.int64]
    replaced: NDArray[np.bool_]


def _drawn(kind: NDArray[np.bool_], rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and time of wearing out of each place, [n, 2] each."""
    middle = np.where(kind[:, None], [170.0, 210.0], [220.0, 250.0])
    scale = middle * np.exp(rng.normal(0, 0.22, (len(kind), 2)))
    return scale, scale * rng.weibull(SHAPE, (len(kind), 2))


def _run_down(machines: Machines, kind: NDArray[np.bool_], rng: np.random.Generator) -> _Lives:
    n = machines.units
    scale, worn_out = _drawn(kind, rng)
    failure = np.maximum(worn_out.min(axis=1), 2.0)
    # The end of observation does not depend on the machine's state: censoring tells nothing about it.
    until = np.where(rng.random(n) < machines.censored, rng.uniform(0.3, 1.0, n) * np.median(failure), np.inf)
    mode = np.where(failure <= until, worn_out.argmin(axis=1), -1)
    none = np.zeros(n)
    return _Lives(np.arange(n), scale, none, np.minimum(failure, until), mode, none.astype(bool))


WATCHED, SERVICE_AT, INTERVAL = 600.0, 0.55, (110.0, 190.0)


def _maintained(machines: Machines, kind: NDArray[np.bool_], rng: np.random.Generator) -> _Lives:
    """Life after life until the hours that are watched are over. A replacement comes when its time has come, or when
    wear has reached a mark that sensors show: what leads to it can be seen, and so it is censoring.
    """
    found: list[_Lives] = []
    begin = np.zeros(machines.units)
    while len(alive := np.flatnonzero(begin < WATCHED - 2)):
        scale, worn_out = _drawn(kind[alive], rng)
        failure = np.maximum(worn_out.min(axis=1), 2.0)
        # One service in two is by the calendar; the others look at the machine, and now and then too late.
        by_wear = SERVICE_AT ** (1 / 3) * scale.min(axis=1) * rng.uniform(0.9, 1.25, len(alive))
        planned = np.where(rng.random(len(alive)) < 0.5, rng.uniform(*INTERVAL, len(alive)), by_wear)
        over = WATCHED - begin[alive]
        end = np.minimum(np.minimum(failure, planned), over)
        mode = np.where(failure <= end, worn_out.argmin(axis=1), -1)
        found.append(_Lives(alive, scale, begin[alive], end, mode, (planned < failure) & (planned < over)))
        begin[alive] += np.ceil(end)  # the next life's first hour
    joined = [np.concatenate(parts) for parts in zip(*(vars(one).values() for one in found), strict=True)]
    order = np.lexsort((joined[2], joined[0]))
    return _Lives(*(column[order] for column in joined))


def _settings(starts: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Load and speed of each row: a regime that lasts some hours, another after it."""
    rows = int(starts[-1])
    changes = rng.random(rows) > STAY
    changes[starts[:-1]] = True
    drawn = rng.integers(0, len(REGIMES), int(changes.sum()))
    regime = drawn[np.cumsum(changes) - 1]
    return REGIMES[regime] + rng.normal(0, [0.5, 4.0], (rows, 2))


def _readings(
    settings: NDArray[np.float64],
    wear: NDArray[np.float64],
    missing: float,
    unit: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    base, load, speed, bearing, seal, noise = np.array(list(SENSORS.values())).T
    run = (settings - [70.0, 1300.0]) / [30.0, 300.0]
    clean = base + run @ np.stack([load, speed]) + wear @ np.stack([bearing, seal])
    read = clean + rng.normal(0, 1, clean.shape) * noise
    read[rng.random(read.shape) < missing] = np.nan
    # One machine in twelve came without a flow meter.
    read[unit % 12 == 5, list(SENSORS).index("flow")] = np.nan
    return read
