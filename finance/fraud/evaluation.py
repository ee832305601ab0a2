"""What a fraud run measured on its test days, read from evaluation.json for the report and the card."""

from __future__ import annotations

from collections.abc import Iterable

from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.run import Record
from lepton_solutions.resampling import student

MODEL, BASELINE, AMOUNT, NOBODY, HINDSIGHT = "this model", "baseline", "by amount", "nobody", "hindsight"


class Part(Record):
    """A period. begin, end: days since the train period began. amount: of its frauds, in units of money."""

    told: str
    begin: float
    end: float
    rows: int
    frauds: int
    amount: float


class Points(Record):
    """Precision at each recall, from the highest score down."""

    recall: list[float]
    precision: list[float]


class DayFacts(Record):
    """One test day within the budget: cards looked at, frauds among them, frauds among all cards still in play, and
    the money saved.
    """

    told: str
    looked: int
    hits: int
    open_frauds: int
    saved: float


class Policy(Record):
    """A way to choose cards: money saved a day, cards looked at and frauds found on all days."""

    policy: str
    saved: Interval
    looked: int
    hits: int


class Curve(Record):
    """Money saved a day against the budget, by policy; low and high: interval of this model's."""

    budgets: list[int]
    saved: dict[str, list[float]]
    low: list[float]
    high: list[float]


class Money(Record):
    """Units of money a day. rule: the better of the two rules without a model. lost: in frauds where nobody looks."""

    saved: Interval
    policies: tuple[Policy, ...]
    rule: str
    saved_over_rule: Interval
    saved_over_baseline: Interval
    lost: float
    curve: Curve

    def policy(self, name: str) -> Policy:
        return next(policy for policy in self.policies if policy.policy == name)


class Scenario(Record):
    """Cards with this kind of fraud on a test day, and the share found on such a day."""

    scenario: int
    cards: int
    found: Interval


class Week(Record):
    """Cards a day at or above the calibration line, and the line that would have met the budget."""

    told: str
    days: int
    alerts: float
    line: float


class Line(Record):
    """The probability that was set on calibration days, and what it raised on test days. alerts: cards a day."""

    threshold: float
    alerts: float
    weeks: tuple[Week, ...]


class Range(Record):
    """Payments with a probability in [low, high): those declined, and those whose outcome is known."""

    low: float
    high: float
    declined: int
    known: int


class Declined(Record):
    """Payments refused at the time. highest: the highest probability that a payment with an outcome has; above: how
    many declined ones lie above it.
    """

    rows: int
    highest: float
    above: int
    ranges: tuple[Range, ...]


class Moved(Record):
    """A column, or the score: PSI of the test period against train, what chance alone may reach, and PSI by week."""

    name: str
    psi: float
    chance: float
    weekly: list[float]


class DriftWeek(Record):
    """begin, end: days since the train period began."""

    part: str
    begin: float
    end: float


class RateWeek(Record):
    """Payments with an outcome in a week, of all periods. begin: days since the train period began."""

    begin: float
    rows: int
    frauds: int


class Drift(Record):
    """weeks: those of `Moved.weekly`. columns: the most moved first. filling: days by which the longest window looks
    back beyond the first payment when the train period begins.
    """

    weeks: tuple[DriftWeek, ...]
    score: Moved
    columns: tuple[Moved, ...]
    fraud_rate: tuple[RateWeek, ...]
    filling: float


class Like(Record):
    """A fraud of the train period that is like an alert. distance: standard deviations."""

    id: str
    time: str
    amount: float
    distance: float


class Example(Record):
    """An alert of the test days and what raised it, the strongest first."""

    id: str
    told: str
    entities: dict[str, str]
    amount: float
    probability: float
    fraud: bool
    reasons: tuple[str, ...]
    like: tuple[Like, ...] = ()


class Evaluation(Record):
    """evaluation.json. unit: what is investigated, `card`. delay: days until a fraud is reported. Differences are
    paired: this model's figure less that of the baseline. recall: share of the cards with a fraud that are found.
    periods: metrics of each variant on the test days of every prequential period, the latest, which all the rest is
    about, first; test_periods says when these were.
    """

    unit: str
    budget: int
    cost_of_case: float
    recovered: float
    delay: float
    parts: dict[str, Part]
    baseline: str
    combine: tuple[str, ...]
    detectors: tuple[str, ...]
    validation: dict[str, dict[str, float]]
    test: dict[str, dict[str, Interval]]
    periods: tuple[dict[str, dict[str, float]], ...]
    test_periods: tuple[str, ...]
    better_than_baseline: dict[str, Interval]
    precision_recall: dict[str, Points]
    recall: Interval
    days: tuple[DayFacts, ...]
    money: Money
    line: Line
    drift: Drift
    scenarios: tuple[Scenario, ...] = ()
    declined: Declined | None = None
    examples: tuple[Example, ...] = ()

    @property
    def is_baseline(self) -> bool:
        """Whether the model in use is the best simple one itself, and so would be shown twice."""
        return self.combine == (self.baseline,)

    @property
    def over_periods(self) -> dict[str, dict[str, Interval]]:
        """Metrics of each variant as means over the periods, with Student's interval as far as a metric can reach; of a
        single period, `test`.
        """
        if len(self.periods) == 1:
            return self.test

        def over(name: str, metric: str) -> Interval:
            found = student([period[name][metric] for period in self.periods])
            top = found.high if metric == "log_loss" else min(found.high, 1.0)
            return Interval(found.value, max(found.low, 0.0), top)

        return {name: {metric: over(name, metric) for metric in first} for name, first in self.periods[0].items()}

    def policies(self) -> list[Policy]:
        """Each once, the one that saves most first."""
        shown = [one for one in self.money.policies if not (self.is_baseline and one.policy == BASELINE)]
        return sorted(shown, key=lambda one: -one.saved.value)

    def without_twin(self, names: Iterable[str]) -> list[str]:
        """Models, without the one that the model in use consists of."""
        return [name for name in names if (name,) != self.combine]
