"""What a failure run measured on its test machines, read from evaluation.json for the report and the card."""

from __future__ import annotations

from pydantic import Field

from lepton_solutions.curves import ReliabilityBin, Roc
from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.run import Record
from manufacturing.failure.fleet import Question


class Part(Record):
    units: int
    lives: int
    rows: int
    failures: int


class Coverage(Record):
    """Of the lower bound: asked and measured share of machines' rows, how far below the prediction it lies on average.

    machines: how many it was measured on.
    """

    asked: float
    measured: Interval
    machines: int
    margin: float


class Policy(Record):
    """A rule replayed on test machines: cost per unit of time, and what became of the lives. wasted: mean life that a
    service gave away, None where there was none.
    """

    policy: str
    rate: Interval
    failures: int
    services: int
    wasted: float | None = None


class Track(Record):
    """One test machine: time since its life began, actual and predicted remaining life, lower bound."""

    unit: str
    why: str
    age: list[float]
    actual: list[float | None]
    predicted: list[float]
    low: list[float | None]


class Band(Record):
    """Of machines with so much life left: how far off, and on which side."""

    low: float
    high: float
    rows: int
    rmse: float
    bias: float


class Alarms(Record):
    """As `alarms.Raised`; failures: of machines that were watched until then."""

    lead: list[float]
    missed: int
    failures: int
    false_per_month: float | None = None


class Attribution(Record):
    """share[s][b]: how much of the answer sensor s carries in band b of remaining life; each band sums to 1."""

    sensors: list[str]
    bands: list[str]
    share: list[list[float]]


class Evaluation(Record):
    """evaluation.json; what a question does not ask is empty. Differences are the baseline's figure less ours."""

    question: Question
    clock: str
    cap: float | None = None
    horizon: float | None = None
    asked: str = ""
    parts: dict[str, Part] = Field(default_factory=dict)
    baseline: str = ""
    test: dict[str, dict[str, Interval]] = Field(default_factory=dict)
    better_than_baseline: Interval | None = None
    coverage: Coverage | None = None
    policies: tuple[Policy, ...] = ()
    saved: Interval | None = None
    tracks: tuple[Track, ...] = ()
    scatter: tuple[tuple[float, float], ...] = ()
    bands: tuple[Band, ...] = ()
    alarms: Alarms | None = None
    attribution: Attribution | None = None
    roc: dict[str, Roc] = Field(default_factory=dict)
    reliability: list[ReliabilityBin] = Field(default_factory=list)
    confusion: tuple[tuple[int, ...], ...] = ()
    labels: tuple[str, ...] = ()
    dropped: dict[str, str] = Field(default_factory=dict)
    regimes: int = 1

    def policy(self, name: str) -> Policy | None:
        return next((one for one in self.policies if one.policy == name), None)

    def cheapest_without_model(self) -> Policy | None:
        rules = [one for name in (FAILING, INTERVAL) if (one := self.policy(name)) is not None]
        return min(rules, key=lambda rule: rule.rate.value, default=None)


MODEL, FAILING, INTERVAL, ORACLE = "this model", "run to failure", "fixed interval", "oracle"
