"""Where things lie: the configs (in a checkout or a wheel), the pipelines they describe, the data root."""

import os
import re
from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).parent
_PIPELINE_MARK = "# @package _global_"


def checkout() -> Path | None:
    """The root of the checkout this code runs from; None when it runs from a wheel."""
    root = _PACKAGE.parent
    return root if (root / "conf").is_dir() and (root / "pyproject.toml").is_file() else None


def conf_folder() -> Path:
    """The folder of configs: inside the package in a wheel, beside it in a checkout."""
    inside = _PACKAGE / "conf"
    return inside if inside.is_dir() else _PACKAGE.parent / "conf"


def pipelines() -> list[str]:
    """Names of the pipelines, such as `finance/credit`; their files say so in the first line."""
    folder = conf_folder()
    pages = sorted(folder.glob("*/*.yaml"))
    marked = [page for page in pages if page.read_text(encoding="utf-8").startswith(_PIPELINE_MARK)]
    return [page.relative_to(folder).with_suffix("").as_posix() for page in marked]


def data_sets(pipeline: str) -> list[str]:
    """Names of the data files that a pipeline can read: those whose source is a function of its own package."""
    page = (conf_folder() / f"{pipeline}.yaml").read_text(encoding="utf-8")
    package = re.findall(r"^_target_: (\S+)", page, re.MULTILINE)[0].rsplit(".", 2)[0]
    files = sorted((conf_folder() / "data").glob("*.yaml"))
    return [file.stem for file in files if f"_target_: {package}." in file.read_text(encoding="utf-8")]


def data_choices(pipeline: str) -> list[str]:
    """What `data=` may be: its data sets, and where those are tables also `own`, a file of the user's."""
    sets = data_sets(pipeline)
    texts = [(conf_folder() / "data" / f"{name}.yaml").read_text(encoding="utf-8") for name in sets]
    return sorted([*sets, *(["own"] if any("defaults: [table" in text for text in texts) else [])])


def data_root() -> Path:
    """Where data sets are looked for and kept: `LEPTON_DATA`, else the user's cache folder."""
    return Path(os.environ.get("LEPTON_DATA") or platformdirs.user_cache_dir("lepton", appauthor=False))
