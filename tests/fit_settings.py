"""The training loop's defaults with changes, for tests."""

from lepton_solutions import config
from lepton_solutions.settings import Fit


def fit_settings(**asked: object) -> Fit:
    """conf/fit/loop.yaml, eager and without a logger, 5 epochs of batches of 16, but for what is asked."""
    return config.fit_settings(**({"plan": "eager", "logger": "none", "epochs": 5, "batch_size": 16} | asked))
