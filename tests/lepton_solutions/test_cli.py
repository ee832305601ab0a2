"""The command line as a user meets it: verbs, exit codes, what is said where, and what is not imported for it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lepton_solutions import __version__
from lepton_solutions.cli import lepton as group
from lepton_solutions.config import read_jobs
from lepton_solutions.pipeline import execute
from lepton_solutions.places import checkout
from lepton_solutions.progress import Progress

CREDIT, COUNT = "finance/credit", "toy/count"
HEAVY = {"torch", "monai", "pandas", "sklearn", "lightgbm"}


def modules_after(code: str) -> set[str]:
    script = f"import sys\ntry:\n    {code}\nfinally:\n    print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "code", ["import lepton_solutions", *(f"from lepton_solutions.cli import main; main([{word!r}])" for word in
             ("--help", "--version", "run"))],
)  # fmt: skip
def test_small_questions_wait_for_no_heavy_package(code: str):
    assert not modules_after(code) & (HEAVY | {"hydra", "pyarrow", "numpy"})


@pytest.mark.parametrize("verb", sorted(group.commands))
def test_every_verb_explains_itself(lepton, verb: str):
    answer = lepton(verb, "--help")
    assert answer.code == 0 and answer.out.startswith(f"Usage: lepton {verb} [OPTIONS]")


@pytest.mark.parametrize("verb", sorted(group.commands))
def test_every_verb_is_in_the_readme(verb: str):
    root = checkout()
    readme = "" if root is None else (root / "README.md").read_text(encoding="utf-8")
    if len(readme.splitlines()) < 20:
        pytest.skip("the README is not written yet")
    assert f"lepton {verb}" in readme


def test_every_verb_has_a_test():
    texts = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.rglob("test_*.py"))
    assert [verb for verb in group.commands if f'lepton("{verb}"' not in texts] == []


def test_the_version_is_told(lepton):
    assert lepton("--version").out == f"lepton, version {__version__}\n"


def test_an_unknown_verb_is_answered_with_the_nearest(lepton):
    answer = lepton("rnu", CREDIT)
    assert (answer.code, answer.out, answer.err) == (2, "", "error: unknown command `rnu`: did you mean `run`?\n")


@pytest.mark.parametrize("words", [("run",), ("run", CREDIT, "--fast"), ("bench", "credit", "--seeds", "no")])
def test_words_that_do_not_fit_a_verb_end_with_2(lepton, words: tuple[str, ...]):
    answer = lepton(*words)
    assert answer.code == 2 and "Error: " in answer.err and "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("finance/credti",), "unknown pipeline `finance/credti`: did you mean `finance/credit`?"),
        ((CREDIT, "fit.epoch=3"), "unknown key `fit.epoch`: did you mean `fit.epochs`?"),
        ((CREDIT, "data.path=no/such.csv", "data.target=y"), "no/such.csv: there is no such file"),
        ((CREDIT, "data=own"), "no data: `data=own` needs the path of a file\n\nhint: data.path=loans.csv "
         "data.target=default"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message_code_2_and_no_folder(lepton, tmp_path: Path, monkeypatch, words, message: str):
    monkeypatch.chdir(tmp_path)
    answer = lepton("run", "-q", *words)
    assert (answer.code, answer.out, answer.err) == (2, "", f"error: {message}\n")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_config_is_printed_and_nothing_run(toy, lepton):
    answer = lepton("run", COUNT, "factor=4", "--cfg")
    assert "factor: 4\n" in answer.out
    assert lepton("run", COUNT, "seed=0,1", "-m", "--cfg").out.count("\n---\n") == 1
    assert toy.folders() == []


def test_a_run_ends_with_its_figures_and_its_folder_on_stdout(toy, lepton):
    answer = lepton("run", COUNT)
    (folder,) = toy.folders()
    place = folder.relative_to(toy.root)
    assert answer.out.splitlines() == ["sum  4", f"report: {place}/report.html", str(place)]
    lines = answer.err.splitlines()
    assert lines[0] == f"lepton {__version__}: {COUNT} in {place}"
    assert [line.split()[:2] for line in lines[1:]] == [["1/3", "collect"], ["2/3", "multiply"], ["3/3", "report"]]


def test_quiet_is_quiet_on_stderr(toy, lepton):
    answer = lepton("run", COUNT, "-q")
    assert answer.err == "" and answer.out.startswith("sum  4\n")


def test_a_user_who_stops_a_run_is_told_how_it_goes_on(toy, lepton):
    toy.trouble("interrupt multiply")
    answer = lepton("run", COUNT)
    assert answer.code == 130
    assert answer.err.splitlines()[-1] == "stopped; the same command goes on from the last finished stage"
    (folder,) = toy.folders()
    assert {file.name for file in folder.iterdir() if not file.name.startswith(".")} == {
        "config.yaml", "command.txt", "log.txt", "stages.json", "numbers"
    }  # fmt: skip
    toy.trouble(None)
    again = lepton("run", COUNT)
    assert f"going on with the unfinished run in {folder.relative_to(toy.root)}" in again.err
    assert "1/3 collect   as before" in again.err and again.out.startswith("sum  4\n")


@pytest.mark.parametrize("stage", ["collect", "multiply", "report"])
def test_the_same_command_after_kill_9_ends_with_the_same_figures(toy, lepton, stage: str):
    undisturbed = lepton("run", COUNT, "seed=4", "run.dir=undisturbed")
    toy.trouble(f"kill {stage}")
    assert toy.apart("run", COUNT, "seed=4").returncode == -signal.SIGKILL
    toy.trouble(None)
    again = lepton("run", COUNT, "seed=4")
    (folder,) = toy.folders()
    assert again.out.splitlines()[0] == undisturbed.out.splitlines()[0]
    assert {file.name for file in folder.iterdir()} == {file.name for file in Path("undisturbed").iterdir()}


# -- many runs ----------------------------------------------------------------------------------------------------


def total(folder: Path) -> int:
    return json.loads((folder / "sum.json").read_text())


def test_a_multirun_started_again_reuses_what_is_finished_and_says_so(toy, lepton):
    first = lepton("run", COUNT, "seed=0,1", "-m")
    assert first.code == 0 and len(toy.folders()) == 2
    again = lepton("run", COUNT, "seed=0,1", "-m")
    assert again.out == first.out and len(toy.folders()) == 2
    for folder in toy.folders():
        assert f"this job is finished in {folder.relative_to(toy.root)} (run.new=true does it again)" in again.err
    assert again.err.count("as before") == 6


def test_a_multirun_started_again_does_what_is_missing(toy, lepton):
    lepton("run", COUNT, "seed=0,1", "-m")
    lepton("run", COUNT, "seed=0,1,2", "-m")
    assert sorted(total(folder) for folder in toy.folders()) == [4, 6, 8]


def test_a_multirun_afresh_does_all_again(toy, lepton):
    lepton("run", COUNT, "seed=0,1", "-m")
    lepton("run", COUNT, "seed=0,1", "run.new=true", "-m")
    assert len(toy.folders()) == 4


def test_with_run_dir_each_job_of_a_multirun_has_its_own_folder_there(toy, lepton):
    words = ("run", COUNT, "seed=0,1", "factor=3,4", "run.dir=many", "-m")
    assert lepton(*words).code == 0
    names = [f"seed={seed},factor={factor}" for seed in (0, 1) for factor in (3, 4)]
    assert sorted(path.name for path in Path("many").iterdir()) == sorted(names)
    assert [total(Path("many") / name) for name in names] == [6, 8, 9, 12]
    assert lepton(*words).err.count("as before") == 12


def test_each_run_of_a_multirun_writes_into_its_own_log_alone(toy, lepton):
    lepton("run", COUNT, "seed=0,1", "-m")
    lepton("run", COUNT, "seed=0,1", "-m")
    for folder in toy.folders():
        others = [other.name for other in toy.folders() if other != folder]
        log = (folder / "log.txt").read_text()
        assert log.count(f"lepton {__version__}") == 2
        assert not any(f"{other} " in log for other in others)


# -- the real pipeline --------------------------------------------------------------------------------------------


def test_pipelines_are_listed(lepton):
    assert CREDIT in lepton("list").out.splitlines()


def test_runs_are_compared(lepton, run_folder: Path):
    answer = lepton("compare", run_folder)
    assert answer.code == 0 and answer.out.splitlines()[0].split()[:3] == ["run", "pipeline", "model"]
    assert str(run_folder) in answer.out


def test_a_run_scores_a_file(lepton, run_folder: Path, german_csv: Path, tmp_path: Path):
    answer = lepton("predict", run_folder, german_csv, "-o", tmp_path / "scored.csv")
    assert answer.code == 0 and answer.err.startswith("1,000 rows scored; columns not used: ")
    assert (tmp_path / "scored.csv").read_text().count("\n") == 1001


def test_the_module_does_what_the_command_does(lepton):
    done = subprocess.run(
        [sys.executable, "-m", "finance", "credit", "seed=5", "--cfg"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout == lepton("run", CREDIT, "seed=5", "--cfg").out


KILLED_IN = """
import os, signal, sys
from dataclasses import replace
from lepton_solutions.config import read_jobs
from lepton_solutions.pipeline import execute
from lepton_solutions.progress import Progress

