import importlib.util
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lepton_solutions.errors import UserError
from lepton_solutions.training import loggers
from lepton_solutions.training.history import COLUMNS, History, judged, read_history

# Two processes in one: the first is killed after step 6, the second goes on from the checkpoint of step 4.
TWICE = """
import sys
from pathlib import Path
from lepton_solutions.training.history import History
folder, logger = Path(sys.argv[1]), sys.argv[2]
config = {"seed": 7} | {f"network.{place}": [place, 2] for place in range(150)}
for resumed_at, steps in ((None, range(1, 7)), (4, range(5, 8))):
    history = History(folder, logger=logger, config=config, resumed_at=resumed_at)
    for step in steps:
        judge = {"validation_auc": 0.5 + step / 100} if step % 2 == 0 else {}
        history.write({"step": step, "epoch": step / 2, "loss": 1 / step, "rate": 0.1, **judge})
    history.close()
"""


def row(step: int, **judge: float) -> dict[str, float]:
    """A row with a different number in every column."""
    return dict(zip(COLUMNS, (step, *(step / place for place in range(3, 10))), strict=True)) | judge


def write(folder: Path, rows: list[dict], *, logger: str, resumed_at: int | None = None) -> None:
    written = History(folder, logger=logger, config={"seed": 0}, resumed_at=resumed_at)
    for row in rows:
        written.write(row)
    written.close()


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard reads of every figure: steps and values."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder / "tensorboard"), purge_orphaned_data=False).Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def expected(rows: list[dict[str, float]]) -> dict[str, list[tuple[int, float]]]:
    """The same, from the rows of the CSV; TensorBoard keeps float32."""
    names = [name for name in (*COLUMNS, *judged(rows)) if name != "step"]
    series = {name: [(int(r["step"]), float(np.float32(r[name]))) for r in rows if name in r] for name in names}
    return {name: values for name, values in series.items() if values}


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The folder of TWICE with the logger asked for, in a process that can reach nothing without our noticing."""
    logger = request.param
    for package in (logger, *(("sqlalchemy", "alembic") if logger == "mlflow" else ())):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    folder = tmp_path_factory.mktemp("run") / "2026-01-01" / "training" / "net"
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    own = ("WANDB", "MLFLOW", "CI", "PYTEST")  # CI alone would silence telemetry
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), address)
        environment |= {"PYTHONPATH": str(Path(loggers.__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", TWICE, folder, logger],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        with pytest.raises(BlockingIOError):  # nobody called
            proxy.accept()
    assert (done.stdout, done.stderr) == ("", "")
    assert list(elsewhere.iterdir()) == []
    yield folder


def test_a_training_from_its_start_keeps_nothing_of_another(tmp_path: Path):
    write(tmp_path, [row(step, validation_auc=0.1) for step in (2, 4)], logger="tensorboard")
    write(tmp_path, [row(3)], logger="tensorboard")
    assert read_history(tmp_path / "history.csv") == [row(3)]
    assert events(tmp_path) == expected([row(3)])


def test_tensorboard_shows_the_rows_of_the_csv_after_a_resume(tmp_path: Path):
    write(tmp_path, [row(2), row(4, validation_auc=0.7), row(6), row(8, validation_auc=0.9)], logger="tensorboard")
    (killed,) = (tmp_path / "tensorboard").iterdir()
    killed.write_bytes(killed.read_bytes()[:-9])  # in the midst of a row
    write(tmp_path, [row(5), row(7, validation_auc=0.8)], logger="tensorboard", resumed_at=4)
    rows = read_history(tmp_path / "history.csv")
    assert [r["step"] for r in rows] == [2, 4, 5, 7]
    assert events(tmp_path) == expected(rows)


def test_a_killed_process_leaves_every_row_it_wrote(tmp_path: Path):
    script = """
import itertools, sys
from pathlib import Path
from lepton_solutions.training.history import History
history = History(Path(sys.argv[1]), logger="tensorboard", config={}, resumed_at=None)
for step in itertools.count(1):
    history.write({"step": step, "loss": 1 / step} | ({"validation_loss": 2.0} if step == 7 else {}))
    print(step, flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(loggers.__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        told = [int(line) for line, _ in zip(process.stdout, range(30), strict=False)]
        process.kill()
        told += [int(line) for line in process.stdout if line.endswith("\n")]
    rows = read_history(tmp_path / "history.csv")
    steps = [int(r["step"]) for r in rows]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) >= told[-1]
    assert [r["loss"] for r in rows] == [1 / step for step in steps]
    assert events(tmp_path)["loss"][: told[-1]] == expected(rows)["loss"][: told[-1]]


@pytest.mark.parametrize(
    ("logger", "package"), [("wandb", "wandb"), ("mlflow", "mlflow"), ("mlflow", "alembic")], ids=str
)
def test_a_missing_package_is_named_with_what_to_install(
    logger: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(UserError) as error:
        write(tmp_path, [], logger=logger)
    assert error.value.message == f"fit.logger={logger}: the package `{package}` is not installed"
    assert error.value.hint is not None and f"pip install 'lepton-solutions[{logger}]'" in error.value.hint


@pytest.mark.parametrize("twice", ["wandb"], indirect=True)
def test_wandb_keeps_both_parts_of_a_resumed_run_offline_under_one_id(twice: Path):
    from wandb.proto import wandb_internal_pb2

    def records(path: Path) -> Iterator[wandb_internal_pb2.Record]:
        # A header of 7 bytes, then LevelDB's log format: blocks of 32 KiB; records of checksum, length, kind and bytes.
        data, place, whole = path.read_bytes(), 7, b""
        while place + 7 <= len(data):
            if 32768 - place % 32768 < 7:
                place += 32768 - place % 32768
                continue
            _, length, kind = struct.unpack("<IHB", data[place : place + 7])
            whole, place = whole + data[place + 7 : place + 7 + length], place + 7 + length
            if kind in (1, 4):  # whole, or the last part
                yield wandb_internal_pb2.Record.FromString(whole)
                whole = b""

    number = (twice / "wandb" / "run_id.txt").read_text().strip()
    files = sorted((twice / "wandb").glob(f"offline-run-*/run-{number}.wandb"))
    logged = [
        {item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for file in files
        for record in records(file)
        if record.HasField("history")
    ]
    ours = [{name: value for name, value in r.items() if name == "_step" or name[0] != "_"} for r in logged]
    assert [r.pop("_step") for r in ours] == [1, 2, 3, 4, 5, 6, 5, 6, 7]
    rows = read_history(twice / "history.csv")
    assert [r.pop("step") for r in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert ours[:4] + ours[6:] == rows


@pytest.mark.parametrize("twice", ["mlflow"], indirect=True)
def test_mlflow_goes_on_with_the_same_run_in_the_run_folder(twice: Path):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{twice / 'mlflow' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("lepton").experiment_id])
    assert run.info.run_id == (twice / "mlflow" / "run_id.txt").read_text().strip()
    assert (run.info.status, run.info.run_name) == ("FINISHED", "2026-01-01/training/net")
    assert run.data.params["seed"] == "7" and run.data.params["network.149"] == "[149, 2]"
    for name, series in expected(read_history(twice / "history.csv")).items():
        by_step = {m.step: m.value for m in client.get_metric_history(run.info.run_id, name)}
        assert list(by_step) == [step for step, _ in series], name
        assert list(by_step.values()) == pytest.approx([value for _, value in series], rel=1e-7), name  # float32


def test_an_mlflow_server_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # free again, hence closed
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=f"^fit.logger=mlflow: .*{port}"):
        write(tmp_path, [], logger="mlflow")
