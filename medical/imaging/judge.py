"""How good are the answers about the test part? Metrics, operating points, sets, referrals, slices, without duplicates.

All is counted at `data.level`, in units whose truth is known, and resampled by patient where patients are known.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lepton_solutions import curves
from lepton_solutions.class_metrics import class_metrics, class_values, metric_difference
from lepton_solutions.data.bands import bands
from lepton_solutions.data.splits import CALIBRATION, PARTS, TEST, TRAIN, VALIDATION
from lepton_solutions.resampling import Interval
from medical.imaging.decision import Answer, ImageDecision
from medical.imaging.evaluation import (
    Curves,
    DecisionFacts,
    Evaluation,
    Foreign,
    OperatingPoint,
    PartCount,
    Slice,
    WithoutDuplicates,
)
from medical.imaging.operating import Draws, conformal, operating_point, selective
from medical.imaging.pooling import Floats, unit_targets
from medical.imaging.settings import Imaging
from medical.imaging.store import Store

OURS, BASELINE = "trained", "baseline"
SLICED = ("site", "sex", "age")
SHOWN_BY_SLICE = ("auc", "accuracy", "sensitivity", "specificity")
SHOWN_BY_LABEL = ("auc", "average_precision", "sensitivity", "specificity", "f1")
FEWEST = 5  # units of a slice: below, its numbers say nothing about the model, and too much about a person
_BLOCK = 256  # images read at once while looking for equal ones


@dataclass(frozen=True)
class Examined:
    """Units of the test part, in ascending order of their codes: what is true and what each variant says.

    truth: codes [n], -1 unknown, or [n, findings], NaN unknown. groups: each unit's patient; None where not given.
    first: row of each unit's first image. probability: see `ImageDecision.probability`.
    """

    truth: np.ndarray
    groups: np.ndarray | None
    first: np.ndarray
    decisions: dict[str, ImageDecision]
    probability: dict[str, Floats]

    def of(self, kept: np.ndarray) -> "Examined":
        """Some of the units."""
        groups = None if self.groups is None else self.groups[kept]
        probability = {name: p[kept] for name, p in self.probability.items()}
        return replace(self, truth=self.truth[kept], groups=groups, first=self.first[kept], probability=probability)

    def called(self, variant: str) -> np.ndarray:
        return self.decisions[variant].called(self.probability[variant])

    def known(self) -> np.ndarray:
        """[n] bool: units with a label."""
        return ~np.isnan(self.truth).all(axis=1) if self.truth.ndim == 2 else self.truth >= 0

    def wrong(self, variant: str) -> np.ndarray:
        """[n] bool: units of which any known label is called wrongly."""
        differ = self.called(variant) != self.truth
        return (differ & ~np.isnan(self.truth)).any(axis=1) if self.truth.ndim == 2 else differ

    def draws(self, seed: int) -> Draws:
        return Draws(seed, len(self.truth), self.groups)

    def metrics(self, variant: str, seed: int) -> dict[str, Interval]:
        return class_metrics(
            self.decisions[variant].task,
            self.truth,
            self.probability[variant],
            self.called(variant),
            groups=self.groups,
            generator=self.draws(seed).generator(),
        )


def answered(store: Store, decisions: dict[str, ImageDecision], logit: Mapping[str, np.ndarray]) -> Examined:
    """What each variant says about the units of the test part. logit: a variant's, of images, [n, ...]."""
    units = store.units(TEST)
    first = np.unique(units, return_index=True)[1]
    given = store.facts.parts[PARTS[TEST]].patients is not None
    return Examined(
        truth=unit_targets(store.target(TEST), units, store.facts.task)[1],
        groups=store.units(TEST, "patient")[first] if given else None,
        first=first,
        decisions=decisions,
        probability={name: one.probability(one.pooled(logit[name], units)) for name, one in decisions.items()},
    )


