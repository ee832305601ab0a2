"""The figures of an imaging run, each with its finding as the title."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from matplotlib.figure import Figure

from lepton_solutions.metrics import Interval, wilson
from lepton_solutions.reporting import plots, plots_images
from lepton_solutions.reporting.page import estimate
from lepton_solutions.reporting.plots_images import Tile
from lepton_solutions.reporting.run import RunMetrics
from medical.imaging.evaluation import Curves, Evaluation, OperatingPoint
from medical.imaging.maps import Maps, fitted, overlaid, tops_of_scale
from medical.imaging.verdict import percent, with_interval

OURS, BASELINE = "trained", "baseline"
MOST_LINES = 4  # of a figure: more hide each other
MOST_CLASSES = 20  # of a confusion matrix that a page can show


def imaging_figures(metrics: RunMetrics, found: Evaluation, maps: Maps | None) -> dict[str, Figure]:
    """Those of `wrong`, `right`, `pointing`, `roc`, `confusion`, `scores`, `reliability`, `coverage_risk` and `sets`
    for which the run has the numbers; `scores` and `reliability` of one label, of several the least well calibrated."""
    figures: dict[str, Figure] = {}
    if maps is not None:
        figures |= _montages(found, maps)
    if found.curves.get(OURS):
        figures["roc"] = _roc(metrics, found)
        label = worst_calibrated(found)
        figures["reliability"] = _reliability(found, label)
        if label in found.operating:
            figures["scores"] = _scores(found, label, found.operating[label])
    if found.confusion and len(found.labels) <= MOST_CLASSES:
        figures["confusion"] = _confusion(found)
    if found.selective is not None:
        figures["coverage_risk"] = _coverage_risk(found)
    if found.conformal is not None:
        figures["sets"] = _sets(found)
    return figures


def worst_calibrated(found: Evaluation) -> str:
    """The label whose calibration error is the largest; of two classes the positive one."""
    ours = found.curves[OURS]
    return max(ours, key=lambda label: _calibration_error(ours[label]))


def _calibration_error(curves: Curves) -> float:
    """Mean gap between predicted and observed over the groups of the diagram."""
    rows = sum(group["rows"] for group in curves.reliability)
    return sum(group["rows"] * abs(group["observed"] - group["predicted"]) for group in curves.reliability) / max(
        rows, 1
    )


def _montages(found: Evaluation, maps: Maps) -> dict[str, Figure]:
    figures, tops = {}, tops_of_scale(maps)
    counts = wrong_and_right(found)
    for name, right in (("wrong", False), ("right", True)):
        rows = np.flatnonzero(maps.right == right)
        if not len(rows):
            continue
        all_of_them = counts[right]
        of = f" of {all_of_them:,}" if all_of_them is not None and found.task != "multilabel" else ""
        how = "from most to least certain" if right else "the most certain first"
        title = f"{len(rows)}{of} {name} calls, {how}"
        if not right and all_of_them == len(rows) and found.task != "multilabel":
            title = f"All {len(rows)} wrong calls, the most certain first" if len(rows) > 1 else "The only wrong call"
        figures[name] = plots_images.montage_figure(
            [_tile(found, maps, row, tops[row]) for row in rows.tolist()], title=title
        )
    if maps.pointing is not None:
        figures["pointing"] = _pointing(maps)
    return figures


def wrong_and_right(found: Evaluation) -> tuple[int | None, int | None]:
    """Units called wrongly and rightly, where a matrix of them was counted."""
    if not found.confusion:
        return None, None
    table = np.asarray(found.confusion)
    right = int(np.trace(table))
    return int(table.sum()) - right, right


def _tile(found: Evaluation, maps: Maps, row: int, top: float) -> Tile:
    picture = fitted(maps.picture[row])
    scale = picture.shape[0] / maps.picture.shape[1]
    circle = tuple(float(value) for value in maps.lesion[row] * scale)
    return Tile(
        picture,
        overlaid(picture, maps.heat[row], top=top),
        _words(found, maps, row),
        (circle[0], circle[1], circle[2]) if np.isfinite(circle).all() else None,
    )


def _words(found: Evaluation, maps: Maps, row: int) -> str:
    """What was said and what is true, in two short lines."""
    sure, truth, said = percent_whole(maps.probability[row]), int(maps.truth[row]), int(maps.said[row])
    if found.task == "multilabel":
        label = _short(found.labels[maps.label[row]])
        first = f"called {label}, {sure}" if said else f"cleared of {label}, {sure}"
        second = "it is there" if truth else "it is not there"
    else:
        first, second = f"called {_short(found.labels[said])}, {sure}", f"is {_short(found.labels[truth])}"
    if maps.place[row] >= 0:
        second += f"; slice {maps.place[row] + 1} of {maps.slices}"
    if maps.refer[row]:
        second += "; referred"
    return f"{first}\n{second}"


def percent_whole(value: float) -> str:
    """Never certain.

    >>> percent_whole(0.934), percent_whole(0.9999)
    ('93 %', '> 99 %')
    """
    return "> 99 %" if value >= 0.995 else f"{100 * value:.0f} %"


def _short(label: str) -> str:
    return label if len(label) <= 18 else label[:17] + "…"


def _pointing(maps: Maps) -> Figure:
    pointing = maps.pointing
    assert pointing is not None
    blind = float(maps.chance.mean())
    shuffled = maps.hits_shuffled.ravel()
    shares = [("the network", pointing), ("weights shuffled", wilson(float(shuffled.mean()), len(shuffled)))]
    title = f"The map points at {with_interval(pointing)} of {len(maps.hits)} lesions of known place"
    return plots_images.pointing_figure(shares, title=title, chance=blind, what="lesions")


def _roc(metrics: RunMetrics, found: Evaluation) -> Figure:
    if found.task == "binary":
        label, auc = found.labels[1], found.test[OURS].get("auc")
        point = found.operating.get(label)
        variants = [name for name in (OURS, BASELINE) if label in found.curves.get(name, {})]
        return plots.roc_figure(
            {metrics.label(name): found.curves[name][label].roc for name in variants},
            title=f"The model separates with an AUC of {estimate(auc)}" if auc else "How the models separate",
            found=label,
            alarms=found.labels[0],
            mark=None if point is None else _mark(point),
        )
    # One curve a class against the rest; of many, those that are told apart worst.
    ours = found.curves[OURS]
    aucs = {label: found.by_label.get(label, {}).get("auc") for label in ours}
    ranked = sorted(ours, key=lambda label: 2.0 if (auc := aucs[label]) is None else auc.value)
    worst = list(islice(ranked, MOST_LINES))
    name = _short(worst[0])
    least = aucs[worst[0]]
    title = f"Told apart worst: “{name}”" + (f", with an AUC of {estimate(least)}" if least else "")
    return plots.roc_figure(
        {label: ours[label].roc for label in worst}, title=title, found="those with it", alarms="those without"
    )


def _mark(point: OperatingPoint) -> plots.OperatingMark | None:
    if point.sensitivity is None or point.specificity is None:
        return None
    found, cleared = point.sensitivity, point.specificity
    return plots.OperatingMark(
        1 - cleared.value, found.value, (1 - cleared.high, 1 - cleared.low), (found.low, found.high)
    )


def _reliability(found: Evaluation, label: str) -> Figure:
    ours = found.curves[OURS][label]
    which = "" if found.task == "binary" else f" of “{_short(label)}”"
    return plots.reliability_figure(
        ours.reliability,
        title=f"Predicted and observed rates{which} differ by {100 * _calibration_error(ours):.1f} points on average",
        event=_short(label),
        edges=ours.scores["edges"],
        shares=_all_scores(found, label),
    )


def _all_scores(found: Evaluation, label: str) -> Sequence[float]:
    """The histogram of all units, from those of the units with and without the label."""
    point, scores = found.operating.get(label), found.curves[OURS][label].scores
    if point is not None:
        positives = point.true_positives + point.false_negatives
        units = positives + point.true_negatives + point.false_positives
    else:
        part = found.parts.get("test")
        positives = 0 if part is None else part.by_label.get(label, 0)
        units = 0 if part is None else sum(part.by_label.values())
    if not units:
        return []
    share = positives / units
    pairs = zip(scores["positive"], scores["negative"], strict=True)
    return [share * there + (1 - share) * absent for there, absent in pairs]


def _scores(found: Evaluation, label: str, point: OperatingPoint) -> Figure:
    unit = found.level
    negative = found.labels[0] if found.task == "binary" else "without it"
    missed, alarms = point.false_negatives, point.false_positives
    false = f"{alarms:,} false alarm{'' if alarms == 1 else 's'}"
    return plots.score_figure(
        found.curves[OURS][label].scores,
        title=f"{missed:,} {unit}{'' if missed == 1 else 's'} with “{_short(label)}” missed, {false}",
        positive=label,
        negative=negative,
        cutoff=plots.Cutoff(point.threshold, f"called from {percent(point.threshold)}"),
    )


def _confusion(found: Evaluation) -> Figure:
    wrong, right = wrong_and_right(found)
    total = (wrong or 0) + (right or 0)
    table = np.asarray(found.confusion, float)
    off = table - np.diag(np.diag(table))
    true, called = np.unravel_index(int(off.argmax()), off.shape)
    title = f"{right:,} of {total:,} {found.level}s are called rightly"
    if off.max() > 0 and len(found.labels) > 2:
        title += f"; most often “{_short(found.labels[true])}” is taken for “{_short(found.labels[called])}”"
    return plots_images.confusion_figure(found.confusion, found.labels, title=title, unit=found.level)


def _coverage_risk(found: Evaluation) -> Figure:
    selective = found.selective
    assert selective is not None
    kept = None
    if selective.asked > 0 and selective.error_kept is not None:
        kept = (1 - selective.referred.value, selective.error_kept.value)
    return plots_images.coverage_risk_figure(
        selective.coverage,
        selective.risk,
        title=_risk_title(found, selective.error_all, kept),
        unit=found.level,
        blind=selective.error_all.value,
        kept=kept,
    )


def _risk_title(found: Evaluation, error_all: Interval, kept: tuple[float, float] | None) -> str:
    if kept is not None:
        return f"Without the referred, {percent(kept[1])} are called wrongly instead of {percent(error_all.value)}"
    selective = found.selective
    assert selective is not None
    coverage = np.asarray(selective.coverage)
    at = int(np.argmin(np.abs(coverage - 0.8)))
    share = percent(selective.risk[at])
    return (
        f"Of the most certain {100 * coverage[at]:.0f} % {share} are called wrongly, of all {percent(error_all.value)}"
    )


def _sets(found: Evaluation) -> Figure:
    conformal = found.conformal
    assert conformal is not None
    what = "hold the truth" if found.task != "multilabel" else "hold what is there"
    title = f"Sets {what} in {with_interval(conformal.coverage)}; asked were {percent(conformal.nominal)}"
    return plots_images.set_size_figure(conformal.sizes, title=title, unit=found.level)
