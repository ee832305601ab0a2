"""`lepton list`: the pipelines, what each is for, and where its data sets are."""

import yaml

from lepton_solutions.data.sources import Source
from lepton_solutions.places import conf_folder, pipelines
from lepton_solutions.settings import Call


def catalogue() -> str:
    """One block per pipeline: its title, then a line for each data set of its domain."""
    blocks = []
    for name in pipelines():
        page = (conf_folder() / f"{name}.yaml").read_text(encoding="utf-8")
        title = page.splitlines()[1].lstrip("# ")
        sets = [_line(choice, text) for choice, text in _choices(name.split("/")[0])]
        blocks.append("\n".join([f"{name}", f"  {title}", *sets]))
    return "\n\n".join(blocks)


def _choices(domain: str) -> list[tuple[str, str]]:
    """The data files of a domain: those whose source is a function of its package."""
    files = sorted((conf_folder() / "data").glob("*.yaml"))
    texts = {file.stem: file.read_text(encoding="utf-8") for file in files}
    return [(name, text) for name, text in texts.items() if f"_target_: {domain}." in text]


def _line(choice: str, text: str) -> str:
    function = Call.model_validate(yaml.safe_load(text)["source"]).resolve()
    module = __import__(function.__module__, fromlist=["*"])
    source = getattr(module, choice.upper())
    assert isinstance(source, Source)
    what = text.splitlines()[0].lstrip("# ")
    return f"  data={choice:<8} {what}\n                {source.whereabouts()}"
