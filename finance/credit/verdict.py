"""What the run found, in sentences: for the head of the report, the model card and the titles of figures."""

from finance.credit.evaluation import CreditDecision, Evaluation

RULES = {
    "this model": "This model",
    "logistic": "Logistic regression",
    "approve all": "Approve everyone",
    "refuse all": "Refuse everyone",
}
DOING = {"approve all": "approving everyone", "refuse all": "refusing everyone"}


def verdict(found: Evaluation) -> str:
    """One sentence: what deciding with the model costs, beside the cheapest rule without one and the logistic model."""
    ours, rule, unit = found.policy("this model"), found.cheapest_without_model(), found.names.unit
    if ours is None or rule is None:
        return "This run has not priced its decisions."
    cost, without = f"{ours.cost.value:.2f} per {unit}", DOING[rule.policy]
    saved = found.saved_over_rule
    if saved is None or saved.low <= 0:
        interval = f", a difference of {saved.value:.2f} ({saved.low:.2f} to {saved.high:.2f})" if saved else ""
        return (
            f"{_tested(found)} not shown to be worth using: deciding with it costs {cost}, "
            f"{without} {rule.cost.value:.2f}{interval}."
        )
    share = round(100 * (1 - ours.cost.value / rule.cost.value))
    return (
        f"Deciding with this model costs {cost}, {share} % less than {without} ({rule.cost.value:.2f}), "
        f"the cheapest rule without a model{beside_logistic(found)}."
    )


def _tested(found: Evaluation) -> str:
    test = found.parts.get("test")
    return "This model is" if test is None else f"On {test.rows:,} test {found.names.unit}s this model is"


def beside_logistic(found: Evaluation) -> str:
    """The end of the verdict: the paired comparison with a logistic regression that decides by its own cut-off."""
    logistic, saved = found.policy("logistic"), found.saved_over_logistic
    if logistic is None or saved is None:
        return ""
    cost = f"a logistic regression costs {logistic.cost.value:.2f}"
    if saved.low > 0:
        return f"; {cost}"
    if saved.high < 0:
        return f", but {cost}, which is less"
    return f"; {cost}, too near to tell apart here"


def decision_text(decision: CreditDecision) -> str:
    """How an applicant is decided upon, and where the cut-off comes from."""
    if decision.rule == "cost":
        why = (
            f"the point where the risk of a missed default (cost {decision.cost_of_default:g}) comes to outweigh "
            f"that of a wrong refusal (cost {decision.cost_of_refusal:g})"
        )
    else:
        why = "set on the calibration rows so that the asked share of applicants is approved"
    text = f"An applicant is refused from a default probability of {percent(decision.threshold)} on, {why}."
    if decision.review is None:
        return f"{text} No band for manual review is set."
    band = f"{percent(decision.review.low)} and {percent(decision.review.high)}"
    return f"{text} Between {band} a person decides: {percent(decision.review_share)} of the applicants."


def percent(value: float) -> str:
    """One decimal where it matters.

    >>> percent(1 / 6), percent(0.25)
    ('16.7 %', '25 %')
    """
    return f"{100 * value:.1f}".removesuffix(".0") + " %"
