"""When to service: the rule that cost least on machines whose end is known, and what rules cost in a replay.

A service is planned for `lead` after a machine's urgency first reaches a line. Whatever comes first counts: the service
at its price, or the failure at its own. The cost of a rule is what it spent over the time the machines ran (renewal
reward: Barlow and Hunter 1960), so that servicing too early costs too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manufacturing.failure.fleet import Fleet
from manufacturing.failure.settings import Servicing

Floats = NDArray[np.float64]
LINES = 300  # that are tried
SHORTEST = 1e-9  # time that a life ran at least: one that is serviced at its first row has no rate


@dataclass(frozen=True)
class Replay:
    """Of each life [lives]: time it ran, whether it failed, whether it was serviced, and the life that a service gave
    away (NaN where the end is not known).
    """

    ran: Floats
    failed: NDArray[np.bool_]
    serviced: NDArray[np.bool_]
    wasted: Floats

    def cost(self, prices: Servicing) -> Floats:
        """[lives], in the currency of the prices."""
        return prices.cost_of_failure * self.failed + prices.cost_of_service * self.serviced

    def rate(self, prices: Servicing) -> float:
        """Cost per unit of time."""
        return float(self.cost(prices).sum() / self.ran.sum())


def replay(fleet: Fleet, urgency: Floats, line: float, prices: Servicing, *, horizon: float | None = None) -> Replay:
    """What would have happened. urgency: [rows], higher is more urgent, from what was known at the row.

    crew: of `prices`; where it is set, no more services than that within one horizon, first come first served. Lives
    are laid side by side as their clock has them.
    """
    asked = np.full(fleet.lives, np.inf)
    rows = np.flatnonzero(urgency >= line)
    np.minimum.at(asked, fleet.life_of_row()[rows], fleet.time[rows])
    service = asked + prices.lead
    if prices.crew is not None and horizon is not None:
        service = _queued(service, _ends(fleet), prices.crew, horizon)
    return _lived(fleet, service)


def cheapest_line(fleet: Fleet, urgency: Floats, prices: Servicing, *, horizon: float | None = None) -> float:
    """The line of the smallest expected cost per time; infinite where never servicing is the cheapest.

    Few lives fail above any line, and the line that happened to catch all of them is too bold for the next. What is
    spent at a line is therefore averaged over its neighbours, as a kernel estimate of how urgent machines get before
    they fail (bandwidth: Silverman 1986, equation 3.28).
    """
    lines = np.linspace(urgency.min(), urgency.max(), LINES)
    lived = [replay(fleet, urgency, line, prices, horizon=horizon) for line in lines]
    cost = np.array([one.cost(prices).sum() for one in lived])
    ran = np.array([one.ran.sum() for one in lived])
    width = _bandwidth(fleet, urgency)
    if width > 0:
        near = np.exp(-0.5 * ((lines[:, None] - lines) / width) ** 2)
        cost = near @ cost / near.sum(1)
    rates = cost / ran
    best = int(rates.argmin())
    return float(lines[best]) if rates[best] < _lived(fleet, np.full(fleet.lives, np.inf)).rate(prices) else np.inf


def age(fleet: Fleet) -> Floats:
    """[rows], since the life began: the urgency of a fixed interval."""
    return fleet.time - np.repeat(fleet.time[fleet.starts[:-1]], np.diff(fleet.starts))


def oracle(fleet: Fleet, prices: Servicing) -> Replay:
    """Who knows the end asks at the last row from which a service still comes in time, if that is worth its price: no
    rule that services at rows costs less.
    """
    in_time = np.flatnonzero(fleet.remaining() > prices.lead)  # False for NaN: who is not known to fail needs none
    last = np.full(fleet.lives, np.inf)
    last[fleet.life_of_row()[in_time]] = fleet.time[in_time] + prices.lead  # of equal lives the last row stays
    never, chosen = np.full(fleet.lives, np.inf), last
    while True:  # Dinkelbach 1967: at the best rate, a service has to be worth the time that it gives away
        found = _lived(fleet, chosen)
        lost = _lived(fleet, never).ran - _lived(fleet, last).ran
        worth = prices.cost_of_service + found.rate(prices) * lost < prices.cost_of_failure
        better = np.where(worth, last, never)
        if np.array_equal(better, chosen):
            return found
        chosen = better


def _lived(fleet: Fleet, service: Floats) -> Replay:
    """service: [lives], when each would be serviced, infinite where never."""
    end = _ends(fleet)
    serviced = service < end
    failed = ~serviced & np.isfinite(fleet.failed_at)
    ran = np.where(serviced, service, end) - fleet.time[fleet.starts[:-1]]
    wasted = np.where(serviced, fleet.failed_at - np.where(serviced, service, 0.0), np.nan)
    return Replay(np.maximum(ran, SHORTEST), failed, serviced, wasted)


def _ends(fleet: Fleet) -> Floats:
    """[lives], when each failed or was seen last."""
    seen = np.fmax(fleet.seen_until, fleet.time[fleet.last_rows()])
    return np.where(np.isfinite(fleet.failed_at), fleet.failed_at, seen)


def _bandwidth(fleet: Fleet, urgency: Floats) -> float:
    """Of how urgent lives were at most, among those that failed."""
    most = np.maximum.reduceat(urgency, fleet.starts[:-1])[np.isfinite(fleet.failed_at)]
    return 1.06 * float(most.std()) * len(most) ** -0.2 if len(most) > 1 else 0.0


def _queued(service: Floats, end: Floats, crew: int, horizon: float) -> Floats:
    """[lives], when each is serviced where only `crew` can be within a horizon; infinite where its end comes before."""
    done: list[float] = []
    found = np.full(len(service), np.inf)
    for life in np.argsort(service, kind="stable"):
        earliest = service[life] if len(done) < crew else max(service[life], done[-crew] + horizon)
        if earliest < end[life]:
            done.append(earliest)
            found[life] = earliest
    return found
