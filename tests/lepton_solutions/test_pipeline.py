"""Run folders and stages: one owner a folder, nothing half-written, nothing done twice, kills that cost one stage.

The stages here add numbers; a real pipeline is killed in test_cli.
"""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from lepton_solutions import pipeline
from lepton_solutions.config import Job
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json, write_text
from lepton_solutions.pipeline import Stage, claim, execute, seconds
from lepton_solutions.progress import Progress
from lepton_solutions.settings import Settings

NAMES = ("load", "double", "sum")
fork = multiprocessing.get_context("fork")


class Toy(Settings):
    """numbers: what is doubled and summed. wrong: the stage that ends in the user's mistake."""

    numbers: tuple[int, ...] = (1, 2, 3)
    factor: int = 2
    wrong: str | None = None


def stages(settings: Settings, stop: Callable[[str, str], None] = lambda stage, moment: None) -> list[Stage]:
    """Three stages; the second writes a folder and a file. stop(stage, "before" | "midway") may end the process."""
    assert isinstance(settings, Toy)

    def work(name: str, make: Callable[[Path, Path], None]) -> Callable[[Path, Path, Progress], None]:
        def done(run: Path, out: Path, progress: Progress) -> None:
            stop(name, "before")
            if settings.wrong == name:
                raise UserError(f"{name}: not like this")
            with (run / "calls.txt").open("a") as calls:
                calls.write(f"{name}\n")
            make(run, out)

        return done

    def load(run: Path, out: Path) -> None:
        write_json(out / "numbers.json", list(settings.numbers))

    def double(run: Path, out: Path) -> None:
        numbers = [settings.factor * number for number in json.loads((run / "numbers.json").read_text())]
        (out / "parts").mkdir()
        write_json(out / "parts" / "doubled.json", numbers)
        stop("double", "midway")
        write_json(out / "count.json", [len(numbers), settings.factor])

    def total(run: Path, out: Path) -> None:
        write_json(out / "sum.json", sum(json.loads((run / "parts" / "doubled.json").read_text())))

    return [
        Stage("load", work("load", load), (), ("numbers.json",), (settings.numbers, settings.wrong)),
        Stage("double", work("double", double), ("numbers.json",), ("parts", "count.json"), (settings.factor,)),
        Stage("sum", work("sum", total), ("parts", "count.json"), ("sum.json",), (settings.wrong,)),
    ]


def job(folder: Path | None = None, *, name: str = "toys/adder", new: bool = False, reuse: bool = False, **toy) -> Job:
    settings = Toy(**toy)
    resolved = {**settings.model_dump(mode="json"), "run": {"dir": folder and str(folder), "new": new}}
    return Job(name, ("x=1",), settings, yaml.safe_dump(resolved), stages, reuse)


def run(asked: Job) -> Path:
    return execute(asked, Progress(quiet=True))


def calls(folder: Path) -> list[str]:
    return (folder / "calls.txt").read_text().split()


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


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


# -- folders ------------------------------------------------------------------------------------------------------


def test_without_a_folder_a_run_goes_below_runs_by_its_time():
    folder = run(job())
    assert folder.parent == Path("runs/toys/adder")
    time.strptime(folder.name, "%Y-%m-%dT%H-%M-%S")


def test_a_finished_run_is_not_touched_by_the_next():
    assert run(job()) != run(job())


def test_an_unfinished_run_of_the_same_config_is_continued_and_that_is_said(said: list[str]):
    with claim(job()) as folder:
        pass
    with claim(job()) as again:
        assert again == folder
    assert said == [f"going on with the unfinished run in {folder} (run.new=true starts afresh)"]


def test_an_unfinished_run_of_another_config_is_left_alone():
    with claim(job(factor=3)) as folder:
        pass
    with claim(job(factor=2)) as other:
        assert other != folder


def test_run_new_starts_afresh(said: list[str]):
    with claim(job()) as folder:
        pass
    with claim(job(new=True)) as other:
        assert other != folder
    assert said == []


def test_an_unfinished_run_that_somebody_is_at_is_left_alone():
    with claim(job()) as folder, claim(job()) as other:
        assert other != folder


def test_thirty_two_runs_at_once_make_thirty_two_folders(tmp_path: Path):
    names = tmp_path / "names"
    names.mkdir()

    def work(number: int) -> None:
        with claim(job()) as folder:
            (names / str(number)).write_text(folder.name)
            deadline = time.monotonic() + 60
            while len(list(names.iterdir())) < 32 and time.monotonic() < deadline:
                time.sleep(0.01)  # hold the folder until all have one

    children = [fork.Process(target=work, args=(number,)) for number in range(32)]
    for child in children:
        child.start()
    for child in children:
        child.join(90)
    assert [child.exitcode for child in children] == [0] * 32
    folders = {file.read_text() for file in names.iterdir()}
    assert len(folders) == 32
    assert folders == {folder.name for folder in Path("runs/toys/adder").iterdir()}


