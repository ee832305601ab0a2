"""Stages and files: nothing half-written, nothing done twice, kills that cost one stage.

The stages here add numbers; a real pipeline is killed in test_cli.
"""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from toy_stages import NAMES, Toy, calls, fork, job, run, stages

from lepton_solutions import pipeline
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json, write_text
from lepton_solutions.pipeline import claim, seconds
from lepton_solutions.progress import Progress

pytestmark = pytest.mark.usefixtures("in_tmp_path")

# -- stages -------------------------------------------------------------------------------------------------------


def test_a_run_leaves_its_results_config_command_log_and_times(tmp_path: Path):
    folder = run(job(tmp_path / "a"))
    assert json.loads((folder / "sum.json").read_text()) == 12
    assert yaml.safe_load((folder / "config.yaml").read_text())["numbers"] == [1, 2, 3]
    assert (folder / "command.txt").read_text() == "lepton run toys/adder x=1\n"
    assert "3/3 sum" in (folder / "log.txt").read_text()
    assert list(seconds(folder)) == list(NAMES)


def test_the_same_command_does_nothing_twice(tmp_path: Path):
    assert calls(run(job(tmp_path / "a"))) == calls(run(job(tmp_path / "a"))) == list(NAMES)


def test_a_changed_value_repeats_the_stages_that_depend_on_it(tmp_path: Path):
    run(job(tmp_path / "a"))
    folder = run(job(tmp_path / "a", factor=3))
    assert calls(folder) == [*NAMES, "double", "sum"]
    assert json.loads((folder / "sum.json").read_text()) == 18


def test_a_changed_input_repeats_the_stages_that_read_it(tmp_path: Path):
    folder = run(job(tmp_path / "a"))
    write_json(folder / "numbers.json", [5])
    assert calls(run(job(tmp_path / "a"))) == [*NAMES, "double", "sum"]
    assert json.loads((folder / "sum.json").read_text()) == 10


def test_a_lost_result_is_made_again_and_what_follows_stands(tmp_path: Path):
    folder = run(job(tmp_path / "a"))
    (folder / "count.json").unlink()
    assert calls(run(job(tmp_path / "a"))) == [*NAMES, "double"]


def test_another_version_of_the_package_does_all_again(tmp_path: Path, monkeypatch):
    run(job(tmp_path / "a"))
    monkeypatch.setattr(pipeline, "__version__", "999")
    assert calls(run(job(tmp_path / "a"))) == [*NAMES, *NAMES]


@pytest.mark.parametrize("stopped_by", [ValueError("a defect"), KeyboardInterrupt(), UserError("a mistake")])
@pytest.mark.parametrize("moment", ["before", "midway"])
def test_a_stage_that_ends_early_leaves_nothing_under_a_final_name(
    tmp_path: Path, stopped_by: BaseException, moment: str
):
    def stop(stage: str, at: str) -> None:
        if (stage, at) == ("double", moment):
            raise stopped_by

    with claim(job(tmp_path / "a")) as folder, pytest.raises(type(stopped_by)):
        pipeline.run_stages(stages(Toy(), stop), folder, Progress(quiet=True))
    left = {file.name for file in folder.iterdir()}
    assert left == {".lock", "config.yaml", "stages.json", "calls.txt", "numbers.json"}
    assert run(job(tmp_path / "a")) == folder
    assert calls(folder)[0] == "load" and calls(folder).count("load") == 1


def killed(stage: str, moment: str, folder: Path, factor: int = 2) -> None:
    """Run in another process that dies by SIGKILL: at a moment of a stage, or between the moves of its results."""

    def stop(name: str, at: str) -> None:
        if (name, at) == (stage, moment):
            os.kill(os.getpid(), signal.SIGKILL)

    def move(made: Path, final: Path, moved: Callable[[Path, Path], None] = pipeline._move) -> None:
        moved(made, final)
        if final.name == "parts":
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        if moment == "between moves":
            pipeline._move = move
        with claim(job(folder, factor=factor)) as run:
            pipeline.run_stages(stages(Toy(factor=factor), stop), run, Progress(quiet=True))

    child = fork.Process(target=work)
    child.start()
    child.join(30)
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("stage", "moment"), [("load", "before"), ("double", "midway"), ("double", "between moves"), ("sum", "before")]
)
def test_a_killed_run_goes_on_and_ends_alike(tmp_path: Path, stage: str, moment: str):
    whole = run(job(tmp_path / "whole"))
    killed(stage, moment, tmp_path / "killed")
    again = run(job(tmp_path / "killed"))
    for name in ("numbers.json", "parts/doubled.json", "count.json", "sum.json"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()
    assert not (again / ".partial").exists()
    assert calls(again).count("load") <= 2


def test_a_kill_between_moves_never_mixes_the_results_of_two_configs(tmp_path: Path):
    run(job(tmp_path / "a", factor=2))
    killed("double", "between moves", tmp_path / "a", factor=3)
    folder = run(job(tmp_path / "a", factor=2))
    assert json.loads((folder / "parts" / "doubled.json").read_text()) == [2, 4, 6]
    assert json.loads((folder / "count.json").read_text()) == [3, 2]


# -- files --------------------------------------------------------------------------------------------------------


def test_text_is_written_whole_or_not_at_all(tmp_path: Path):
    write_text(tmp_path / "a.txt", "first")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "half \ud800")
    assert (tmp_path / "a.txt").read_text() == "first"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_holds_finite_numbers_only(tmp_path: Path, value: float):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"auc": value})
    assert not (tmp_path / "a.json").exists()
