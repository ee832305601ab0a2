"""What the run found, in sentences: for the head of the report, the model card and the titles of figures."""

from __future__ import annotations

from finance.fraud.evaluation import AMOUNT, BASELINE, HINDSIGHT, MODEL, NOBODY, Evaluation
from finance.fraud.members import LABELS, OURS
from lepton_solutions.metrics import Interval

RULES = {
    MODEL: "This model",
    BASELINE: "Best simple model",
    AMOUNT: "Highest amounts first",
    NOBODY: "Nobody looks",
    HINDSIGHT: "Hindsight, which knows the frauds",
}
DOING = {AMOUNT: "looking at the highest amounts", NOBODY: "looking at nobody"}
# As the simulator and the Fraud Detection Handbook number them.
SCENARIOS = {1: "large amounts", 2: "compromised terminals", 3: "compromised cards"}
LIMITS = (
    "What a fraud costs is taken as its amount; that a closed card is spared later frauds is not counted, nor what a "
    "wrongly closed card costs beside the work of looking.",
    "A case is taken to be decided on its day and rightly: whoever looks at a fraud sees that it is one.",
    "Only frauds that were reported are known as such; of payments that were declined nothing is.",
    "Thieves change their ways. Watch the drift of columns and score and the alerts of a fixed line, and train again.",
    "Intervals draw cards as if one were hit independently of another; a terminal that is compromised hits several at "
    "once, so they are rather too narrow.",
)


def verdict(found: Evaluation) -> str:
    """What looking by this model saves a day, beside the better rule without a model and the best simple model."""
    money = found.money
    over, rule = money.saved_over_rule, money.policy(money.rule)
    doing = f"looking at {found.budget:,} {found.unit}s a day by this model"
    if over.low <= 0:
        return (
            f"Not shown to be worth using: {doing} {saves(money.saved.value)} a day, {DOING[rule.policy]} "
            f"{saves(rule.saved.value)}, a difference of {between(over)}.{smaller(found)}"
        )
    more = "" if rule.policy == NOBODY else f", where {DOING[rule.policy]} {saves(rule.saved.value)}"
    return f"{doing.capitalize()} saves {amount(money.saved.value)} a day{more}{beside_baseline(found)}."


def beside_baseline(found: Evaluation) -> str:
    """The end of the verdict: the paired comparison with the best simple model."""
    over, name = found.money.saved_over_baseline, LABELS[found.baseline]
    if found.is_baseline:
        return f"; it is {name} alone, as on validation days nothing improved on it"
    saved = f"the best simple model, {name}, {saves(found.money.policy(BASELINE).saved.value)}"
    if over.low > 0:
        return f"; {saved}"
    if over.high < 0:
        return f", but {saved}, which is more"
    return f"; {saved}, too near to tell apart here"


def smaller(found: Evaluation) -> str:
    """What another budget would have saved, where the one in use loses money."""
    best, saved = best_budget(found)
    if found.money.saved.value > 0 or saved <= 0:
        return ""
    return f" With hindsight, {best} a day would have saved {amount(saved)}."


def best_budget(found: Evaluation) -> tuple[int, float]:
    """The budget of the curve that saved most on the test days, and how much a day."""
    curve = found.money.curve
    saved = curve.saved[MODEL]
    place = max(range(len(saved)), key=saved.__getitem__)
    return curve.budgets[place], saved[place]


def decision_text(found: Evaluation) -> str:
    """Who is looked at."""
    text = (
        f"Each day the {found.budget:,} {found.unit}s with the highest probability of a fraud are looked at; a "
        f"{found.unit}'s probability is the highest of its payments. A look costs {found.cost_of_case:g} and saves "
        f"{100 * found.recovered:.0f} % of that day's frauds. Whoever was found, or whose fraud was reported, "
        f"{found.delay:g} days after it, is closed and leaves."
    )
    return f"{text} Another budget needs no other model."


def model_text(found: Evaluation) -> str:
    """How well frauds are told apart, and whether that is more than the best simple model does."""
    ours, gain = found.test[OURS]["average_precision"], found.better_than_baseline["average_precision"]
    text = f"Average precision on test days: {ours.value:.3f}."
    if found.is_baseline:
        return f"{text} The model in use is {LABELS[found.baseline]}, as on validation days nothing improved on it."
    side = "above" if gain.value >= 0 else "below"
    sure = "more than chance explains" if gain.low > 0 or gain.high < 0 else "within what chance explains"
    return (
        f"{text} That is {abs(gain.value):.3f} {side} {LABELS[found.baseline]}, the best simple model on validation "
        f"days ({gain.low:+.3f} to {gain.high:+.3f}), {sure}."
    )


def line_text(found: Evaluation) -> str:
    """What a fixed line, set before the test days, would have raised on them."""
    line = found.line
    return (
        f"Set on calibration days so that a typical day raises {found.budget:,} alerts, a fixed line at a probability "
        f"of {percent(line.threshold)} would have raised {line.alerts:,.0f} a day on test days."
    )


def saves(value: float) -> str:
    """In words, so that no sign is overlooked.

    >>> saves(1234.5), saves(-20.0), saves(0.0)
    ('saves 1,234', 'loses 20', 'saves nothing')
    """
    if value == 0:
        return "saves nothing"
    return f"{'saves' if value > 0 else 'loses'} {amount(abs(value))}"


def amount(value: float) -> str:
    """Money in a sentence: whole units, with a decimal where they are few."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}".removesuffix(".0")


def between(found: Interval) -> str:
    """A difference with its interval."""
    return f"{amount(found.value)} ({amount(found.low)} to {amount(found.high)})"


def percent(value: float) -> str:
    """Three digits of a share.

    >>> percent(0.00123), percent(0.25)
    ('0.123 %', '25 %')
    """
    return f"{100 * value:.3g} %"
