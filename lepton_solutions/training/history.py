"""How a training went, while it goes: a row of figures at a time into `history.csv`, and to a logger beside it.

    history = History(folder, logger="tensorboard", config={"seed": 0}, resumed_at=None)
    history.write({"step": 192, "epoch": 1.0, "loss": 0.41, "validation_auc": 0.78})
    history.close()

A row is on disk when `write` returns. Names of figures are the same in every logger, and nothing leaves the machine:
Weights & Biases and MLflow write into the folder unless their own environment variables name a server.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from lepton_solutions.errors import UserError
from lepton_solutions.files import write_text

if TYPE_CHECKING:
    import torch

Logger = Literal["none", "tensorboard", "wandb", "mlflow"]

NAME = "history.csv"
COLUMNS = ("step", "epoch", "loss", "rate", "gradient_norm", "step_ms", "rows_per_second", "memory_mb")
PROJECT = "lepton"  # of Weights & Biases, and experiment of MLflow, unless the environment names another

log = logging.getLogger(__name__)


def check_logger(logger: Logger) -> None:
    """Raises UserError where the package of `fit.logger` is not installed; imports nothing."""
    needed = {"wandb": ("wandb",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}.get(logger, ())
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise UserError(
            f"fit.logger={logger}: the package `{missing[0]}` is not installed",
            hint=f"pip install 'lepton-solutions[{logger}]', or fit.logger=tensorboard, which needs nothing more",
        )


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of a `history.csv` without their empty cells; a last line cut off by a kill is left out.

    Figures of the judge stand in the rows at the ends of epochs only.
    """
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return [
        {name: float(cell) for name, cell in row.items() if cell not in ("", None)}
        for row in csv.DictReader(io.StringIO(whole))
    ]


def judged(rows: Iterable[Mapping[str, float]]) -> list[str]:
    """Names of the judge's figures, the deciding one first."""
    return list(dict.fromkeys(name for row in rows for name in row if name not in COLUMNS))


def memory_mb(device: torch.device) -> float:
    """Most memory held so far, MB of 2^20 bytes: by tensors on a CUDA device, else by this process."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class History:
    """Where a training writes its rows. folder: of this training; None: nothing is written and nothing imported.

    config: flat names and values that tell this training from others. resumed_at: the step of the checkpoint that it
    goes on from, after which rows are dropped; None: a training from its start, whose folder holds no rows yet or
    those of another. Raises UserError where the logger's package is missing or its server does not answer.
    """

    def __init__(
        self, folder: Path | None, *, logger: Logger, config: Mapping[str, object], resumed_at: int | None
    ) -> None:
        self._sinks: list[_Sink] = []
        if folder is None:
            return
        check_logger(logger)
        folder.mkdir(parents=True, exist_ok=True)
        self._sinks.append(_Csv(folder, resumed_at))
        if logger != "none":
            self._sinks.append(_LOGGERS[logger](folder, config, resumed_at))

    def write(self, row: Mapping[str, float]) -> None:
        """One row: `step`, further COLUMNS, and the judge's figures where there are some."""
        for sink in self._sinks:
            sink.write(row)

    def close(self) -> None:
        """Ends the loggers' runs; closing twice does no harm."""
        while self._sinks:
            self._sinks.pop().close()


