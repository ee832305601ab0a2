"""`lepton doctor`: is everything here that a run needs, and what to do about what is not."""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import requires

from packaging.requirements import Requirement

from lepton_solutions import __version__
from lepton_solutions.environment import machine, versions
from lepton_solutions.places import conf_folder, data_root, pipelines

ROOM_GB = 2  # of free disk below which a run folder or a download may not fit


def examine() -> tuple[str, bool]:
    """The findings as text, and whether nothing is wrong that keeps a run from working."""
    lines, healthy = [f"lepton {__version__}, Python {sys.version.split()[0]}, {machine()['cpu']}"], True

    def say(good: bool, text: str, cure: str = "") -> None:
        nonlocal healthy
        healthy &= good
        lines.append(f"{'ok   ' if good else 'FAIL '} {text}" + (f"\n      -> {cure}" if not good else ""))

    needed = [Requirement(text) for text in requires("lepton-solutions") or []]
    needed = [need for need in needed if need.marker is None or need.marker.evaluate()]
    found = versions(tuple(need.name for need in needed))
    for need in needed:
        have = found.get(need.name)
        good = have is not None and need.specifier.contains(have, prereleases=True)
        if not good:
            say(False, f"{need.name}: found {have or 'nothing'}, expected {need.specifier}", "uv sync")
    if healthy:
        say(True, f"{len(needed)} packages within their ranges; torch {found['torch']}")
    say(bool(pipelines()), f"{len(pipelines())} pipelines in {conf_folder()}", "install the package again")
    _devices(lines)
    _engines(say)
    root = data_root()
    lines.append(
        f"ok    data root {root}"
        if root.is_dir()
        else f"note  data root {root} does not exist: sets are fetched there; LEPTON_DATA names another folder"
    )
    free = shutil.disk_usage(root if root.is_dir() else ".").free / 2**30
    say(free > ROOM_GB, f"{free:.0f} GB free on disk", f"make room: runs and downloads want {ROOM_GB} GB")
    return "\n".join(lines), healthy


def _devices(lines: list[str]) -> None:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    lines.append(
        f"ok    GPUs: {', '.join(gpus)}" if gpus else f"note  no GPU: runs use {torch.get_num_threads()} CPU threads"
    )


def _engines(say: Callable[[bool, str, str], None]) -> None:
    if importlib.util.find_spec("onnxruntime") is None:
        return
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    shown = ", ".join(name.removesuffix("ExecutionProvider") for name in providers)
    say(
        "CPUExecutionProvider" in providers,
        f"engine onnxruntime {onnxruntime.__version__}: {shown}",
        "uv sync --reinstall-package onnxruntime",
    )
