"""The config keys of `conf/reference/linear_regression.yaml`."""

from pydantic import Field

from lepton_solutions.settings import Call, Fit, Run, Settings, Share


class Data(Settings):
    """`data`: which table, and how many of its rows the test part gets."""

    source: Call
    test: Share


class LinearRegression(Settings):
    """Every key of `conf/reference/linear_regression.yaml`."""

    seed: int = Field(ge=0, lt=2**32)
    run: Run
    data: Data
    fit: Fit
