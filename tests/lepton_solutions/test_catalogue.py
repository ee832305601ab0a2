"""`lepton list`: every pipeline with its data sets, where each lies, or how to get it."""

from pathlib import Path

from finance.credit.sources import GERMAN, GMSC, TAIWAN
from lepton_solutions.catalogue import catalogue
from lepton_solutions.places import pipelines


def line_of(choice: str) -> list[str]:
    lines = catalogue().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"  data={choice}"))
    return lines[at : at + 2]


def test_every_pipeline_is_listed_with_what_it_is_for():
    lines = catalogue().splitlines()
    for name in pipelines():
        title = lines[lines.index(name) + 1]
        assert title.startswith("  ") and len(title) > 30


def test_a_set_of_the_data_root_is_listed_with_its_place(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    place = tmp_path / TAIWAN.name / TAIWAN.file
    place.parent.mkdir()
    place.touch()
    what, where = line_of("taiwan")
    assert "30,000 card holders" in what
    assert where.strip() == str(place)


def test_a_set_that_a_package_ships_is_found_there(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    where = Path(line_of("german")[1].strip())
    assert where.is_file() and GERMAN.package is not None and where.as_posix().endswith(GERMAN.package[1])


def test_a_set_that_is_not_here_is_listed_with_how_to_get_it(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    assert line_of("gmsc")[1].strip() == f"not here: get {GMSC.file} from {GMSC.home}"


def test_a_pipeline_lists_the_sets_that_it_can_read_and_no_others():
    blocks = {block.splitlines()[0]: block for block in catalogue().split("\n\n")}

    def sets(pipeline: str) -> list[str]:
        return [line.split()[0] for line in blocks[pipeline].splitlines() if line.startswith("  data=")]

    assert sets("reference/mnist") == sets("reference/mnist_best") == ["data=mnist", "data=mnist_5k"]
    assert sets("reference/linear_regression") == ["data=power_plant"]
    assert sets("finance/credit") == ["data=german", "data=gmsc", "data=taiwan"]
