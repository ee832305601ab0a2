"""The credit model's card, `card.md` of the bundle."""

from collections.abc import Mapping

from finance.credit.evaluation import Evaluation
from finance.credit.verdict import decision_text, verdict
from lepton_solutions.reporting.card import model_card
from lepton_solutions.reporting.run import DataCard

PURPOSE = (
    "Estimates the probability that an applicant defaults, from the application alone, and proposes to approve, to "
    "refuse or to let a person decide. It supports a credit officer and does not replace one."
)
LIMITS = (
    "Learned from applicants who were granted credit; of those refused earlier nothing is known.",
    "Valid for applicants like those described here: watch the stability of the scores (PSI) after release.",
    "Leaving a protected column out does not rule out unequal outcomes, as other columns can mirror it; the report "
    "compares the groups.",
    "The cut-off follows from the two costs, which are the lender's to state: other costs, another cut-off.",
)


def credit_card(data: Mapping[str, object], evaluation: Mapping[str, object], *, chosen: str) -> str:
    """Markdown, from what data.json and evaluation.json hold; `chosen` is the model in the bundle."""
    found = Evaluation.model_validate(evaluation)
    return model_card(
        DataCard.model_validate(data),
        found.test[chosen],
        title="Credit scoring model",
        purpose=PURPOSE,
        decision=f"{decision_text(found.decision)} {verdict(found)}",
        limits=LIMITS,
    )
