"""From a model's log-odds to a calibrated probability, and from that to a word: approve, review, refuse.

Plain numpy, the same in training, evaluation and serving.
"""

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Decision:
    """What happens at which probability.

    slope, intercept: Platt's calibration of the log-odds (Platt 1999); slope above 0 keeps the order of the rows.
    threshold: a row at or above it gets the second word. review_low, review_high: rows from low to below high go to a
    person and get the word `review`; equal bounds send nobody.
    """

    slope: float
    intercept: float
    threshold: float
    review_low: float
    review_high: float
    below: str
    at_or_above: str

    def probability(self, logit: np.ndarray) -> np.ndarray:
        """Calibrated probability of the positive class, float64 [rows]."""
        return sigmoid(self.slope * np.asarray(logit, dtype=np.float64) + self.intercept)

    def words(self, probability: np.ndarray) -> list[str]:
        """The decision about each row."""
        words = np.where(probability >= self.threshold, self.at_or_above, self.below).astype(object)
        words[(probability >= self.review_low) & (probability < self.review_high)] = "review"
        return words.tolist()

    def to_json(self) -> dict[str, float | str]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, float | str]) -> "Decision":
        return cls(
            slope=float(values["slope"]),
            intercept=float(values["intercept"]),
            threshold=float(values["threshold"]),
            review_low=float(values["review_low"]),
            review_high=float(values["review_high"]),
            below=str(values["below"]),
            at_or_above=str(values["at_or_above"]),
        )


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow, float64."""
    half = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + half), half / (1 + half))
