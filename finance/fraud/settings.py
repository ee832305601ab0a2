"""The config keys of the fraud pipeline: transactions, what is seen of their history, periods, models, the budget."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from lepton_solutions.settings import Call, Fit, Overrides, Run, Settings, TabularMLP

Anomaly = Literal["autoencoder", "variational", "one_class"]
Days = Annotated[float, Field(gt=0, le=36_500)]

ONLY_IN_TIME = (
    "time, the only way to split transactions: random rows of one card in train and test show the model that card's "
    "future and its frauds, and figures that no live day will reach"
)


class Simulator(Settings):
    """`data.simulator`: the payments that are made here, where `data=payments`."""

    customers: int = Field(ge=10, le=100_000)
    terminals: int = Field(ge=10, le=200_000)
    days: int = Field(ge=8, le=3650)
    night: float = Field(ge=0, le=1)
    spending: float = Field(ge=-0.5, le=1)
    seed: int = Field(ge=0, lt=2**32)


class Protocol(Settings):
    """`data.protocol`: what `split` and `decision` begin with."""

    until: str | None
    periods: int = Field(ge=1, le=52)
    test: Days | None
    budget: int = Field(ge=1)


class TransactionTable(Settings):
    """`data`: which transactions, and which of their columns say what."""

    source: Call
    path: str | None = Field(min_length=1)
    encoding: str | None
    missing: tuple[str, ...]
    id: str | None
    time: str | None
    entity: tuple[str, ...]
    amount: str | None
    target: str | None
    known_at: str | None
    action: str | None
    declined: tuple[str, ...]
    kinds: Overrides
    protocol: Protocol
    simulator: Simulator

    @field_validator("entity")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("each column once")
        return names


class Features(Settings):
    """`features`: what is seen of the history before a transaction."""

    windows: Annotated[tuple[Days, ...], Field(min_length=1)]
    delay: float = Field(ge=0, le=36_500)

    @field_validator("windows")
    @classmethod
    def _rising(cls, windows: tuple[float, ...]) -> tuple[float, ...]:
        if list(windows) != sorted(set(windows)):
            raise ValueError("days that rise, each once, such as [1, 7, 30]")
        return windows


class Split(Settings):
    """`split`: periods in the order of time, counted back from the last day of the data, or from `until`."""

    kind: str
    until: str | None
    periods: int = Field(ge=1, le=52)
    train: Days | None
    validation: Days | None
    calibration: Days | None
    delay: float | None = Field(ge=0, le=36_500)
    test: Days | None

    @field_validator("kind")
    @classmethod
    def _in_time(cls, kind: str) -> str:
        if kind != "time":
            raise ValueError(ONLY_IN_TIME)
        return kind


class FraudModel(TabularMLP):
    """`model`: the network, what it minimises, the anomaly detectors whose scores it reads, and the last payments that
    another reads.
    """

    loss: Literal["cost", "focal", "plain"]
    anomaly: tuple[Anomaly, ...]
    sequence: int = Field(ge=0, le=100)

    @field_validator("anomaly")
    @classmethod
    def _each_once(cls, names: tuple[Anomaly, ...]) -> tuple[Anomaly, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"each of {', '.join(get_args(Anomaly))} at most once")
        return names


class Investigation(Settings):
    """`decision`: how many cards are looked at, what a look costs, and what it saves."""

    budget: int = Field(ge=1)
    cost_of_case: float = Field(ge=0)
    recovered: float = Field(gt=0, le=1)


class Fraud(Settings):
    """Every key of `conf/finance/fraud.yaml`."""

    seed: int = Field(ge=0, lt=2**32)
    run: Run
    data: TransactionTable
    features: Features
    split: Split
    model: FraudModel
    fit: Fit
    decision: Investigation

    @field_validator("split", mode="before")
    @classmethod
    def _is_a_group(cls, split: object) -> object:
        if isinstance(split, str):
            raise ValueError(ONLY_IN_TIME if split != "time" else "keys of their own, such as split.test=14")
        return split