stage, *overrides = sys.argv[1:]
(job,) = read_jobs("finance/credit", overrides, multirun=False)


def build(settings):
    def then_die(work):
        def die(*given):
            work(*given)
            os.kill(os.getpid(), signal.SIGKILL)

        return die

    return [replace(s, work=then_die(s.work)) if s.name == stage else s for s in job.build(settings)]


execute(replace(job, build=build), Progress(quiet=True))
"""


def end_as_undisturbed(stages: list[str], undisturbed: Path, folder: Path) -> None:
    """Kill a run in each of these stages, when all its work is done but not kept, and then let it end."""
    command = [*(undisturbed / "command.txt").read_text().split()[3:-1], f"run.dir={folder}"]
    for stage in stages:
        killed = subprocess.run([sys.executable, "-c", KILLED_IN, stage, *command], stderr=subprocess.PIPE, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    (job,) = read_jobs(CREDIT, command, multirun=False)
    execute(job, Progress(quiet=True))
    assert (folder / "evaluation.json").read_bytes() == (undisturbed / "evaluation.json").read_bytes()
    listed, expected = (json.loads((run / "bundle" / "manifest.json").read_text()) for run in (folder, undisturbed))
    assert listed == expected
    assert sorted(os.listdir(folder)) == sorted(os.listdir(undisturbed))  # noqa: PTH208


def test_a_credit_run_killed_in_training_ends_with_the_same_figures(run_folder: Path, tmp_path: Path):
    end_as_undisturbed(["train"], run_folder, tmp_path / "killed")


@pytest.mark.slow
def test_a_credit_run_killed_in_every_stage_ends_with_the_same_figures(run_folder: Path, tmp_path: Path):
    stages = ["prepare", "train", "evaluate", "export", "report"]
    end_as_undisturbed(stages, run_folder, tmp_path / "killed")
