"""Finance: credit scoring. `from finance import CreditScorer` is the scikit-learn way in."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finance.credit.scorer import CreditScorer as CreditScorer

__all__ = ["CreditScorer"]


def __getattr__(name: str) -> object:
    if name != "CreditScorer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from finance.credit.scorer import CreditScorer

    return CreditScorer
