"""What the run found, in sentences: for the head of the report, the model card and the titles of figures."""

from __future__ import annotations

from lepton_solutions.metrics import Interval
from manufacturing.failure.baselines import LABELS
from manufacturing.failure.evaluation import FAILING, INTERVAL, MODEL, ORACLE, Evaluation

RULES = {
    MODEL: "Service when the model says so",
    INTERVAL: "Service at a fixed age",
    FAILING: "Run to failure",
    ORACLE: "Oracle, which knows the end",
}
DOING = {INTERVAL: "servicing at a fixed age", FAILING: "running to failure"}
LIMITS = (
    "It knows machines, regimes and faults like those of its training; what lies outside their ranges is flagged and "
    "answered all the same.",
    "The lower bound holds for a machine drawn like those of calibration, on average over its life, not at each "
    "moment, and for machines whose failure comes to be known.",
    "The service policy takes costs as constant and a service as making a machine as good as new.",
    "No substitute for a protection system: a sudden failure without a sign in the sensors is not foreseen.",
)


def verdict(found: Evaluation) -> str:
    """What servicing by the model costs against the cheapest rule without one, else how well it answers."""
    ours, rule = found.policy(MODEL), found.cheapest_without_model()
    if ours is None or rule is None or found.saved is None:
        return answer_text(found)
    cost, without = f"{per(ours.rate.value)} per 1,000 {found.clock}", per(rule.rate.value)
    saved = found.saved
    if saved.low <= 0:
        interval = f"{per(saved.value)} ({per(saved.low)} to {per(saved.high)})"
        return (
            f"Not shown to be worth using: servicing by this model costs {cost}, {DOING[rule.policy]} {without}, a "
            f"difference of {interval}."
        )
    share = round(100 * saved.value / rule.rate.value)
    return (
        f"Servicing by this model costs {cost}, {share} % less than {DOING[rule.policy]} ({without}), the cheapest "
        "rule without a model."
    )


def answer_text(found: Evaluation) -> str:
    """How well the question is answered, beside the best simple model."""
    name = {"rul": "rmse", "failure": "average_precision", "diagnosis": "accuracy", "health": "alarm_rate"}[
        found.question
    ]
    ours, base = found.test["trained"].get(name), found.test.get(found.baseline, {}).get(name)
    if ours is None:
        return "This run has measured nothing."
    beside = f"; {LABELS.get(found.baseline, found.baseline).lower()}: {base.value:.3g}" if base is not None else ""
    if found.question == "rul":
        return f"Remaining life is predicted with an error of {ours.value:.1f} {found.clock} (RMSE){beside}."
    if found.question == "failure":
        ahead = f" within {found.horizon:g} {found.clock}" if found.horizon is not None else ""
        return f"Failures{ahead} are found with an average precision of {ours.value:.3f}{beside}."
    if found.question == "diagnosis":
        return f"{100 * ours.value:.0f} % of readings are given the right fault{beside}."
    return f"{100 * ours.value:.1f} % of readings of healthy machines raise an alarm{beside}."


def bound_text(found: Evaluation) -> str:
    """What the lower bound promised and what it kept."""
    covered = found.coverage
    if covered is None:
        return "No lower bound can be given: too few calibration machines ran to their failure for the asked coverage."
    measured, held = covered.measured, found.parts.get("calibration")
    interval = f"{100 * measured.low:.0f} to {100 * measured.high:.0f} %"
    return (
        f"{100 * measured.value:.0f} % ({interval}) of the time, {covered.machines} test machines outlasted the lower "
        f"bound, asked: {100 * covered.asked:.0f} %. On average it lies {covered.margin:.1f} {found.clock} below the "
        "prediction."
        + (f" It was set on {held.failures} failures of calibration machines." if held is not None else "")
    )


def per(rate: float) -> str:
    """A cost per unit of time, as one per 1,000 units."""
    return f"{1000 * rate:.2f}"


def thousand(rate: Interval) -> Interval:
    """The same per 1,000 units."""
    return Interval(1000 * rate.value, 1000 * rate.low, 1000 * rate.high)
