"""From an answer to what is done about it: the lower bound, the service date, the alarm. Plain numpy, also when served.

    decision.applied(answer, time)         # {"remaining": [n], "low": [n], "service_by": [n], "decision": [n]}

`deciding.py` learns what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from manufacturing.failure.bounds import Bound
from manufacturing.failure.fleet import Question

Floats = NDArray[np.float64]
SERVICE, RUN, ALARM, FINE = "service", "run", "alarm", "healthy"
TINY = 1e-9  # a probability is kept so far from 0 and 1


@dataclass(frozen=True)
class Decision:
    """line: remaining life at or below which a service is due, the probability at or above which it is, or the index
    above which there is an alarm; None where nothing is ever due. slope, intercept: Platt's, of the log-odds of each
    bin's hazard. horizon: in the unit of the clock. alarm: urgency from which there is an alarm, that is as many false
    ones as `decision.false_alarms` allows; None: never. labels: classes of a diagnosis; sensors: of a health index.
    """

    question: Question
    coverage: float
    lead: float
    line: float | None
    bound: Bound | None = None
    horizon: float | None = None
    slope: float = 1.0
    intercept: float = 0.0
    labels: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()
    alarm: float | None = None

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, saved: Mapping[str, object]) -> Decision:
        """The inverse of `to_json`."""
        bound = saved["bound"]
        plain = dict(saved) | {name: tuple(saved[name]) for name in ("labels", "sensors")}  # type: ignore[arg-type]
        return cls(**(plain | {"bound": None if bound is None else Bound(**bound)}))  # type: ignore[arg-type]

    def applied(self, answer: Floats, time: Floats) -> dict[str, NDArray]:
        """Columns for a reader. answer: [n, k], as the network gives it; time: [n], when it was asked, on the clock."""
        if self.question == "rul":
            return self._remaining(answer[:, 0], time)
        if self.question == "failure":
            return self._failing(answer, time)
        if self.question == "diagnosis":
            best = answer.argmax(1)
            chances = {f"p_{label}": answer[:, place] for place, label in enumerate(self.labels)}
            return {"class": np.array(self.labels)[best], "certainty": answer.max(1), **chances}
        found = {"index": answer[:, 0], "decision": np.where(answer[:, 0] > self._line, ALARM, FINE)}
        if answer.shape[1] > 1:
            found["most"] = np.array(self.sensors)[answer[:, 1:].argmax(1)]
        return found

    @property
    def _line(self) -> float:
        assert self.line is not None
        return self.line

    def probability(self, answer: Floats) -> Floats:
        """Calibrated [n, bins], of a failure by the end of each bin of the horizon."""
        hazard = 1 / (1 + np.exp(-(self.slope * log_odds(hazards(answer)) + self.intercept)))
        return np.asarray(1 - np.cumprod(1 - hazard, axis=1), np.float64)

    def urgency(self, answer: Floats) -> Floats:
        """[n], higher is more urgent: remaining life with its sign turned, the probability of a failure, the index."""
        if self.question == "rul":
            return -answer[:, 0]
        return self.probability(answer)[:, -1] if self.question == "failure" else answer[:, 0]

    def due(self, answer: Floats) -> NDArray[np.bool_]:
        """[n], whether a service is due."""
        if self.line is None:
            return np.zeros(len(answer), bool)
        return self.urgency(answer) >= (-self.line if self.question == "rul" else self.line)

    def alarmed(self, answer: Floats) -> NDArray[np.bool_]:
        """[n], whether there is an alarm."""
        if self.question == "health":
            return self.urgency(answer) > self._line
        return np.zeros(len(answer), bool) if self.alarm is None else self.urgency(answer) >= self.alarm

    def _remaining(self, remaining: Floats, time: Floats) -> dict[str, NDArray]:
        low = np.full(len(remaining), np.nan) if self.bound is None else self.bound.low(remaining)
        if self.line is None:
            never = np.full(len(remaining), np.nan)
            return {"remaining": remaining, "low": low, "service_by": never, "decision": np.full(len(remaining), RUN)}
        left = np.maximum(remaining - self.line, 0)
        return {
            "remaining": remaining,
            "low": low,
            "service_by": time + left + self.lead,
            "decision": np.where(left <= 0, SERVICE, RUN),
        }

    def _failing(self, answer: Floats, time: Floats) -> dict[str, NDArray]:
        chance = self.probability(answer)
        due = self.due(answer)
        found = {"probability": chance[:, -1], "decision": np.where(due, SERVICE, RUN)}
        if self.horizon is not None and chance.shape[1] > 1:
            found["service_by"] = np.where(due, time + self.lead, np.nan)
        return found


def hazards(answer: Floats) -> Floats:
    """[n, bins], of failing in a bin where the ones before were survived. answer: probabilities of a failure by the end
    of each bin.
    """
    alive = np.concatenate([np.ones((len(answer), 1)), 1 - answer[:, :-1]], 1)
    return np.diff(answer, axis=1, prepend=0.0) / np.maximum(alive, TINY)


def log_odds(chance: Floats) -> Floats:
    """Of probabilities, those of 0 and 1 as finite."""
    kept = np.clip(chance, TINY, 1 - TINY)
    return np.log(kept / (1 - kept))
