"""Manufacturing: when machines fail. `from manufacturing import FailurePredictor` is the way in from a notebook."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manufacturing.failure.estimator import FailurePredictor as FailurePredictor

__all__ = ["FailurePredictor"]


def __getattr__(name: str) -> object:
    if name != "FailurePredictor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from manufacturing.failure.estimator import FailurePredictor

    return FailurePredictor
