"""What the calls do: sensitivity, specificity and predictive values, sets and their coverage, what goes to a person.

Everything is counted in units of the test part whose truth is known; `groups` [n] are their patients, drawn whole for
the intervals (None: each unit by itself).
"""

import numpy as np

from lepton_solutions.class_metrics import share_interval
from lepton_solutions.metrics import Array
from lepton_solutions.resampling import Interval, interval, resample, resamples
from medical.imaging.decision import ImageDecision
from medical.imaging.evaluation import Conformal, OperatingPoint, Selective
from medical.imaging.threshold import coverage_risk

REPLICATES = 1000
_ALIKE = 1e-12  # resamples that differ by rounding only


class Draws:
    """The resamples of n units, the same each time it is asked."""

    def __init__(self, seed: int, n: int, groups: np.ndarray | None) -> None:
        self.n, self.groups, self._seed = n, groups, seed
        self.owners = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)

    def generator(self) -> np.random.Generator:
        return np.random.default_rng([self._seed, 1])

    def of(self, kept: np.ndarray) -> "Draws":
        """Of some of the units only."""
        return Draws(self._seed, int(kept.sum()), None if self.groups is None else self.groups[kept])

    def sums(self, columns: Array) -> Array:
        """[replicates, c]: the sums of columns [n, c] in each resample."""
        blocks = resample(np.ones(self.n), self.generator(), resamples(self.n, REPLICATES), groups=self.groups)
        return np.concatenate([block @ columns for block in blocks])

    def share(self, happened: np.ndarray, possible: np.ndarray | None = None) -> Interval | None:
        """How often something happened of how often it could have, both [n]; None where it never could."""
        could = np.ones(self.n) if possible is None else possible.astype(np.float64)
        if could.sum() == 0:
            return None
        sums = self.sums(np.stack([happened.astype(np.float64), could], axis=1))
        with np.errstate(invalid="ignore"):
            drawn = sums[:, 0] / sums[:, 1]
        owners = len(np.unique(self.owners[could > 0]))
        return share_interval(float(happened.sum() / could.sum()), drawn, owners)

    def mean(self, values: np.ndarray) -> Interval:
        sums = self.sums(np.stack([values, np.ones(self.n)], axis=1))
        return interval(float(values.mean()), sums[:, 0] / sums[:, 1])


def operating_point(
    target: np.ndarray, called: np.ndarray, *, threshold: float, prevalence: float | None, draws: Draws
) -> OperatingPoint:
    """target, called: [n], 0 or 1. prevalence: where the model will work; None: as among these units.

    Predictive values at a stated prevalence follow from sensitivity and specificity by Bayes' rule, in every resample
    too. Where no call is wrong, resamples do not vary: then they follow from the ends of the two intervals.
    """
    y, c = target.astype(bool), called.astype(bool)
    sensitivity, specificity = draws.share(y & c, y), draws.share(~y & ~c, ~y)
    stated = prevalence is not None
    of = float(prevalence) if prevalence is not None else float(y.mean())
    if stated and sensitivity is not None and specificity is not None:
        ppv, npv = _predictive(y, c, sensitivity, specificity, of, draws)
    else:
        ppv, npv = draws.share(y & c, c), draws.share(~y & ~c, ~c)
    return OperatingPoint(
        threshold=threshold,
        prevalence=of,
        stated=stated,
        true_positives=int((y & c).sum()),
        false_negatives=int((y & ~c).sum()),
        true_negatives=int((~y & ~c).sum()),
        false_positives=int((~y & c).sum()),
        sensitivity=sensitivity,
        specificity=specificity,
        ppv=ppv,
        npv=npv,
    )


def conformal(decision: ImageDecision, probability: Array, target: np.ndarray, draws: Draws) -> Conformal:
    """How often the sets hold the truth, and how large they are. target: codes [n], or [n, findings], NaN unknown."""
    inside = decision.possible(probability)
    if decision.task == "multilabel":
        true = np.nan_to_num(target) == 1
    else:
        true = np.eye(len(decision.labels), dtype=bool)[target.astype(np.int64)]
    held = inside & true
    by_label = {
        label: found
        for code, label in enumerate(decision.labels)
        if (found := draws.share(held[:, code], true[:, code])) is not None
    }
    size = inside.sum(axis=1)
    # Of several findings nobody may have any: then nothing had to be held.
    coverage = draws.share(held.sum(axis=1), true.sum(axis=1)) or Interval(1.0, 0.0, 1.0)
    return Conformal(
        nominal=decision.coverage,
        by_class=decision.by_class,
        coverage=coverage,
        coverage_by_label=by_label,
        mean_size=draws.mean(size.astype(np.float64)),
        sizes=tuple(float(share) for share in np.bincount(size, minlength=len(decision.labels) + 1) / len(size)),
    )


def selective(certainty: np.ndarray, wrong: np.ndarray, refer: np.ndarray, *, asked: float, draws: Draws) -> Selective:
    """certainty: [n]; wrong, refer: [n], 0 or 1."""
    curve = coverage_risk(certainty, wrong)
    kept = refer == 0
    error, referred = draws.share(wrong), draws.share(refer)
    assert error is not None and referred is not None  # there are units
    return Selective(
        coverage=tuple(np.round(curve.coverage, 6).tolist()),
        risk=tuple(np.round(curve.risk, 6).tolist()),
        aurc=interval(curve.area, _areas(certainty, wrong, draws)),
        aurc_random=error.value,
        asked=asked,
        referred=referred,
        error_all=error,
        error_kept=draws.share(wrong * kept, kept),
        error_referred=draws.share(wrong * ~kept, ~kept),
    )


def _predictive(
    y: np.ndarray, c: np.ndarray, sensitivity: Interval, specificity: Interval, prevalence: float, draws: Draws
) -> tuple[Interval | None, Interval | None]:
    sums = draws.sums(np.stack([y & c, y, ~y & ~c, ~y], axis=1).astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = sums[:, 0] / sums[:, 1], sums[:, 2] / sums[:, 3]
    found: list[Interval | None] = []
    for rule in (_ppv, _npv):
        value, low, high = (
            float(rule(np.array(first), np.array(second), prevalence))
            for first, second in (
                (sensitivity.value, specificity.value),
                (sensitivity.low, specificity.low),
                (sensitivity.high, specificity.high),
            )
        )
        seen = rule(*drawn, prevalence)
        if np.isnan(value):
            found.append(None)
        elif np.nanmax(seen) - np.nanmin(seen) < _ALIKE:
            found.append(Interval(value, min(low, value), max(high, value)))
        else:
            found.append(interval(value, seen))
    return found[0], found[1]


def _ppv(sensitivity: Array, specificity: Array, prevalence: float) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        right, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
        return np.asarray(right / (right + wrong))


def _npv(sensitivity: Array, specificity: Array, prevalence: float) -> Array:
    return _ppv(specificity, sensitivity, 1 - prevalence)


def _areas(certainty: np.ndarray, wrong: np.ndarray, draws: Draws) -> Array:
    """The area under coverage and risk of each resample."""
    order = np.argsort(-certainty, kind="stable")
    lost = wrong[order].astype(np.float64)
    found = []
    for block in resample(np.ones(draws.n), draws.generator(), resamples(draws.n, REPLICATES), groups=draws.groups):
        weight = block[:, order]
        reached, errors = np.cumsum(weight, axis=1), np.cumsum(weight * lost, axis=1)
        risk = errors / np.maximum(reached, 1.0)  # whole weights: 0 only before the first unit that counts
        found.append((risk * weight).sum(axis=1) / reached[:, -1])
    return np.concatenate(found)