def judge(
    settings: Imaging, store: Store, examined: Examined, answers: list[Answer], before: Mapping[str, np.ndarray]
) -> Evaluation:
    """All that evaluation.json says. answers: of all units. before: the images' logits as `train` saved them, keys
    `trained/validation`, `trained/calibration` and so on. At least one unit's truth must be known.
    """
    facts, decision, seed = store.facts, examined.decisions[OURS], settings.seed
    refused, refer = (np.array([getattr(one, what) for one in answers]) for what in ("refused", "refer"))
    foreign = examined.draws(seed).share(refused)
    known = examined.known()
    judged = examined.of(known)
    draws, certainty = judged.draws(seed), decision.certainty(judged.probability[OURS])
    assert foreign is not None
    return Evaluation(
        task=facts.task,
        labels=decision.labels,
        level=facts.level,
        decision=_decision_facts(settings, decision),
        parts={PARTS[part]: _count(store, part) for part in (TRAIN, VALIDATION, CALIBRATION, TEST)},
        patients=facts.parts[PARTS[TEST]].patients,
        test={name: judged.metrics(name, seed) for name in judged.decisions},
        validation={name: _on_validation(store, one, before, name) for name, one in judged.decisions.items()},
        by_label=_by_label(judged, draws),
        better_than_baseline=metric_difference(
            "auc",
            facts.task,
            judged.truth,
            (judged.probability[OURS], judged.called(OURS)),
            (judged.probability[BASELINE], judged.called(BASELINE)),
            groups=judged.groups,
            generator=draws.generator(),
        ),
        curves={name: _curves(judged, name) for name in judged.decisions},
        operating=_operating(settings, store, judged, before),
        confusion=_confusion(judged),
        conformal=conformal(decision, judged.probability[OURS], judged.truth, draws),
        selective=selective(certainty, judged.wrong(OURS), refer[known], asked=settings.decision.refer, draws=draws),
        foreign=Foreign(limit=decision.distance_limit, asked=settings.decision.out_of_distribution, refused=foreign),
        slices=tuple(_slices(store, judged, seed)),
        without_duplicates=_without_duplicates(store, judged, known, seed),
    )


def _decision_facts(settings: Imaging, decision: ImageDecision) -> DecisionFacts:
    least = settings.decision.min_sensitivity
    several = decision.task == "multiclass"
    return DecisionFacts(
        rule="most_probable" if not decision.threshold else "best_accuracy" if least is None else "min_sensitivity",
        min_sensitivity=least,
        pooling=decision.pooling.kind,
        thresholds=dict(zip(_yes(decision), decision.threshold, strict=True)) if decision.threshold else {},
        calibration=f"temperature {1 / decision.slope[0]:.2f}" if several else "Platt",
    )


def _yes(decision: ImageDecision) -> tuple[str, ...]:
    """Labels one can say yes to: of two classes the positive one."""
    return decision.labels[1:] if decision.task == "binary" else decision.labels


def _count(store: Store, part: int) -> PartCount:
    target, units = store.target(part), store.units(part)
    _, truth = unit_targets(target, units, store.facts.task)
    if truth.ndim == 2:
        counts, unknown = (truth == 1).sum(axis=0), int(np.isnan(truth).sum())
    else:
        counts, unknown = np.bincount(truth[truth >= 0], minlength=len(store.facts.labels)), int((truth < 0).sum())
    by_label = dict(zip(store.facts.labels, counts.tolist(), strict=True))
    return PartCount(images=len(target), units=len(truth), by_label=by_label, unknown=unknown)


def _before(
    store: Store, part: int, decision: ImageDecision, before: Mapping[str, np.ndarray], name: str
) -> tuple[np.ndarray, Floats]:
    """Truth and probability of the units of an earlier part."""
    units = store.units(part)
    _, truth = unit_targets(store.target(part), units, decision.task)
    return truth, decision.probability(decision.pooled(before[f"{name}/{PARTS[part]}"], units))


def _on_validation(
    store: Store, decision: ImageDecision, before: Mapping[str, np.ndarray], name: str
) -> dict[str, float]:
    truth, probability = _before(store, VALIDATION, decision, before, name)
    return class_values(decision.task, truth, probability, decision.called(probability))


