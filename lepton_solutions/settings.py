"""Every config key of the core with its type and its range: the one place that says what a value may be.

The files under `conf/` hold values and explain them; the classes here refuse what is out of range or unknown. A
pipeline's own keys (its decision layer) are declared in the pipeline's module in the same way.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from lepton_solutions.errors import UserError

Share = Annotated[float, Field(gt=0, lt=1)]


class Settings(BaseModel):
    """A group of config keys: typed, within range, nothing unknown, unchangeable once read."""

    # Names may look like numbers: a column `1`, a missing value -999.
    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, coerce_numbers_to_str=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        kinds = get_args(cls.model_fields[str(info.field_name)].annotation) or (
            cls.model_fields[str(info.field_name)].annotation,
        )
        if isinstance(value, bool) and bool not in kinds and {int, float} & set(kinds):
            raise ValueError("a number")
        return value


class Call(Settings):
    """A function or class named by its import path: `{_target_: finance.credit.sources.german}`."""

    target: str = Field(alias="_target_", pattern=r"^[\w.]+\.\w+$")

    def resolve(self) -> Callable[..., object]:
        """The named object. Raises UserError when the module or the name does not exist."""
        module, _, name = self.target.rpartition(".")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise UserError(f"`_target_: {self.target}` cannot be imported: {error}") from error


def _flat(names: Mapping[object, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in names.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _dots_are_part_of_a_name(kinds: object) -> object:
    """`data.kinds.pay.0=category` reaches us as {pay: {0: category}} and means the column `pay.0`."""
    return dict(_flat(kinds)) if isinstance(kinds, Mapping) else kinds


Overrides = Annotated[
    Mapping[str, Literal["numeric", "category", "ignore"]], BeforeValidator(_dots_are_part_of_a_name)
]  # column -> how it is read, where what is inferred is not meant


class Table(Settings):
    """`data`: which rows, what is learned from them, and how they are split."""

    source: Call
    path: str | None = Field(min_length=1)
    encoding: str | None
    missing: tuple[str, ...]
    target: str | None
    positive: str | int | float | bool | None
    id: str | None
    group: str | None
    fold: str | None
    time: str | None
    weight: str | None
    protected: tuple[str, ...] | None
    kinds: Overrides
    parts: tuple[Share, Share, Share, Share]

    @model_validator(mode="after")
    def _one_way_to_split(self) -> "Table":
        if abs(sum(self.parts) - 1) > 1e-6:
            raise ValueError(f"`parts` must sum to 1, found {sum(self.parts):g}")
        if self.fold is not None and self.time is not None:
            raise ValueError("`fold` and `time` both say how to split; give one of them")
        return self


class Audit(Settings):
    """`audit`: how strict the leakage audit is."""

    duplicates: Literal["warn", "fail"]


class TabularMLP(Settings):
    """`model`: the weight-sharing ensemble of small networks."""

    members: int = Field(ge=1, le=256)
    width: int = Field(ge=4, le=4096)
    bins: int | None = Field(ge=2, le=256)
    dropout: float = Field(ge=0, lt=1)
    input_dropout: float | None = Field(ge=0, lt=1)


class Fit(Settings):
    """`fit`: the training loop. `conf/fit/loop.yaml` explains each key."""

    epochs: int | None = Field(ge=1, le=100_000)
    batch_size: int | None = Field(ge=1)
    seconds: float | None = Field(gt=0)
    optimiser: Literal["sgd", "adam", "adamw", "adagrad"]
    learning_rate: float = Field(gt=0, le=10)
    momentum: float = Field(ge=0, lt=1)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    weight_decay: float = Field(ge=0, le=10)
    schedule: Literal["constant", "cosine", "one_cycle", "step", "plateau"]
    warm_up: float = Field(ge=0, lt=1)
    clip_norm: float | None = Field(gt=0)
    accumulate: int = Field(ge=1, le=4096)
    average: Literal["none", "ema", "swa"]
    average_decay: float = Field(gt=0, lt=1)
    average_start: float = Field(ge=0, lt=1)
    label_smoothing: float = Field(ge=0, lt=0.5)
    mixup: float = Field(ge=0, le=10)
    patience: int | None = Field(ge=1)
    balanced: bool
    plan: Literal["auto", "eager", "compile", "graph"]
    precision: Literal["fp32", "bf16"] | None
    device: Literal["auto", "cpu", "cuda"]
    devices: int = Field(ge=1, le=4096)
    launcher: Literal["torchrun", "ray"]
    logger: Literal["none", "tensorboard", "wandb", "mlflow"]
    checkpoint_steps: int | None = Field(ge=1)
    checkpoint_minutes: float = Field(ge=0)
    memory_gb: float | None = Field(gt=0)
    workers: int = Field(ge=0, le=256)


class Run(Settings):
    """`run`: where this run writes."""

    dir: str | None
    new: bool
