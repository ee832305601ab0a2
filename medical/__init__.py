"""Medical: imaging diagnosis. `from medical import ImageClassifier` is the way in from a notebook."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medical.imaging.classifier import ImageClassifier as ImageClassifier

__all__ = ["ImageClassifier"]


def __getattr__(name: str) -> object:
    if name != "ImageClassifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from medical.imaging.classifier import ImageClassifier

    return ImageClassifier
