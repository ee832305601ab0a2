"""`lepton list`: the pipelines, what each is for, and where its data sets are."""

import yaml

from lepton_solutions.data.sources import Source
from lepton_solutions.places import conf_folder, data_sets, pipelines
from lepton_solutions.settings import Call


def catalogue() -> str:
    """One block per pipeline: its title, then a line for each data set that it can read."""
    blocks = []
    for name in pipelines():
        page = (conf_folder() / f"{name}.yaml").read_text(encoding="utf-8")
        title = page.splitlines()[1].lstrip("# ")
        sets = [_line(choice) for choice in data_sets(name)]
        blocks.append("\n".join([f"{name}", f"  {title}", *sets]))
    return "\n\n".join(blocks)


def _line(choice: str) -> str:
    text = (conf_folder() / "data" / f"{choice}.yaml").read_text(encoding="utf-8")
    function = Call.model_validate(yaml.safe_load(text)["source"]).resolve()
    module = __import__(function.__module__, fromlist=["*"])
    source = getattr(module, choice.upper(), None)  # a set that is made by its function has none
    place = source.whereabouts() if isinstance(source, Source) else "made here"
    what = text.splitlines()[0].lstrip("# ")
    return f"  data={choice:<11} {what}\n                   {place}"
