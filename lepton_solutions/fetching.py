"""`lepton fetch`: what a pipeline needs from the network, packed into a folder that can be carried to another machine.

folder/data/         the data root: LEPTON_DATA points to it
folder/huggingface/  published weights: HF_HOME points to it
folder/README.txt    the command that runs there, without a network
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lepton_solutions.config import read_jobs
from lepton_solutions.data.sources import recorded
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_text
from lepton_solutions.places import module_of
from lepton_solutions.settings import Call, Settings

_CARRY = "Carry this folder to the other machine, and in it run:"
_THERE = "    LEPTON_OFFLINE=1 LEPTON_DATA=$PWD/data HF_HOME=$PWD/huggingface "
Weights = list[Path]  # folders of the cache of huggingface_hub, each of one published network


def fetch(pipeline: str, overrides: Sequence[str], folder: Path) -> str:
    """Fetch what the config asks for and pack it; what was packed, as lines to print.

    A pipeline's package says in `fetching.fetch(settings)` what it needs, where that is more than its data set.
    Raises UserError where something cannot be fetched, and leaves what was packed before.
    """
    job = read_jobs(pipeline, overrides, multirun=False)[0]
    with recorded() as files:
        weights = _of_package(pipeline)(job.settings)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file, expected a folder")
    copies = [(path, folder / "data" / name / file) for name, file, path in files]
    for cached in weights:
        inside = [file for file in sorted(cached.rglob("*")) if file.is_file() and "blobs" not in file.parts]
        copies += [(file, folder / "huggingface" / "hub" / cached.name / file.relative_to(cached)) for file in inside]
    lines = [_copy(source, place) for source, place in copies]
    command = _THERE + shlex.join(["lepton", "run", pipeline, *overrides])
    folder.mkdir(parents=True, exist_ok=True)
    readme = folder / "README.txt"
    note = readme.read_text(encoding="utf-8") if readme.is_file() else f"{_CARRY}\n\n"
    if command not in note.splitlines():  # a folder may hold what several pipelines need
        write_text(readme, f"{note}{command}\n")
    return "\n".join([*(lines or [f"{pipeline} needs nothing from the network with this config"]), "", _CARRY, command])


def _of_package(pipeline: str) -> Callable[[Settings], Weights]:
    module = module_of(pipeline, "fetching")
    return _data_alone if module is None else module.fetch


def _data_alone(settings: Settings) -> Weights:
    data = getattr(settings, "data", None)
    source = getattr(data, "source", None)
    if isinstance(source, Call) and getattr(data, "path", None) is None:
        source.resolve()()
    return []


def _copy(source: Path, place: Path) -> str:
    size = source.stat().st_size
    if not place.is_file() or place.stat().st_size != size:
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(f".{place.name}.partial")
        shutil.copyfile(source, aside)
        aside.replace(place)
    return f"{place}  {size / 1e6:,.1f} MB"
