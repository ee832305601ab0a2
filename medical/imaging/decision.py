"""From the network's output about images to an answer about a unit: how probable, what is called, what stays possible,
whether a person has to read it, and whether the image is of another kind than any the model knows.

    decision.decide(logit, distance, units)[0].decision       # "malignant", "refer" or "refused"

Arrays as in `medical.imaging.pooling`; `fitting.py` makes the decision. Plain numpy, the same in training, evaluation
and serving.
"""

from dataclasses import asdict, dataclass, fields
from typing import Literal

import numpy as np

from lepton_solutions.data.decision import sigmoid
from lepton_solutions.errors import UserError
from medical.imaging.pooling import Floats, Pooling, TaskName, log_softmax

REFER, REFUSED, NOTHING = "refer", "refused", "none"
Level = Literal["image", "study", "patient"]
_FAR = 40.0  # log-odds beyond which a double cannot tell a probability from 0 or 1


@dataclass(frozen=True)
class Answer:
    """About one unit. probability: of each label; binary: [of the negative, of the positive].

    label: what the model calls, of several findings all of them joined by "|", `none` where there is none. decision:
    the label, or `refer` (a person reads it: too uncertain), or `refused` (looks like no image the model knows; then
    neither probability nor label mean anything). possible: the conformal set, labels that cannot be ruled out.
    certainty: compares answers of one model, higher is surer. distance: of the most foreign image; None: not measured.
    """

    unit: int
    images: int
    probability: tuple[float, ...]
    label: str
    decision: str
    possible: tuple[str, ...]
    certainty: float
    refer: bool
    refused: bool
    distance: float | None


