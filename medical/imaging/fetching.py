"""What an imaging run needs from the network: the set's file, and the published weights of its network."""

from __future__ import annotations

from pathlib import Path

from medical.imaging.medmnist import SETS
from medical.imaging.settings import Imaging
from medical.imaging.sources import source_of


def fetch(settings: Imaging) -> list[Path]:
    """Fetches both; the folders of huggingface_hub's cache that hold weights. `data.path` is the user's to carry."""
    name = settings.data.source.target.rpartition(".")[2]
    if settings.data.path is None and name in SETS:
        source_of(name, settings.data.resolution).fetch()
    if not (settings.model.pretrained and settings.model.name.startswith("timm:")):
        return []
    from medical.imaging.trunks import pretrained_file

    file = pretrained_file(settings.model.name.removeprefix("timm:"))
    return [next(folder for folder in file.parents if folder.name.startswith("models--"))]
