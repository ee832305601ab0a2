"""Where things lie: the configs (in a checkout or a wheel), the pipelines they describe, the data root."""

import importlib
import os
import re
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import platformdirs

_PACKAGE = Path(__file__).parent
_PIPELINE = re.compile(r"\A# @package _global_\n(?:.*\n)*?_target_: ")  # a page of a group may set keys of others too


def checkout() -> Path | None:
    """The root of the checkout this code runs from; None when it runs from a wheel."""
    root = _PACKAGE.parent
    return root if (root / "conf").is_dir() and (root / "pyproject.toml").is_file() else None


def conf_folder() -> Path:
    """The folder of configs: inside the package in a wheel, beside it in a checkout."""
    inside = _PACKAGE / "conf"
    return inside if inside.is_dir() else _PACKAGE.parent / "conf"


def pipelines() -> list[str]:
    """Names of the pipelines, such as `finance/credit`; their files name the function that makes their stages."""
    folder = conf_folder()
    pages = sorted(folder.glob("*/*.yaml"))
    marked = [page for page in pages if _PIPELINE.match(page.read_text(encoding="utf-8"))]
    return [page.relative_to(folder).with_suffix("").as_posix() for page in marked]


def data_sets(pipeline: str) -> list[str]:
    """Names of the data files that a pipeline can read: those whose source is a function of its own package."""
    return [name for name in _data_files(pipeline) if not _is_own(name)]


def data_choices(pipeline: str) -> list[str]:
    """What `data=` may be: its data sets, and where it can read files of the user's `own` or the like."""
    own = own_choice(pipeline)
    return sorted([*data_sets(pipeline), *([] if own is None else [own])])


def own_choice(pipeline: str) -> str | None:
    """The `data=` that reads the user's own files: the pipeline's, `own` where its sets are tables, else None."""
    files = _data_files(pipeline)
    theirs = [name for name in files if _is_own(name)]
    if theirs:
        return theirs[0]
    return "own" if any("defaults: [table" in _data_text(name) for name in files) else None


def module_of(pipeline: str, name: str) -> ModuleType | None:
    """A module of the pipeline's package, such as its `scoring`; None where it has none. So the core, which imports no
    vertical, finds what a pipeline does in a way of its own.
    """
    full = f"{_package(pipeline)}.{name}"
    return importlib.import_module(full) if find_spec(full) is not None else None


def _package(pipeline: str) -> str:
    page = (conf_folder() / f"{pipeline}.yaml").read_text(encoding="utf-8")
    return re.findall(r"^_target_: (\S+)", page, re.MULTILINE)[0].rsplit(".", 2)[0]


def _data_files(pipeline: str) -> list[str]:
    package = _package(pipeline)
    names = sorted(file.stem for file in (conf_folder() / "data").glob("*.yaml"))
    return [name for name in names if f"_target_: {package}." in _data_text(name)]


def _is_own(name: str) -> bool:
    return re.search(r"_target_: \S+\.own\b", _data_text(name)) is not None


def _data_text(name: str) -> str:
    return (conf_folder() / "data" / f"{name}.yaml").read_text(encoding="utf-8")


def data_root() -> Path:
    """Where data sets are looked for and kept: `LEPTON_DATA`, else the user's cache folder."""
    return Path(os.environ.get("LEPTON_DATA") or platformdirs.user_cache_dir("lepton", appauthor=False))
