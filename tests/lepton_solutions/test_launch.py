"""Runs with two processes: who does what, what is said when one dies, and that nothing is lost by it.

The pipeline is a toy that trains for twenty steps (tests/trained_toy.py); two real processes do it.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import trained_toy
from safetensors.torch import load_file

from lepton_solutions import endings
from lepton_solutions.config import read_jobs
from lepton_solutions.endings import died, is_first, one_voice, report
from lepton_solutions.errors import UserError
from lepton_solutions.launch import fit_of
from lepton_solutions.pipeline import claim, team_of
from lepton_solutions.rank import saved_job

TWO = ("run", "toy/train", "fit.devices=2")
SHARED = ["collect 0 2", "report 0 2", "train 0 2", "train 1 2"]  # stage, process, number of processes


@pytest.fixture
def toys(toy, monkeypatch: pytest.MonkeyPatch) -> Path:
    trained_toy.add(toy.root, monkeypatch)
    monkeypatch.delitem(sys.modules, "toy_training", raising=False)
    return toy.root


def calls(run: Path) -> list[str]:
    return sorted((run / "calls.txt").read_text().splitlines())


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "weights.safetensors")


# -- two processes ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_multirun_with_two_processes_does_its_jobs_in_turn(toys: Path, lepton: Callable, monkeypatch):
    answer = lepton(*TWO, "run.dir=two", "seed=0,1", "-m")
    runs = [toys / "two" / f"seed={seed}" for seed in (0, 1)]
    assert answer.code == 0 and answer.out.count("rows  80") == 2
    for run in runs:
        assert calls(run) == SHARED
        assert "2/3 train" in (run / "log.txt").read_text()
    assert max(file.stat().st_mtime for file in runs[0].iterdir()) < (runs[1] / "rows.json").stat().st_mtime
    assert lepton("run", "toy/train", "run.dir=one").code == 0
    assert calls(toys / "one") == ["collect - -", "report - -", "train - -"]
    for name, tensor in weights(toys / "one").items():  # the same sums in another order
        torch.testing.assert_close(weights(runs[0])[name], tensor, rtol=0, atol=1e-6)
    monkeypatch.setattr("lepton_solutions.launch.start", lambda *words, **more: pytest.fail("nothing is left to do"))
    assert lepton(*TWO, "run.dir=two", "seed=0,1", "-m").code == 0


@pytest.mark.slow
def test_a_killed_process_ends_the_run_by_name_and_the_same_command_goes_on(toys: Path, lepton: Callable):
    (toys / "trouble").write_text("kill 1 10")  # after step 9 in both, so that the checkpoint of step 8 is whole
    answer = lepton(*TWO, "run.dir=killed")
    assert answer.code == 2
    assert answer.err.endswith(
        "error: process 2 of 2 (rank 1): died of SIGKILL, as when memory runs out\n\n"
        "hint: the same command goes on from the checkpoint at step 8\n"
    )
    (toys / "trouble").unlink()
    answer = lepton(*TWO, "run.dir=killed")
    assert answer.code == 0
    assert "going on from the checkpoint at step 8 of 20" in answer.err
    assert lepton(*TWO, "run.dir=whole").code == 0
    for name, tensor in weights(toys / "whole").items():
        assert torch.equal(weights(toys / "killed")[name], tensor)


def test_a_mistake_that_all_processes_meet_is_told_once(toys: Path, lepton: Callable):
    (toys / "trouble").write_text("mistake all 3")
    answer = lepton(*TWO, "run.dir=a")
    assert answer.code == 2
    assert answer.err.count("as planned") == 1 and answer.err.endswith("error: as planned\n")


@pytest.mark.slow
def test_ctrl_c_stops_all_processes(toys: Path, lepton: Callable):
    (toys / "trouble").write_text("interrupt 0 9")
    answer = lepton(*TWO, "run.dir=a")
    assert (answer.code, answer.err.splitlines()[-1]) == (
        130, "stopped; the same command goes on from the last finished stage",
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):  # Python's own handler is back
        os.kill(os.getpid(), 2)
        time.sleep(5)


@pytest.mark.slow
def test_torchrun_started_by_the_user_does_the_same(toys: Path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, "-m", "lepton_solutions.cli", "run", "toy/train", "run.dir=two"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("rows  80") == 1 and done.stderr.count("2/3 train") == 1
    assert calls(toys / "two") == SHARED


@pytest.mark.slow
def test_the_processes_end_with_the_command_that_started_them(toys: Path):
    (toys / "trouble").write_text("orphan 0 9")  # kills the command; the processes wait
    command = [sys.executable, "-m", "lepton_solutions.cli", *TWO, "run.dir=a"]
    assert subprocess.run(command, capture_output=True).returncode == -9
    left = [int(file.read_text()) for file in toys.glob("process-*")]
    deadline = time.monotonic() + 60
    for process in left:
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.kill(process, 0)
                time.sleep(0.1)
            pytest.fail(f"process {process} outlived the command")
    assert len(left) == 2


@pytest.mark.slow
def test_two_workers_of_a_ray_cluster_do_the_same(toys: Path, lepton: Callable):
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        answer = lepton(*TWO, "fit.launcher=ray", "run.dir=two")
        assert answer.code == 0, answer.err
        assert calls(toys / "two") == SHARED
        assert lepton("run", "toy/train", "run.dir=one").code == 0
        for name, tensor in weights(toys / "one").items():
            torch.testing.assert_close(weights(toys / "two")[name], tensor, rtol=0, atol=1e-6)
        (toys / "trouble").write_text("mistake 1 3")
        answer = lepton(*TWO, "fit.launcher=ray", "run.dir=wrong")
        assert answer.code == 2
        assert answer.err.endswith("error: process 2 of 2 (rank 1): as planned\n")
        (toys / "trouble").write_text("kill 1 10")
        answer = lepton(*TWO, "fit.launcher=ray", "run.dir=killed")
        assert answer.err.endswith(
            "error: process 2 of 2 (rank 1): died without a word\n\n"
            "hint: the same command goes on from the checkpoint at step 8\n"
        )
        answer = lepton("run", "toy/train", "fit.devices=3", "fit.launcher=ray", "run.dir=three")
        assert answer.err.endswith("error: fit.devices=3: the Ray cluster has 2 CPUs; expected one for each process\n")
    finally:
        ray.shutdown()


def test_a_missing_ray_is_said_with_how_to_install_it(toys: Path, lepton: Callable, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    answer = lepton(*TWO, "fit.launcher=ray", "run.dir=a")
    assert answer.code == 2
    assert answer.err.endswith("hint: pip install 'lepton-solutions[ray]'\n")
    assert not (toys / "a").exists()


# -- one process --------------------------------------------------------------------------------------------------


def test_a_process_reads_its_job_from_the_run_folder(toys: Path):
    (asked,) = read_jobs("toy/train", ["seed=7", "fit.learning_rate=1e-05", "run.dir=a"], multirun=False)
    with claim(asked) as run:
        found = saved_job(run)
    assert found.settings == asked.settings
    assert found.build(found.settings)[0].name == "collect"


def test_the_training_keys_of_a_pipeline_are_found_by_their_type(toys: Path):
    (trains,), (counts,) = (read_jobs(name, [], multirun=False) for name in ("toy/train", "toy/count"))
    assert fit_of(trains.settings) == trains.settings.fit
    assert fit_of(counts.settings) is None


def test_another_number_of_processes_than_asked_for_is_refused(toys: Path, monkeypatch):
    (job,) = read_jobs("toy/train", ["fit.devices=2"], multirun=False)
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UserError, match=r"fit\.devices=2: but 4 processes were started"):
        team_of(job)


@pytest.mark.parametrize(("rank", "waits"), [("0", 0), ("1", 1)])
def test_the_first_process_speaks_first(monkeypatch, rank: str, waits: int):
    waited: list[float] = []
    monkeypatch.setattr(endings.time, "sleep", waited.append)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(UserError), one_voice():
        raise UserError("of all")
    assert waited == [endings.GRACE] * waits
    with pytest.raises(RuntimeError), one_voice():
        raise RuntimeError("connection closed by peer")  # because another died, who is to be named
    assert waited == [endings.GRACE] * (waits + 1)
    assert is_first() == (rank == "0")


@pytest.mark.parametrize(
    ("rank", "code", "error", "message"),
    [
        (0, 2, UserError("no such column", hint="see --cfg"), "no such column\n\nhint: see --cfg"),
        (3, 2, UserError("no such column"), "process 4 of 4 (rank 3): no such column"),
        (1, -11, None, "process 2 of 4 (rank 1): died of SIGSEGV\n\nhint: the same command goes on from the last "
                       "finished stage"),
        (1, 7, None, "process 2 of 4 (rank 1): ended with exit code 7\n\nhint: the same command goes on from the last "
                     "finished stage"),
        (1, 1, ZeroDivisionError("by zero"), "process 2 of 4 (rank 1): ZeroDivisionError: by zero\n\nhint: the same "
                                             "command goes on from the last finished stage"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_process_that_ended_the_run(
    tmp_path: Path, said: list[str], rank: int, code: int, error: Exception | None, message: str
):
    assert str(died(tmp_path, rank, 4, code, report(error) if error else {})) == message
    assert said == ([f"{type(error).__name__}: {error}"] if code == 1 else [])  # a defect with its traceback
