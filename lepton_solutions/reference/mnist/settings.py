"""The config keys of `conf/reference/mnist.yaml`."""

from pydantic import Field

from lepton_solutions.settings import Call, Fit, Run, Settings, Share


class Data(Settings):
    """`data`: which digits, and how many of the training images judge the training."""

    source: Call
    validation: Share


class Augment(Settings):
    """`augment`: how far a training image is turned, scaled, sheared and moved at random, each to both sides."""

    rotate: float = Field(ge=0, le=180)
    scale: float = Field(ge=0, lt=1)
    shear: float = Field(ge=0, lt=1)
    shift: float = Field(ge=0, le=14)


class FineTune(Settings):
    """`finetune`: passes and rate of the training that follows with a task head of its own."""

    epochs: int = Field(ge=0, le=1000)
    learning_rate: float = Field(gt=0, le=10)


class Mnist(Settings):
    """Every key of `conf/reference/mnist.yaml`."""

    seed: int = Field(ge=0, lt=2**32)
    run: Run
    data: Data
    hidden: int = Field(ge=1, le=4096)
    augment: Augment
    fit: Fit
    finetune: FineTune
