"""What an imaging run measured on its test part: the shape of evaluation.json, for the report, the card and the export.

Everything is counted in units (`data.level`: images, studies or patients) unless it says images. Intervals resample
patients where they are known. `labels` name the classes in the order of every list here; binary: [negative, positive].
Maps by label hold one entry, of the positive class, where the task is binary, and one against the rest a class or
finding otherwise.
"""

from typing import Literal

from pydantic import Field

from lepton_solutions.curves import Histogram, ReliabilityBin, Roc
from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.run import Record

TaskName = Literal["binary", "multiclass", "multilabel", "ordinal"]
Level = Literal["image", "study", "patient"]


class PartCount(Record):
    """What lies in a part. `by_label`: units of each class, or with each finding; `unknown`: labels that are not given,
    units of them (multilabel: findings of units)."""

    images: int
    units: int
    by_label: dict[str, int] = Field(default_factory=dict)
    unknown: int = 0


class Curves(Record):
    roc: Roc
    reliability: list[ReliabilityBin]
    scores: Histogram


class OperatingPoint(Record):
    """One label's line between yes and no, and what it does on the test part. PPV and NPV hold at `prevalence`: the
    stated one, else the test part's. An interval is None where no unit could have shown it."""

    threshold: float  # calibrated probability from which the label is called
    prevalence: float
    stated: bool  # whether the prevalence is the user's
    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int
    sensitivity: Interval | None = None
    specificity: Interval | None = None
    ppv: Interval | None = None
    npv: Interval | None = None
    calibration_sensitivity: float | None = None  # where the threshold was chosen; the test part's is the honest one
    calibration_specificity: float | None = None


class Conformal(Record):
    """Sets of labels that hold the truth in `nominal` of cases. Of several findings: sets of those that cannot be ruled
    out, and coverage counts findings that are there. `sizes[k]`: share of units whose set has k labels."""

    nominal: float
    by_class: bool
    coverage: Interval
    coverage_by_label: dict[str, Interval] = Field(default_factory=dict)
    mean_size: Interval
    sizes: tuple[float, ...]


class Selective(Record):
    """Coverage and risk: of the most certain `coverage` of units, the share `risk` that is called wrongly. Any wrong
    finding makes a unit wrong. `aurc`: mean risk over all coverages; `aurc_random` is that of a blind order."""

    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    aurc: Interval
    aurc_random: float
    asked: float  # `decision.refer`, share of calibration units
    referred: Interval  # share of test units that went to a person
    error_all: Interval
    error_kept: Interval | None = None  # None: all were referred
    error_referred: Interval | None = None  # None: none was


class Foreign(Record):
    """Units whose images look unlike the training images: `limit` on the distance, what share of the test part it
    refuses. Test images are not foreign, so the share should lie near `asked`."""

    limit: float | None
    asked: float
    refused: Interval


class Slice(Record):
    """The units of one site, sex or band of ages. Metrics are None where the slice cannot show them."""

    column: str
    level: str
    units: int
    by_label: dict[str, int] = Field(default_factory=dict)
    metrics: dict[str, Interval] = Field(default_factory=dict)  # auc, accuracy, sensitivity, specificity


class WithoutDuplicates(Record):
    """The test metrics once more without images that lie, pixel for pixel, in another part too."""

    images: int  # left out
    units: int  # that are left
    test: dict[str, Interval] = Field(default_factory=dict)


class DecisionFacts(Record):
    """How the answer came about: `rule` says where thresholds come from."""

    rule: Literal["min_sensitivity", "best_accuracy", "most_probable"]
    min_sensitivity: float | None = None
    pooling: Literal["mean", "max", "attention"] = "mean"
    thresholds: dict[str, float] = Field(default_factory=dict)
    calibration: str = ""  # "Platt", "temperature 1.30", ...


class Evaluation(Record):
    """evaluation.json. `test` and `validation`: variant (`trained`, `baseline`) to metric. The rest is of `trained`,
    save `curves`, which has both variants, then labels. `confusion[true][called]` counts units (not multilabel)."""

    task: TaskName
    labels: tuple[str, ...]
    level: Level
    primary: str = "auc"
    decision: DecisionFacts
    parts: dict[str, PartCount] = Field(default_factory=dict)
    patients: int | None = None  # of the test part; None: not known, every unit is resampled by itself
    test: dict[str, dict[str, Interval]] = Field(default_factory=dict)
    validation: dict[str, dict[str, float]] = Field(default_factory=dict)
    by_label: dict[str, dict[str, Interval]] = Field(default_factory=dict)  # label to auc, average_precision, f1, ...
    better_than_baseline: Interval | None = None  # difference of AUC, on the same resamples
    curves: dict[str, dict[str, Curves]] = Field(default_factory=dict)
    operating: dict[str, OperatingPoint] = Field(default_factory=dict)  # binary and multilabel
    confusion: tuple[tuple[int, ...], ...] = ()
    conformal: Conformal | None = None
    selective: Selective | None = None
    foreign: Foreign | None = None
    slices: tuple[Slice, ...] = ()
    without_duplicates: WithoutDuplicates | None = None  # None: no test image lies in another part too