def _columns(
    decision: ImageDecision, truth: np.ndarray, probability: Floats
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Each label that one can say yes to, against the rest: its name, truth 0 or 1, probability, called 0 or 1, of the
    units of which it is known."""
    called = decision.called(probability)
    for code, label in enumerate(_yes(decision)):
        if decision.task == "binary":
            seen, y, p, c = truth >= 0, truth, probability, called
        elif decision.task == "multilabel":
            seen, y, p, c = ~np.isnan(truth[:, code]), truth[:, code], probability[:, code], called[:, code]
        else:
            seen, y, p, c = truth >= 0, truth == code, probability[:, code], called == code
        yield label, np.where(seen, y, -1).astype(np.int64), p, c.astype(np.int64)


def _by_label(judged: Examined, draws: Draws) -> dict[str, dict[str, Interval]]:
    found = {}
    for label, y, p, c in _columns(judged.decisions[OURS], judged.truth, judged.probability[OURS]):
        metrics = class_metrics("binary", y, p, c, groups=judged.groups, generator=draws.generator())
        found[label] = {name: metrics[name] for name in SHOWN_BY_LABEL if name in metrics}
    return found


def _curves(judged: Examined, variant: str) -> dict[str, Curves]:
    found = {}
    for label, y, p, _ in _columns(judged.decisions[variant], judged.truth, judged.probability[variant]):
        y, p = y[y >= 0], p[y >= 0]
        if len(np.unique(y)) == 2:
            found[label] = Curves(
                roc=curves.roc_points(y, p),
                reliability=curves.reliability_bins(y, p),
                scores=curves.score_histogram(y, p),
            )
    return found


def _operating(
    settings: Imaging, store: Store, judged: Examined, before: Mapping[str, np.ndarray]
) -> dict[str, OperatingPoint]:
    decision, prevalence = judged.decisions[OURS], settings.decision.prevalence
    found: dict[str, OperatingPoint] = {}
    if not decision.threshold:
        return found
    truth, probability = _before(store, CALIBRATION, decision, before, OURS)
    columns = _columns(decision, judged.truth, judged.probability[OURS])
    for (label, y, _, c), (_, held, _, flagged), line in zip(
        columns, _columns(decision, truth, probability), decision.threshold, strict=True
    ):
        if (y >= 0).any():
            draws = judged.of(y >= 0).draws(settings.seed)
            point = operating_point(y[y >= 0], c[y >= 0], threshold=line, prevalence=prevalence, draws=draws)
            at_calibration = {
                f"calibration_{name}": float((flagged[held == side] == side).mean()) if (held == side).any() else None
                for name, side in (("sensitivity", 1), ("specificity", 0))
            }
            found[label] = point.model_copy(update=at_calibration)
    return found


def _confusion(judged: Examined) -> tuple[tuple[int, ...], ...]:
    """Units by true (rows) and called class."""
    if judged.truth.ndim == 2:
        return ()
    n = len(judged.decisions[OURS].labels)
    counts = np.bincount(judged.truth * n + judged.called(OURS), minlength=n * n).reshape(n, n)
    return tuple(tuple(row) for row in counts.tolist())


def _slices(store: Store, judged: Examined, seed: int) -> Iterator[Slice]:
    """By what is known of the unit's first image; ages in four bands."""
    rows = store.rows(TEST)
    for column in SLICED:
        if column not in rows.column_names:
            continue
        given = rows.column(column).take(judged.first)
        if len(given.drop_null().unique()) < 2:
            continue
        for level, mask in bands(given, name=column):
            if mask.sum() < FEWEST:
                continue
            part = judged.of(mask)
            metrics = part.metrics(OURS, seed)
            yield Slice(
                column=column,
                level=level,
                units=len(part.truth),
                by_label={
                    label: int((y == 1).sum())
                    for label, y, *_ in _columns(part.decisions[OURS], part.truth, part.probability[OURS])
                },
                metrics={name: metrics[name] for name in SHOWN_BY_SLICE if name in metrics},
            )


def _without_duplicates(store: Store, judged: Examined, known: np.ndarray, seed: int) -> WithoutDuplicates | None:
    elsewhere = {look for part in (TRAIN, VALIDATION, CALIBRATION) for look in _looks(store.pixels(part))}
    again = np.array([look in elsewhere for look in _looks(store.pixels(TEST))], dtype=bool)
    if not again.any():
        return None
    place = np.unique(store.units(TEST), return_inverse=True)[1].reshape(-1)
    seen = np.bincount(place, weights=again) > 0
    left = judged.of(~seen[known])
    metrics = left.metrics(OURS, seed) if len(left.truth) else {}
    return WithoutDuplicates(images=int(again.sum()), units=len(left.truth), test=metrics)


def _looks(pixels: np.ndarray) -> Iterator[bytes]:
    for start in range(0, len(pixels), _BLOCK):
        for image in np.ascontiguousarray(pixels[start : start + _BLOCK]):
            yield hashlib.blake2b(image.tobytes(), digest_size=16).digest()
