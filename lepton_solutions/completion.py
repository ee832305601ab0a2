"""Shell completion of overrides: reads the YAML files as text, so that an answer comes at once."""

import re
from collections.abc import Iterator

from lepton_solutions.places import conf_folder, pipelines

BASE = ("data", "table")
_KEY = re.compile(r"^(?P<indent> *)(?P<key>[a-z_]+):(?P<rest>.*)$")


def overrides(pipeline: str | None, incomplete: str) -> list[tuple[str, str]]:
    """What may follow as `key=value`: keys with their comments, or the choices of a group."""
    if pipeline not in pipelines():
        return []
    page = conf_folder() / f"{pipeline}.yaml"
    group, equals, start = incomplete.partition("=")
    if equals:
        choices = sorted(file.stem for file in (conf_folder() / group).glob("*.yaml")) if group.isalpha() else []
        # The base page of the data sets is no set itself.
        return [(f"{group}={name}", "") for name in choices if name.startswith(start) and (group, name) != BASE]
    groups = re.findall(r"^ +- /(\w+): (\w+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    found = [*((group, "choose a file") for group, _ in groups), *_keys(page.read_text(encoding="utf-8"), "")]
    for group, choice in groups:
        for name in {choice, "table"} if group == "data" else {choice}:
            found += _keys((conf_folder() / group / f"{name}.yaml").read_text(encoding="utf-8"), f"{group}.")
    return [(f"{key}=", note) for key, note in dict(found).items() if key.startswith(incomplete)]


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