class _Sink(Protocol):
    def write(self, row: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


class _Csv:
    """The names of the judge's figures are known with the first epoch's end: the file is then written anew, once."""

    def __init__(self, folder: Path, resumed_at: int | None) -> None:
        self._path = folder / NAME
        rows = read_history(self._path) if resumed_at is not None and self._path.exists() else []
        self._rows: list[Mapping[str, float]] = [row for row in rows if row["step"] <= (resumed_at or 0)]
        self._columns = [*COLUMNS, *judged(self._rows)]
        self._rewrite()

    def write(self, row: Mapping[str, float]) -> None:
        self._rows.append(row)
        if any(name not in self._columns for name in row):
            self._file.close()
            self._columns = [*COLUMNS, *judged(self._rows)]
            self._rewrite()
        else:
            self._file.write(_line(_cells(self._columns, row)))
            self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _rewrite(self) -> None:
        lines = [self._columns, *(_cells(self._columns, row) for row in self._rows)]
        write_text(self._path, "".join(map(_line, lines)))
        self._file = self._path.open("a", encoding="utf-8", newline="\n")


class _TensorBoard:
    def __init__(self, folder: Path, config: Mapping[str, object], resumed_at: int | None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        place = folder / "tensorboard"
        if resumed_at is None:
            for other in place.glob("events.out.tfevents.*"):
                other.unlink()
        self._writer = SummaryWriter(str(place), purge_step=None if resumed_at is None else resumed_at + 1)
        if resumed_at is None:
            self._writer.add_text("config", "\n".join(f"    {name}: {value}" for name, value in config.items()))

    def write(self, row: Mapping[str, float]) -> None:
        for name, value in _figures(row).items():
            self._writer.add_scalar(name, value, int(row["step"]), new_style=True)
        self._writer.flush()  # else a kill loses up to two minutes, which a resumed run does not write again

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    """Offline unless WANDB_MODE says otherwise; `wandb sync folder/wandb/offline-run-*` sends it later."""

    def __init__(self, folder: Path, config: Mapping[str, object], resumed_at: int | None) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read at import: crash reports go out even offline
        import wandb

        place = folder / "wandb"
        place.mkdir(exist_ok=True)
        mode = os.environ.get("WANDB_MODE", "offline")
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                dir=folder,  # to which it adds /wandb
                name=_title(folder),
                id=_run_id(place, resumed_at) or _keep_run_id(place, secrets.token_hex(4)),
                config=dict(config),
                mode=mode,  # type: ignore[arg-type]  # theirs to refuse
                resume=None if mode == "offline" else "allow",
                reinit="create_new",  # leaves a run of the caller alone
                settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
            )
        except wandb.Error as error:
            raise UserError(f"fit.logger=wandb: {error}", hint="WANDB_MODE=offline writes without a server") from error

    def write(self, row: Mapping[str, float]) -> None:
        self._run.log(_figures(row), step=int(row["step"]))

    def close(self) -> None:
        self._run.finish()


class _MLflow:
    """Into `mlflow/mlflow.db` unless MLFLOW_TRACKING_URI names a server or another store.

    MLflow cannot take rows back: those after `resumed_at` stay, and the resumed run adds its own with a later time.
    """

    def __init__(self, folder: Path, config: Mapping[str, object], resumed_at: int | None) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # both are read at import
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        from mlflow import MlflowClient, MlflowException
        from mlflow.entities import Param

        self._failure = MlflowException
        self._active = True
        place = folder / "mlflow"
        place.mkdir(exist_ok=True)
        server = os.environ.get("MLFLOW_TRACKING_URI")
        try:
            self._client = MlflowClient(server or f"sqlite:///{place.absolute() / 'mlflow.db'}")
            known = _run_id(place, resumed_at)
            if known is not None:
                self._run = known
                self._client.update_run(known, status="RUNNING")
                return
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            experiment = self._client.get_experiment_by_name(name)
            artifacts = None if server else (place / "artifacts").absolute().as_uri()
            number = experiment.experiment_id if experiment else self._client.create_experiment(name, artifacts)
            self._run = self._client.create_run(number, run_name=_title(folder)).info.run_id
            parameters = [Param(name, str(value)) for name, value in config.items()]
            for start in range(0, len(parameters), 100):  # their limit a call
                self._client.log_batch(self._run, params=parameters[start : start + 100])
        except MlflowException as error:
            raise UserError(
                f"fit.logger=mlflow: {error}", hint="without MLFLOW_TRACKING_URI it writes into the run folder"
            ) from error
        _keep_run_id(place, self._run)

    def write(self, row: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now, step = int(1000 * time.time()), int(row["step"])
        metrics = [Metric(name, value, now, step) for name, value in _figures(row).items()]
        self._try(lambda: self._client.log_batch(self._run, metrics=metrics))

    def close(self) -> None:
        self._try(lambda: self._client.set_terminated(self._run))

    def _try(self, send: Callable[[], object]) -> None:
        """A server that went away does not end a training, whose rows stand in the CSV."""
        if not self._active:
            return
        try:
            send()
        except self._failure as error:
            self._active = False
            log.warning("fit.logger=mlflow: no rows any more, %s has them all: %s", NAME, error)


_LOGGERS: dict[str, Callable[[Path, Mapping[str, object], int | None], _Sink]] = {
    "tensorboard": _TensorBoard,
    "wandb": _WeightsAndBiases,
    "mlflow": _MLflow,
}


def _figures(row: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name != "step"}


def _cells(columns: Sequence[str], row: Mapping[str, float]) -> list[str]:
    # repr of a float is short and reads back to the same one.
    return [
        "" if name not in row else str(int(row[name])) if name == "step" else repr(float(row[name])) for name in columns
    ]


def _line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _title(folder: Path) -> str:
    """As a list of runs shows it: the run's folder, `training`, and the name of this training."""
    return "/".join(folder.absolute().parts[-3:])


def _run_id(place: Path, resumed_at: int | None) -> str | None:
    """Of the run that goes on here, None where a run starts."""
    kept = place / "run_id.txt"
    return kept.read_text(encoding="utf-8").strip() if resumed_at is not None and kept.exists() else None


def _keep_run_id(place: Path, name: str) -> str:
    write_text(place / "run_id.txt", name + "\n")
    return name
