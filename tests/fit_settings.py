"""The training loop's defaults with changes, for tests."""

import yaml

from lepton_solutions.places import conf_folder
from lepton_solutions.settings import Fit


def fit_settings(**asked: object) -> Fit:
    """conf/fit/loop.yaml, eager and without a logger, 5 epochs of batches of 16, but for what is asked."""
    values = yaml.safe_load((conf_folder() / "fit" / "loop.yaml").read_text(encoding="utf-8"))
    return Fit.model_validate(values | {"plan": "eager", "logger": "none", "epochs": 5, "batch_size": 16} | asked)
