"""What a credit run measured on its test part, read from evaluation.json for the report and the card."""

from typing import Literal

from pydantic import Field

from lepton_solutions.curves import CostCurve, Histogram, ReliabilityBin, Roc
from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.run import Record


class Names(Record):
    """What the classes and a row are called: `defaulted`, `repaid`, `applicant`."""

    positive: str = "positive"
    negative: str = "negative"
    unit: str = "applicant"


class Part(Record):
    rows: int
    positives: int


class Curves(Record):
    roc: Roc
    reliability: list[ReliabilityBin]
    scores: Histogram


class Policy(Record):
    """A way to decide: cost per applicant, share approved, share of those that defaulted (None: nobody approved)."""

    policy: str
    cost: Interval
    approval_rate: Interval | None = None
    bad_rate: Interval | None = None


class Group(Record):
    """Outcomes of the applicants with one level of a protected column."""

    column: str
    level: str
    rows: int
    approval_rate: Interval
    observed_rate: Interval
    auc: Interval | None = None

    def rarer_outcome(self) -> int:
        """About how many applicants had the rarer of the two outcomes; exact where all weigh the same."""
        return round(self.rows * min(self.observed_rate.value, 1 - self.observed_rate.value))


class Review(Record):
    low: float
    high: float


class CreditDecision(Record):
    """Refuse at or above `threshold`; between the ends of `review` a person decides."""

    threshold: float
    rule: Literal["cost", "approval_rate"]
    cost_of_default: float
    cost_of_refusal: float
    review: Review | None = None
    review_share: float = 0.0


class Evaluation(Record):
    """evaluation.json. Differences are paired: what the model saves a row, and its AUC above the baseline's."""

    names: Names = Names()
    decision: CreditDecision
    parts: dict[str, Part] = Field(default_factory=dict)
    test: dict[str, dict[str, Interval]] = Field(default_factory=dict)
    curves: dict[str, Curves] = Field(default_factory=dict)
    cost: CostCurve | None = None
    policies: tuple[Policy, ...] = ()
    saved_over_rule: Interval | None = None
    saved_over_logistic: Interval | None = None
    better_than_baseline: Interval | None = None
    groups: tuple[Group, ...] = ()
    psi: Interval | None = None

    def policy(self, name: str) -> Policy | None:
        return next((policy for policy in self.policies if policy.policy == name), None)

    def cheapest_without_model(self) -> Policy | None:
        rules = [rule for name in ("approve all", "refuse all") if (rule := self.policy(name)) is not None]
        return min(rules, key=lambda rule: rule.cost.value, default=None)


class ScorecardBin(Record):
    bin: str
    points: float
    rows: int | None = None
    bad_rate: float | None = None


class ScorecardColumn(Record):
    column: str
    bins: tuple[ScorecardBin, ...]


class Learned(Record):
    """The part of learned.json that the report shows."""

    scorecard: tuple[ScorecardColumn, ...] = ()
