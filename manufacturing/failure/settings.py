"""The config keys of the failure pipeline: the core's groups, the history of a fleet, and what a service costs."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from lepton_solutions.settings import Call, Fit, Run, Settings, Share

Meaning = Literal["failure", "replacement", "repair"]


class Histories(Settings):
    """`data`: which histories, which of their columns say what, and how machines are split."""

    source: Call
    path: str | None = Field(min_length=1)
    unit: str | None
    time: str | None
    cycle: str | None
    failure: str | None
    event: str | None
    events: Mapping[str, Meaning]
    label: str | None
    sensors: tuple[str, ...] | None
    settings: tuple[str, ...] | None
    ignore: tuple[str, ...]
    grid: float | None = Field(gt=0)
    vibration: bool
    missing: tuple[str, ...]
    parts: tuple[Share, Share, Share, Share]
    split: Literal["unit", "time"]

    @model_validator(mode="after")
    def _parts_sum_to_one(self) -> "Histories":
        if abs(sum(self.parts) - 1) > 1e-6:
            raise ValueError(f"`parts` must sum to 1, found {sum(self.parts):g}")
        return self


class Inputs(Settings):
    """`inputs`: what the network sees of a history; part of it, and exported with it."""

    window: int | None = Field(ge=1, le=10_000)
    smoothing: float = Field(ge=0, lt=1)
    regimes: int | None = Field(ge=1, le=64)


class SeriesModel(Settings):
    """`model`: the network over the window."""

    name: Literal["auto", "conv_gru", "rnn", "lstm", "gru", "tcn", "transformer", "mlp"]
    width: int = Field(ge=4, le=1024)
    layers: int = Field(ge=1, le=12)
    dropout: float = Field(ge=0, lt=1)
    noise: float = Field(ge=0, lt=1)
    members: int = Field(ge=1, le=64)
    trees: bool
    cap: float | None = Field(gt=0)


class Servicing(Settings):
    """`decision`: the horizon, how sure the lower bound has to be, and what a service and a failure cost."""

    horizon: float | None = Field(gt=0)
    coverage: Share
    cost_of_failure: float = Field(gt=0)
    cost_of_service: float = Field(gt=0)
    crew: int | None = Field(ge=1)
    lead: float = Field(ge=0)
    false_alarms: float = Field(gt=0)


class Failure(Settings):
    """Every key of `conf/manufacturing/failure.yaml`."""

    seed: int = Field(ge=0, lt=2**32)
    run: Run
    question: Literal["auto", "rul", "failure", "diagnosis", "health"]
    data: Histories
    inputs: Inputs
    model: SeriesModel
    fit: Fit
    decision: Servicing
