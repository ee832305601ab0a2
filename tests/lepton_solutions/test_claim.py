"""Run folders: one owner each, an unfinished run continued, a finished one left alone, what is no run refused."""

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock
from toy_stages import NAMES, calls, fork, job, run

from lepton_solutions.config import Job
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.pipeline import claim

pytestmark = pytest.mark.usefixtures("in_tmp_path")


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
