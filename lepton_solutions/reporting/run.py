"""What a run folder says, read into values: metrics.json and data.json, for the report, the card and the comparison.

Keys that a pipeline does not write have a default and are left out of what is shown; keys unknown here are skipped.
"""

import json
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lepton_solutions.errors import UserError
from lepton_solutions.metrics import Interval


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


AnyRecord = TypeVar("AnyRecord", bound=Record)


class Latency(Record):
    p50: float
    p95: float


class Variant(Record):
    """A model of the run; `size_bytes` is what its predictor reads, `latency_ms` that of a single row."""

    label: str = ""
    test: dict[str, Interval] = Field(default_factory=dict)
    size_bytes: int | None = None
    latency_ms: Latency | None = None
    engine: str | None = None


class Finding(Record):
    level: Literal["fail", "warning", "info"]
    check: str
    message: str
    columns: tuple[str, ...] = ()
    rows: int = 0


class Audit(Record):
    failed: bool = False
    findings: tuple[Finding, ...] = ()


class ParityCase(Record):
    """Exported against trained model on one kind of rows; differences are of probabilities."""

    case: str
    rows: int
    largest_difference: float
    flipped: int


class Parity(Record):
    rows: int
    largest_difference: float
    flipped: int
    cases: tuple[ParityCase, ...] = ()


class RunMetrics(Record):
    """metrics.json. `chosen` is a key of `variants`, `seconds` is per stage."""

    pipeline: str
    primary: str
    chosen: str
    variants: dict[str, Variant]
    command: str = ""
    seed: int | None = None
    audit: Audit | None = None
    parity: Parity | None = None
    seconds: dict[str, float] = Field(default_factory=dict)
    environment: dict[str, str | int | float | bool | None] = Field(default_factory=dict)

    def label(self, name: str) -> str:
        return self.variants[name].label or name if name in self.variants else name

    def models(self) -> dict[str, Variant]:
        """Each model once, the chosen one first, then by the deciding metric, of which more is better unless it is an
        error or a loss. `baseline` is left out where it is the copy of another.
        """
        others = {name: variant for name, variant in self.variants.items() if name != "baseline"}
        shown = others if self.baseline_of(others) is not None or "baseline" not in self.variants else self.variants
        sign = 1 if self.primary in ("brier", "ece", "log_loss", "rmse", "mae") else -1

        def rank(name: str) -> tuple[bool, float]:
            deciding = shown[name].test.get(self.primary)
            return name != self.chosen, sign * deciding.value if deciding else 0.0

        return {name: shown[name] for name in sorted(shown, key=rank)}

    def baseline_of(self, others: dict[str, Variant]) -> str | None:
        """The name under which the baseline also stands among `others`, known by its equal test metrics."""
        baseline = self.variants.get("baseline")
        copies = (name for name, other in others.items() if baseline is not None and other.test == baseline.test)
        return next((name for name in copies if name != "baseline"), None)


class DataColumn(Record):
    name: str
    kind: str
    levels: int | None = None
    missing_share: float = 0.0
    meaning: str | None = None


class DataCard(Record):
    """data.json: where the rows come from, which columns are used, which are not and why."""

    source: str
    rows: int
    target: str
    positive: str = ""
    columns: tuple[DataColumn, ...] = ()
    meanings: dict[str, str] = Field(default_factory=dict)
    ignored: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    licence: str | None = None
    cite: str | None = None
    protected: tuple[str, ...] = ()


def read_record(path: Path, kind: type[AnyRecord]) -> AnyRecord:
    """The file as a `kind`. Raises UserError, naming file and key, where it is absent or has another shape."""
    if not path.is_file():
        raise UserError(
            f"{path}: no such file, expected what a finished run writes", hint="the same command resumes it"
        )
    try:
        return kind.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: not JSON, {error.msg}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}, key `{key}`: {first['msg']}") from error
