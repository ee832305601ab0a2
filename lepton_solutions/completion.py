"""Shell completion of overrides: reads the YAML files as text, so that an answer comes at once."""

import re
from collections.abc import Iterator, Sequence

from lepton_solutions.places import conf_folder, data_choices, pipelines

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[a-z_]+):(?P<rest>.*)$")
_GROUP = re.compile(r"^ +- /(\w+): (\w+)", re.MULTILINE)
_BASE_PAGE = re.compile(r"^ +- /([\w/]+)@_global_", re.MULTILINE)  # what a page builds on
_BASE = re.compile(r"^defaults: \[(\w+), _self_\]", re.MULTILINE)  # what a file of a group builds on


def overrides(pipeline: str | None, incomplete: str) -> list[tuple[str, str]]:
    """What may follow as `key=value`: keys with their comments, or the choices of a group."""
    if pipeline not in pipelines():
        return []
    pages = list(_chain(pipeline, _BASE_PAGE))
    groups = dict(pair for page in reversed(pages) for pair in _GROUP.findall(page))
    group, equals, start = incomplete.partition("=")
    if equals:
        choices = _choices(pipeline, group) if group in groups else []
        return [(f"{group}={name}", "") for name in choices if name.startswith(start)]
    found = dict.fromkeys(groups, "choose a file") | _notes(pages, "")
    for group, choice in groups.items():
        found |= _notes(list(_chain(f"{group}/{choice}", _BASE)), f"{group}.")
    return [(f"{key}=", note) for key, note in found.items() if key.startswith(incomplete)]


def _choices(pipeline: str, group: str) -> list[str]:
    """Files of a group; of the data sets those that the pipeline can read."""
    if group == "data":
        return data_choices(pipeline)
    return sorted(file.stem for file in (conf_folder() / group).glob("*.yaml"))


def _chain(name: str, base: re.Pattern[str]) -> Iterator[str]:
    """The text of a file of the configs, and of those that it builds on."""
    text = (conf_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    yield text
    for below in base.findall(text):
        yield from _chain(below if "/" in below else f"{name.rpartition('/')[0]}/{below}", base)


def _notes(texts: Sequence[str], prefix: str) -> dict[str, str]:
    """Keys with their comments; where a file builds on another one, its own comment counts if it has one."""
    notes: dict[str, str] = {}
    for text in reversed(texts):
        notes |= {key: note or notes.get(key, "") for key, note in _keys(text, prefix)}
    return notes


def _keys(text: str, prefix: str) -> Iterator[tuple[str, str]]:
    above = ""
    for line in text.splitlines():
        match = _KEY.match(line)
        if match is None or match["key"] in {"defaults", "source", "_target_"}:
            continue
        value, _, note = match["rest"].partition("#")
        name = f"{above}{match['key']}" if match["indent"] else match["key"]
        if not match["indent"]:
            above = f"{match['key']}."
        if value.strip():
            yield f"{prefix}{name}", note.strip()
