"""The config keys of the credit pipeline: the core's groups, and what a decision costs."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from lepton_solutions.settings import Audit, Fit, Run, Settings, Share, Table, TabularMLP

Member = Literal["mlp", "lightgbm", "logistic", "scorecard"]


class DecisionSettings(Settings):
    """`decision`: what a wrong decision costs, or how many to approve, and who looks at the doubtful ones."""

    cost_of_default: float = Field(gt=0)
    cost_of_refusal: float = Field(gt=0)
    approval_rate: Share | None
    review: float = Field(ge=0, lt=1)


class Credit(Settings):
    """Every key of `conf/finance/credit.yaml`."""

    seed: int = Field(ge=0, lt=2**32)
    run: Run
    data: Table
    audit: Audit
    model: TabularMLP
    fit: Fit
    combine: Annotated[tuple[Member, ...], Field(min_length=1)]
    decision: DecisionSettings

    @field_validator("combine")
    @classmethod
    def _each_once(cls, names: tuple[Member, ...]) -> tuple[Member, ...]:
        if len(set(names)) < len(names):
            raise ValueError("each model once")
        return names
