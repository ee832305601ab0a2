"""Lepton Solutions: from raw domain data to a calibrated model that can be shipped, one PyTorch core for all domains.

The public names load on first use, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lepton_solutions.deploy.predictor import Predictor as Predictor
    from lepton_solutions.errors import UserError as UserError

__version__ = "0.1.0"

_HOMES = {"Predictor": "lepton_solutions.deploy.predictor", "UserError": "lepton_solutions.errors"}
__all__ = ["Predictor", "UserError", "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
