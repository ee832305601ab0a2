"""Finance: credit scoring and fraud in payments. `from finance import CreditScorer, FraudDetector` are the ways in."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finance.credit.scorer import CreditScorer as CreditScorer
    from finance.fraud.estimator import FraudDetector as FraudDetector

__all__ = ["CreditScorer", "FraudDetector"]


def __getattr__(name: str) -> object:
    if name == "CreditScorer":
        from finance.credit.scorer import CreditScorer

        return CreditScorer
    if name == "FraudDetector":
        from finance.fraud.estimator import FraudDetector

        return FraudDetector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
