"""What the run found, in sentences: for the head of the report, the model card and the titles of figures."""

from lepton_solutions.metrics import Interval
from medical.imaging.evaluation import Evaluation, OperatingPoint

RESEARCH = "Research use only. Not a medical device."


def verdict(found: Evaluation) -> str:
    """One or two sentences: on how many units, how often right, what goes to a person, and whether that is any use."""
    sentence = {
        "binary": _binary,
        "multiclass": _named,
        "ordinal": _graded,
        "multilabel": _findings,
    }[found.task](found)
    return f"{sentence}{referred(found)}.{_doubt(found)}"


def _binary(found: Evaluation) -> str:
    label, point = found.labels[1], found.operating.get(found.labels[1])
    if point is None or point.sensitivity is None or point.specificity is None:
        return f"On {units(found)} the sensitivity for “{label}” could not be measured"
    return (
        f"On {units(found)} sensitivity for “{label}” is {with_interval(point.sensitivity)} and specificity "
        f"{with_interval(point.specificity)}"
    )


def _named(found: Evaluation) -> str:
    accuracy = found.test["trained"].get("accuracy")
    often = "" if accuracy is None else f" in {with_interval(accuracy)}"
    return f"On {units(found)} the model names the right one of {len(found.labels)} classes{often}"


def _graded(found: Evaluation) -> str:
    test = found.test["trained"]
    accuracy, kappa = test.get("accuracy"), test.get("quadratic_kappa")
    agreed = (
        "" if kappa is None else f", with a weighted kappa of {kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f})"
    )
    often = "" if accuracy is None else f" in {with_interval(accuracy)}"
    return f"On {units(found)} the model gives the right one of {len(found.labels)} grades{often}{agreed}"


def _findings(found: Evaluation) -> str:
    auc = found.test["trained"].get("auc")
    ranked = sorted((metrics["auc"].value, label) for label, metrics in found.by_label.items() if "auc" in metrics)
    mean = "" if auc is None else f", with a mean AUC of {auc.value:.2f} ({auc.low:.2f} to {auc.high:.2f})"
    spread = ""
    if len(ranked) > 1:
        (low, worst), (high, best) = ranked[0], ranked[-1]
        spread = f", from {low:.2f} (“{worst}”) to {high:.2f} (“{best}”)"
    return f"On {units(found)} the model looks for {len(found.labels)} findings{mean}{spread}"


def referred(found: Evaluation) -> str:
    """The end of the verdict: how many cases a person decides."""
    selective, foreign = found.selective, found.foreign
    sent = selective.referred.value if selective is not None else 0.0
    text = f"; {percent(sent)} are referred to a person" if sent > 0 else "; none is referred to a person"
    if foreign is not None and foreign.refused.value > 0:
        text += f", {percent(foreign.refused.value)} refused as unlike the training images"
    return text


def _doubt(found: Evaluation) -> str:
    """What takes the shine off: a goal missed, or a simple model that does as well."""
    doubts = []
    asked = found.decision.min_sensitivity
    short = [
        label
        for label, point in found.operating.items()
        if asked is not None and point.sensitivity is not None and point.sensitivity.value < asked
    ]
    if asked is not None and short:
        which = "" if found.task == "binary" else f" of {_listed(short)}"
        doubts.append(f"The sensitivity{which} falls short of the {percent(asked)} asked for.")
    gain = found.better_than_baseline
    if gain is not None and gain.low <= 0:
        doubts.append("The model is not shown to be better than the simple baseline.")
    return "".join(f" {doubt}" for doubt in doubts)


def decision_text(found: Evaluation) -> str:
    """How an image becomes a decision, and where the line comes from."""
    facts, unit = found.decision, found.level
    where = {
        "min_sensitivity": f"{_a(unit)} is called from the highest probability on that still finds "
        f"{percent(facts.min_sensitivity or 0)} of the calibration {unit}s with the finding.",
        "best_accuracy": _best_accuracy(found),
        "most_probable": f"Each {unit} is called the most probable class."
        if found.task != "ordinal"
        else f"Each {unit} is called the lowest grade that it exceeds with a probability below one half.",
    }[facts.rule]
    pooled = {
        "mean": "the mean over its images",
        "max": "the image that speaks most for it",
        "attention": "a mean over its images, weighted as learned on training data",
    }[facts.pooling]
    text = where if found.level == "image" else f"{where} The answer for a {unit} is {pooled}."
    if facts.calibration:
        text += f" Probabilities are calibrated ({facts.calibration}) on cases that trained nothing."
    return text


def _best_accuracy(found: Evaluation) -> str:
    """One half, unless another line was better by more than chance."""
    unit, moved = found.level, [label for label, line in found.decision.thresholds.items() if line != 0.5]
    half = f"{_a(unit)} is called from a calibrated probability of one half on"
    if not moved:
        return f"{half}."
    if found.task == "multilabel":
        half += f", but for {_listed(moved)} from where"
    else:
        half = f"{_a(unit)} is called from the probability on where"
    return f"{half} clearly more calibration {unit}s are called rightly than from one half."


def point_text(label: str, point: OperatingPoint, unit: str) -> str:
    """What the line does, in cases: what a reader of a hundred calls would see."""
    positives = point.true_positives + point.false_negatives
    negatives = point.true_negatives + point.false_positives
    text = (
        f"Of {positives:,} {unit}s with “{label}” {point.false_negatives:,} {_were(point.false_negatives)} missed; of "
        f"{negatives:,} without, {point.false_positives:,} {_were(point.false_positives)} called."
    )
    if point.ppv is not None:
        whose = "the prevalence you stated" if point.stated else "that of the test part"
        text += (
            f" At a prevalence of {percent(point.prevalence)} ({whose}), {percent(point.ppv.value)} of the calls are "
            "right"
        )
        text += "." if point.npv is None else f" and {percent(point.npv.value)} of the clearances."
    return text


def units(found: Evaluation) -> str:
    """Test units whose truth is known, and whose they are where that is known and they are not the patients."""
    part = found.parts.get("test")
    if part is None:
        return "the test part"
    unknown = 0 if found.task == "multilabel" else part.unknown
    text = f"{part.units - unknown:,} test {found.level}s"
    if found.patients is not None and found.level != "patient" and unknown == 0 and found.patients != part.units:
        text += f" of {found.patients:,} patients"
    return text


def with_interval(interval: Interval) -> str:
    """
    >>> with_interval(Interval(0.934, 0.87, 0.97))
    '93 % (87 to 97)'
    """
    low, high = (f"{100 * end:.0f}" for end in (interval.low, interval.high))
    return f"{100 * interval.value:.0f} % ({low} to {high})"


def percent(value: float) -> str:
    """One decimal where it matters.

    >>> percent(0.0128), percent(0.25)
    ('1.3 %', '25 %')
    """
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def _a(unit: str) -> str:
    return f"An {unit}" if unit[0] in "aeiou" else f"A {unit}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _listed(names: list[str]) -> str:
    few = [f"“{name}”" for name in names[:3]]
    rest = len(names) - len(few)
    return ", ".join(few) + (f" and {rest} more" if rest else "")
