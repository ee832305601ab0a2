"""Settings of the failure pipeline as its pages give them, with a few keys changed."""

from lepton_solutions.config import read_jobs
from manufacturing.failure.settings import Failure, Histories


def failure(*overrides: str) -> Failure:
    """`failure("data=cmapss_fd001", "seed=1")`."""
    settings = read_jobs("manufacturing/failure", overrides, multirun=False)[0].settings
    assert isinstance(settings, Failure)
    return settings


def histories(**keys: object) -> Histories:
    """The `data` of a table of one's own, `histories(unit="machine", time="ts")`."""
    return failure("data=own_histories").data.model_copy(update=keys)