@dataclass(frozen=True)
class ImageDecision:
    """What happens at which output, as decision.json holds it.

    slope, intercept: of the log-odds (Platt) of the positive class, each finding, or being above each level; of several
    classes one slope, 1 / temperature, and no intercept. threshold: calibrated probability from which the positive
    class or a finding is called; empty otherwise, where the most probable class or the median level is called. limit:
    a label is possible where 1 - its probability is at most this; None: always. refer_below: of the certainty.
    distance_limit: an image further away is refused.
    """

    task: TaskName
    labels: tuple[str, ...]
    level: Level
    pooling: Pooling
    slope: tuple[float, ...]
    intercept: tuple[float, ...]
    threshold: tuple[float, ...]
    coverage: float
    by_class: bool
    limit: tuple[float | None, ...]
    refer_below: float | None
    distance_limit: float | None

    def pooled(self, logit: np.ndarray, units: np.ndarray) -> Floats:
        """The logit of each unit, in ascending order of unit codes."""
        return self.pooling.pooled(self.task, logit, units)

    def probability(self, unit_logit: np.ndarray) -> Floats:
        """Calibrated: binary [units] of the positive class, multilabel [units, findings], else [units, classes]."""
        z = np.asarray(unit_logit, dtype=np.float64)
        if self.task == "multiclass":
            return np.asarray(np.exp(log_softmax(self.slope[0] * z)))
        if self.task == "binary":
            return sigmoid(self.slope[0] * z + self.intercept[0])
        found = sigmoid(np.asarray(self.slope) * z + np.asarray(self.intercept))
        return _levels(found) if self.task == "ordinal" else found

    def called(self, probability: np.ndarray) -> np.ndarray:
        """binary [units] 0 or 1, multilabel [units, findings] 0 or 1, else the code of the class [units]."""
        if self.task in ("binary", "multilabel"):
            line = np.asarray(self.threshold)
            return (probability >= (line[0] if self.task == "binary" else line)).astype(np.int64)
        if self.task == "multiclass":
            return probability.argmax(axis=1)
        return (1 - np.cumsum(probability, axis=1)[:, :-1] >= 0.5).sum(axis=1)  # the median level

    def possible(self, probability: np.ndarray) -> np.ndarray:
        """[units, labels] bool: the conformal sets. What is called is always among them, which only adds coverage, and
        so is every level between two possible ones."""
        share = self.shares(probability)
        limit = np.array([np.inf if at is None else at for at in self.limit])
        inside = 1 - share <= limit
        called = self.called(probability)
        if self.task == "multilabel":
            return inside | (called == 1)
        inside[np.arange(len(inside)), called] = True
        if self.task == "ordinal":
            inside = np.maximum.accumulate(inside, 1) & np.maximum.accumulate(inside[:, ::-1], 1)[:, ::-1]
        return inside

    def certainty(self, probability: np.ndarray) -> Floats:
        """[units]: the way to the nearest threshold in log-odds; without thresholds the probability of the call."""
        if self.task in ("multiclass", "ordinal"):
            return np.asarray(probability[np.arange(len(probability)), self.called(probability)], dtype=np.float64)
        away = np.abs(_log_odds(probability) - _log_odds(np.asarray(self.threshold)))
        return away if self.task == "binary" else away.min(axis=1)

    def shares(self, probability: np.ndarray) -> Floats:
        """The probability of every label, [units, labels]: two columns where the task is binary."""
        return np.stack([1 - probability, probability], axis=1) if self.task == "binary" else probability

    def decide(self, logit: np.ndarray, distance: np.ndarray | None, units: np.ndarray) -> list[Answer]:
        """One answer a unit, in ascending order of unit codes. A unit is as foreign as its most foreign image."""
        codes, counts = np.unique(units, return_counts=True)
        probability = self.probability(self.pooled(logit, units))
        far = None if distance is None else unit_distance(distance, units)
        certainty, shares = self.certainty(probability), self.shares(probability)
        refused = np.zeros(len(codes), dtype=bool)
        if far is not None and self.distance_limit is not None:
            refused = ~(far <= self.distance_limit)  # a distance that is no number is refused too
        refer = np.zeros_like(refused) if self.refer_below is None else certainty < self.refer_below
        names, possible = self.names(probability), self.possible(probability)
        return [
            Answer(
                unit=int(codes[row]),
                images=int(counts[row]),
                probability=tuple(float(value) for value in shares[row]),
                label=names[row],
                decision=REFUSED if refused[row] else REFER if refer[row] else names[row],
                possible=tuple(name for name, inside in zip(self.labels, possible[row], strict=True) if inside),
                certainty=float(certainty[row]),
                refer=bool(refer[row]),
                refused=bool(refused[row]),
                distance=None if far is None else float(far[row]),
            )
            for row in range(len(codes))
        ]

    def names(self, probability: np.ndarray) -> list[str]:
        """What is called, in words."""
        called = self.called(probability)
        if self.task != "multilabel":
            return [self.labels[code] for code in called]
        return ["|".join(np.asarray(self.labels)[row == 1].tolist()) or NOTHING for row in called]

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> "ImageDecision":
        """Raises UserError where keys are missing."""
        known = [field.name for field in fields(cls)]
        absent = [name for name in known if name not in values]
        if absent:
            raise UserError(f"decision.json: expected the keys {', '.join(known)}; missing: {', '.join(absent)}")
        pooling = values["pooling"]
        assert isinstance(pooling, dict)
        read = {name: tuple(value) if isinstance(value := values[name], list) else value for name in known}
        read["pooling"] = Pooling(pooling["kind"], tuple(pooling["gate"]))
        return cls(**read)  # type: ignore[arg-type]


def unit_distance(distance: np.ndarray, units: np.ndarray) -> Floats:
    """[units]: of the most foreign image; NaN where one is NaN."""
    codes, place = np.unique(units, return_inverse=True)
    found = np.full(len(codes), -np.inf)
    with np.errstate(invalid="ignore"):
        np.maximum.at(found, place.reshape(-1), np.asarray(distance, dtype=np.float64))
    return found


def _levels(above: Floats) -> Floats:
    """The probability of each level from those of being above level 0, 1, ..., which are first put in order."""
    ordered = np.minimum.accumulate(above, axis=1)
    ends = np.ones((len(above), 1))
    return -np.diff(np.concatenate([ends, ordered, 0 * ends], axis=1), axis=1)


def _log_odds(probability: np.ndarray) -> Floats:
    p = np.asarray(probability, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(p) - np.log1p(-p), -_FAR, _FAR)
