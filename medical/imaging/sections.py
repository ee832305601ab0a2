"""The sections of the imaging report that are about the test part: what is called, where, how surely, for whom."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.page import Block, Cell, Facts, Pictures, Section, Table, Text, estimate
from lepton_solutions.reporting.run import RunMetrics
from lepton_solutions.reporting.sections import drawn, weight_of
from medical.imaging.evaluation import Evaluation, OperatingPoint
from medical.imaging.maps import Maps
from medical.imaging.verdict import decision_text, percent, point_text, with_interval

METRICS = {
    "auc": "AUC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "quadratic_kappa": "Weighted kappa",
    "average_precision": "AP",
    "brier": "Brier",
    "ece": "ECE",
}
CAPTIONS = {
    "wrong": "Left the image, right the same with its map. Nothing was chosen by what the maps show.",
    "right": "Spread evenly over how certain they were, and over the classes.",
    "pointing": "A lesion counts as pointed at where the map's maximum lies in it, or within half a cell of the map "
    "beside it. Under shuffled weights the map should point no better than blindly.",
    "roc": "The further to the upper left, the better; the dotted line is chance.",
    "confusion": "Rows are the truth. A cell is as dark as its share of its row.",
    "scores": "Each class as shares of its own cases. What lies right of the line is called.",
    "reliability": "Groups of equally many cases, with 95 % intervals; below, how many there are at each probability. "
    "On the dotted line predictions come true.",
    "coverage_risk": "From right to left the least certain cases go to a person. The curve should fall below the "
    "dotted line, which is what a blind choice of them gives.",
    "sets": "A set of one label is a clear answer. A set of several leaves them open.",
}


def decision_section(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    blocks: list[Block] = [Text(point_text(label, point, found.level)) for label, point in _few(found.operating)]
    if found.operating:
        rows = [_point_row(label, point) for label, point in found.operating.items()]
        prevalences = [point.prevalence for point in found.operating.values()]
        stated = any(point.stated for point in found.operating.values())
        whose = "the stated prevalence" if stated else "the test part's prevalence"
        of = f", {percent(prevalences[0])}" if len(set(prevalences)) == 1 else ""
        blocks.append(
            Table(
                ("Finding", "Called from", "Sensitivity", "Specificity", "PPV", "NPV", "Found", "False alarms"),
                rows,
                "What the line does on the test part",
                note=f"PPV and NPV, the shares of calls and of clearances that are right, hold at {whose}{of}. Cases "
                "that are referred to a person are counted as the line decides.",
                tall=len(rows) > 12,
            )
        )
    return Section("Operating point", [*blocks, *pictures(figures, "confusion", "scores")], decision_text(found))


def _few(points: Mapping[str, OperatingPoint]) -> list[tuple[str, OperatingPoint]]:
    """In words only where there are not many of them."""
    return list(points.items()) if len(points) <= 3 else []


def _point_row(label: str, point: OperatingPoint) -> tuple[Cell, ...]:
    positives = point.true_positives + point.false_negatives
    negatives = point.true_negatives + point.false_positives
    shares = (point.sensitivity, point.specificity, point.ppv, point.npv)
    return (
        label,
        percent(point.threshold),
        *(estimate(share, 0, percent=True) for share in shares),
        f"{point.true_positives:,} of {positives:,}",
        f"{point.false_positives:,} of {negatives:,}",
    )


def montage_section(found: Evaluation, maps: Maps | None, figures: Mapping[str, Figure]) -> Section:
    if maps is None or not len(maps.unit):
        return Section("Right and wrong calls", [])
    about = {
        "binary": f"Warm places speak for “{found.labels[-1]}”, whatever was called.",
        "multiclass": "Warm places speak for what was called.",
        "ordinal": "Warm places speak for a higher grade.",
        "multilabel": "Warm places speak for the finding named.",
    }[found.task]
    one = "for all maps here" if found.task in ("binary", "ordinal") else "for all maps of a class"
    lead = f"{about} The yellow outline runs at half of the scale, which is the same {one}."
    if found.level != "image":
        lead += f" Each {found.level} is shown by the image that speaks most for the call."
    if (maps.lesion == maps.lesion).any():
        lead += " Blue circles are the lesions that were drawn into the phantoms."
    blocks: list[Block] = [*pictures(figures, "wrong", "right"), *pictures(figures, "pointing")]
    if maps.likeness.size:
        like = float(maps.likeness.mean())
        blocks.append(
            Text(
                f"Are the maps what the network learned? Under shuffled weights the same images give other maps: their "
                f"rank correlation with those above is {like:.2f} on average ({maps.likeness.min():.2f} to "
                f"{maps.likeness.max():.2f}), where 1 would mean that the maps show the image and not the network."
            )
        )
    return Section("Right and wrong calls", blocks, lead)


def separation_section(metrics: RunMetrics, found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    models = metrics.models()
    measured = {key: name for key, name in METRICS.items() if any(key in variant.test for variant in models.values())}
    rows: list[tuple[Cell, ...]] = [
        (metrics.label(name), *(estimate(variant.test.get(key)) for key in measured), *weight_of(variant))
        for name, variant in models.items()
    ]
    tags = {metrics.chosen: "in use", "baseline": "simple model"}
    blocks: list[Block] = [
        Table(
            ("Model", *measured.values(), "Size, kB", "Time, ms"),
            rows,
            f"Models on the same test {found.level}s",
            note="AP (average precision), AUC, accuracy: higher is better. Brier and ECE, the calibration error: lower "
            "is better. Time is the median of single images on one thread.",
            marked={place: tags[name] for place, name in enumerate(models) if name in tags},
        )
    ]
    if len(found.by_label) > 1:
        blocks.append(_by_label(found))
    if found.without_duplicates is not None:
        rest = found.without_duplicates
        auc = rest.test.get("auc")
        which = f"the {rest.images:,} test images that lie" if rest.images > 1 else "the one test image that lies"
        blocks.append(
            Text(
                f"Without {which} in another part too, {rest.units:,} {found.level}s "
                "are left" + ("." if auc is None else f", with an AUC of {estimate(auc)}.")
            )
        )
    lead = ""
    if found.better_than_baseline is not None:
        lead = _gain(metrics, found.better_than_baseline, found.level)
    return Section("Separation", [*pictures(figures, "roc"), *blocks], lead)


def _gain(metrics: RunMetrics, gain: Interval, unit: str) -> str:
    sure = "is more than chance explains" if gain.low > 0 or gain.high < 0 else "may be chance"
    side = "above" if gain.value >= 0 else "below"
    return (
        f"On the same {unit}s the model's AUC is {abs(gain.value):.3f} {side} that of {metrics.label('baseline')}. The "
        f"difference {sure}: its interval is {gain.low:+.3f} to {gain.high:+.3f}."
    )


def _by_label(found: Evaluation) -> Table:
    part = found.parts.get("test")
    names = {key for metrics in found.by_label.values() for key in metrics}
    shown = {key: name for key, name in (METRICS | {"f1": "F1"}).items() if key in names}
    rows: list[tuple[Cell, ...]] = [
        (
            label,
            f"{part.by_label.get(label, 0):,}" if part else "–",
            *(estimate(metrics.get(key)) for key in shown),
        )
        for label, metrics in found.by_label.items()
    ]
    of = "Finding" if found.task == "multilabel" else "Class"
    head = (of, f"{found.level.capitalize()}s", *shown.values())
    note = "Each against the rest. Blank where the test part cannot show it."
    return Table(head, rows, f"By {of.lower()}", note=note, tall=len(rows) > 12)


def calibration_section(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    lead = "Can a predicted probability be taken at its word?"
    if found.task != "binary" and "reliability" in figures:
        lead += " Shown is the label that fares worst."
    blocks = pictures(figures, "reliability")
    return Section("Calibration", blocks, lead if blocks else "")


def person_section(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    """What is left to a person: the referred, the open and the foreign."""
    selective, conformal, foreign = found.selective, found.conformal, found.foreign
    facts: list[tuple[str, str]] = []
    if selective is not None and selective.asked > 0:
        facts.append(("Referred", f"{with_interval(selective.referred)} of {found.level}s; asked were "
                      f"{percent(selective.asked)}"))  # fmt: skip
        if selective.error_kept is not None:
            facts.append(("Wrong among the rest", with_interval(selective.error_kept)))
        if selective.error_referred is not None:
            facts.append(("Wrong among the referred", with_interval(selective.error_referred)))
    if selective is not None:
        facts.append(
            (
                "Area under the curve",
                f"{selective.aurc.value:.3f} ({selective.aurc.low:.3f} to {selective.aurc.high:.3f}); "
                f"{selective.aurc_random:.3f} if cases were kept blindly",
            )
        )
    if conformal is not None:
        facts.append(("Sets that hold the truth", f"{with_interval(conformal.coverage)}; asked were "
                      f"{percent(conformal.nominal)}"))  # fmt: skip
        worst = min(conformal.coverage_by_label.items(), key=lambda item: item[1].value, default=None)
        if worst is not None and len(conformal.coverage_by_label) > 1:
            facts.append((f"Least, of “{worst[0]}”", with_interval(worst[1])))
    if foreign is not None:
        facts.append(
            (
                "Refused as foreign",
                f"{with_interval(foreign.refused)} of the test part; on images like the training ones "
                f"{percent(foreign.asked)} are expected",
            )
        )
    lead = "No cases are referred: `decision.refer` is 0. The curve shows what referring would bring." if (
        selective is not None and selective.asked == 0
    ) else ""  # fmt: skip
    blocks: list[Block] = [*pictures(figures, "coverage_risk", "sets")]
    if facts:
        blocks.append(Facts(facts))
    return Section("What is left to a person", blocks, lead)


def slice_section(found: Evaluation) -> Section:
    names = {"auc": "AUC", "accuracy": "Accuracy", "sensitivity": "Sensitivity", "specificity": "Specificity"}
    shown = [key for key in names if any(key in part.metrics for part in found.slices)]
    rows: list[tuple[Cell, ...]] = [
        (
            f"{part.column}: {part.level}",
            f"{part.units:,}",
            *(estimate(part.metrics.get(key), 3 if key == "auc" else 0, percent=key != "auc") for key in shown),
        )
        for part in found.slices
    ]
    if not rows:
        return Section("By site, sex and age", [])
    head = ("Slice", f"{found.level.capitalize()}s", *(names[key] for key in shown))
    note = "Slices of one column differ by chance as well: compare intervals. A dash: the slice cannot show it."
    return Section("By site, sex and age", [Table(head, rows, "The same model on parts of the test part", note=note)])


def pictures(figures: Mapping[str, Figure], *names: str) -> Sequence[Pictures]:
    shown = [drawn(figures[name], CAPTIONS[name]) for name in names if name in figures]
    return [Pictures(shown)] if shown else []
