"""The config keys of the imaging pipeline: which images, which network, how they are changed, what is decided."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lepton_solutions.settings import Audit, Call, Fit, Run, Settings, Share

Axis = Literal["left_right", "up_down", "front_back"]
Level = Literal["image", "study", "patient"]
Pixels = Annotated[int, Field(ge=8, le=4096)]
RESNETS = ("monai_resnet18", "monai_resnet34", "monai_resnet50")
NETWORKS = ("small", *RESNETS, "monai_densenet121", "monai_efficientnet_b0", "monai_vit", "timm:NAME")
Millimetres = Annotated[float, Field(gt=0, le=100)]


class Images(Settings):
    """`data`: which images, how large they reach the network, and how they are split."""

    source: Call
    path: str | None = Field(min_length=1)
    positive: str | None
    resolution: Literal[28, 64, 128, 224]
    size: Annotated[tuple[Pixels, ...], Field(min_length=2, max_length=3)] | None
    spacing: Annotated[tuple[Millimetres, ...], Field(min_length=2, max_length=3)] | None
    window: tuple[float, float] | Literal["file"] | None
    level: Level
    group: Literal["patient", "study", "site"] | None
    parts: tuple[Share, Share, Share, Share]
    unreadable: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _belong_together(self) -> "Images":
        if abs(sum(self.parts) - 1) > 1e-6:
            raise ValueError(f"`parts` must sum to 1, found {sum(self.parts):g}")
        if self.spacing is not None and (self.size is None or len(self.size) != len(self.spacing)):
            raise ValueError("`spacing` needs `size` with as many numbers")
        if isinstance(self.window, tuple) and self.window[0] >= self.window[1]:
            raise ValueError("`window` must be [low, high] with low below high")
        return self


class ImageModel(Settings):
    """`model`: the network, how many of them, and what they learn."""

    name: str
    task: Literal["auto", "binary", "multiclass", "multilabel", "ordinal"]
    width: int = Field(ge=4, le=1024)
    dropout: float = Field(ge=0, lt=1)
    pretrained: bool
    weights: str | None
    members: int = Field(ge=1, le=64)
    flips: bool

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in NETWORKS and not name.startswith("timm:"):
            raise ValueError(f"one of {', '.join(NETWORKS)}")
        return name


class Augment(Settings):
    """`augment`: how far each training image is changed at random; 0 and [] everywhere: not at all."""

    rotate: float = Field(ge=0, le=180)
    scale: float = Field(ge=0, lt=1)
    shear: float = Field(ge=0, lt=1)
    shift: float = Field(ge=0, lt=0.5)
    flip: tuple[Axis, ...]
    brightness: float = Field(ge=0, le=1)
    contrast: float = Field(ge=0, lt=1)
    gamma: float = Field(ge=0, lt=1)
    noise: float = Field(ge=0, le=1)
    cutout: float = Field(ge=0, lt=1)


class Deciding(Settings):
    """`decision`: where the line between the classes runs, and which images a person has to read."""

    min_sensitivity: Share | None
    prevalence: Share | None
    coverage: Share
    by_class: bool
    pooling: Literal["mean", "max", "attention"]
    refer: float = Field(ge=0, lt=1)
    out_of_distribution: float = Field(ge=0, lt=0.5)


class Imaging(Settings):
    """Every key of `conf/medical/imaging.yaml`."""

    seed: int = Field(ge=0, lt=2**32)
    run: Run
    data: Images
    audit: Audit
    model: ImageModel
    augment: Augment
    fit: Fit
    decision: Deciding