def test_a_job_of_a_multirun_that_is_finished_is_not_done_again_and_that_is_said(said: list[str]):
    with claim(job()) as folder:
        write_json(folder / "stages.json", {"stages": {}, "finished": True})
    with claim(job(reuse=True), is_done=lambda place: True) as again:
        assert again == folder
    assert said == [f"this job is finished in {folder} (run.new=true does it again)"]


def test_a_multirun_does_only_what_is_not_finished():
    first = [run(job(reuse=True, factor=factor)) for factor in (2, 3)]
    again = [run(job(reuse=True, factor=factor)) for factor in (2, 3, 4)]
    assert again[:2] == first and again[2] not in first
    assert all(calls(folder) == list(NAMES) for folder in again)


def test_a_multirun_does_again_what_is_no_longer_as_it_was():
    folder = run(job(reuse=True))
    write_json(folder / "numbers.json", [5])
    assert run(job(reuse=True)) != folder


def test_run_new_does_finished_jobs_of_a_multirun_again():
    assert run(job(reuse=True)) != run(job(reuse=True, new=True))


def test_a_users_mistake_leaves_no_folder(tmp_path: Path):
    for asked in (job(wrong="load"), job(tmp_path / "a", wrong="load")):
        with pytest.raises(UserError, match="not like this"):
            run(asked)
    assert list(Path("runs/toys/adder").iterdir()) == []
    assert not (tmp_path / "a").exists()


def test_a_users_mistake_in_a_later_stage_leaves_what_was_done(tmp_path: Path):
    with pytest.raises(UserError, match="not like this"):
        run(job(tmp_path / "a", wrong="sum"))
    assert (tmp_path / "a" / "numbers.json").is_file()


def refusal(asked: Job) -> str:
    with pytest.raises(UserError) as refused:
        run(asked)
    return str(refused.value)


def test_the_folder_of_another_pipeline_is_refused(tmp_path: Path):
    run(job(tmp_path / "a", name="toys/other"))
    assert refusal(job(tmp_path / "a")) == (
        f"run.dir={tmp_path / 'a'}: holds a run of `toys/other`, expected `toys/adder`"
    )


def test_a_folder_with_other_files_is_refused_and_left_as_it_was(tmp_path: Path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("words")
    assert refusal(job(tmp_path / "thesis")).startswith(f"run.dir={tmp_path / 'thesis'}: holds other files and no run")
    assert [file.name for file in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


@pytest.mark.parametrize("text", ["lr: 0.1\n", "- a list\n", "{ not yaml", ""])
def test_a_folder_with_the_config_of_another_program_is_refused_and_left_as_it_was(tmp_path: Path, text: str):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.yaml").write_text(text)
    assert refusal(job(tmp_path / "a")).startswith(f"run.dir={tmp_path / 'a'}: holds other files and no run")
    assert (tmp_path / "a" / "config.yaml").read_text() == text


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "a").write_text("")
    assert refusal(job(tmp_path / "a")) == f"run.dir={tmp_path / 'a'}: is a file, expected a folder"


def test_a_folder_below_a_file_is_refused(tmp_path: Path):
    (tmp_path / "a").write_text("")
    assert refusal(job(tmp_path / "a" / "b")).startswith("the run folder cannot be written: ")


def test_a_folder_that_another_process_holds_is_refused(tmp_path: Path):
    with claim(job(tmp_path / "a")):
        assert refusal(job(tmp_path / "a")) == f"run.dir={tmp_path / 'a'}: another process is running there"


def test_an_unwritable_folder_is_refused_with_what_to_do(tmp_path: Path):
    if os.geteuid() == 0:
        place = Path("/proc/lepton-run")  # root may write anywhere else
    else:
        place = tmp_path / "locked" / "run"
        place.parent.mkdir(mode=0o500)
    message = refusal(job(place))
    assert message.startswith(f"the run folder cannot be written: {place}: ")
    assert message.endswith("hint: run.dir=PATH places it elsewhere")


def test_a_held_lock_is_free_again_after_a_mistake(tmp_path: Path):
    with pytest.raises(UserError):
        run(job(tmp_path / "a", wrong="double"))
    with FileLock(tmp_path / "a" / ".lock").acquire(timeout=0):
        pass


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
