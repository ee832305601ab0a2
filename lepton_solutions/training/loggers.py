"""What shows a training beside its `history.csv`: TensorBoard, Weights & Biases, MLflow.

All write into the training's folder and nothing leaves the machine, unless the environment variables of Weights &
Biases or MLflow name a server. Names of figures are those of the CSV.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from lepton_solutions.errors import UserError
from lepton_solutions.files import write_text
from lepton_solutions.offline import refuse

Logger = Literal["none", "tensorboard", "wandb", "mlflow"]

PROJECT = "lepton"  # of Weights & Biases, and experiment of MLflow, unless the environment names another

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where rows go."""

    def write(self, row: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


def check_logger(logger: Logger) -> None:
    """Raises UserError where the package of `fit.logger` is not installed; imports nothing."""
    needed = {"wandb": ("wandb",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}.get(logger, ())
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise UserError(
            f"fit.logger={logger}: the package `{missing[0]}` is not installed",
            hint=f"pip install 'lepton-solutions[{logger}]', or fit.logger=tensorboard, which needs nothing more",
        )


def open_logger(logger: Logger, folder: Path, config: Mapping[str, object], resumed_at: int | None) -> Sink | None:
    """The logger's run, which goes on where the training goes on from a checkpoint; None where there is no logger.

    Raises UserError where the package is missing or the server does not answer.
    """
    check_logger(logger)
    if logger == "none":
        return None
    kinds: dict[str, Callable[[Path, Mapping[str, object], int | None], Sink]] = {
        "tensorboard": TensorBoard,
        "wandb": WeightsAndBiases,
        "mlflow": MLflow,
    }
    return kinds[logger](folder, config, resumed_at)


class TensorBoard:
    """Event files. Those of a resumed training are copied without the rows after its checkpoint.

    `purge_step` of SummaryWriter is meant for that, but the Python server of TensorBoard 2.21 shows those rows still.
    """

    def __init__(self, folder: Path, config: Mapping[str, object], resumed_at: int | None) -> None:
        from tensorboard.backend.event_processing import event_file_loader  # type: ignore[import-untyped]
        from torch.utils.tensorboard import SummaryWriter

        place = folder / "tensorboard"
        others = sorted(place.glob("events.out.tfevents.*"))
        self._writer = SummaryWriter(str(place))
        if resumed_at is None:
            self._writer.add_text("config", "\n".join(f"    {name}: {value}" for name, value in config.items()))
        else:
            loaders = [event_file_loader.LegacyEventFileLoader(str(other)) for other in others]
            for event in (event for loader in loaders for event in loader.Load()):
                if event.HasField("summary") and event.step <= resumed_at:
                    self._writer.file_writer.add_event(event, event.step, event.wall_time)  # type: ignore[attr-defined]
        self._writer.flush()
        for other in others:
            other.unlink()

    def write(self, row: Mapping[str, float]) -> None:
        for name, value in _figures(row).items():
            self._writer.add_scalar(name, value, int(row["step"]))
        self._writer.flush()  # else a kill loses up to two minutes, which a resumed run does not write again

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """Offline unless WANDB_MODE says otherwise; `wandb sync folder/wandb/offline-run-*` sends it later.

    It cannot take rows back: those after `resumed_at` stay, in the folder of the run that was killed.
    """

    def __init__(self, folder: Path, config: Mapping[str, object], resumed_at: int | None) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read at import: crash reports go out even offline
        import wandb

        place = folder / "wandb"
        place.mkdir(exist_ok=True)
        mode = os.environ.get("WANDB_MODE", "offline")
        if mode not in ("offline", "disabled"):
            refuse(f"fit.logger=wandb with WANDB_MODE={mode}", hint="WANDB_MODE=offline writes without a server")
        number = _run_id(place, resumed_at) or _keep_run_id(place, secrets.token_hex(4))
        while (place / f"offline-run-{time.strftime('%Y%m%d_%H%M%S')}-{number}").exists():
            time.sleep(0.05)  # else it would write over the run of the same second
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                dir=folder,  # to which it adds /wandb
                name=_title(folder),
                id=number,
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


class MLflow:
    """Into `mlflow/mlflow.db` unless MLFLOW_TRACKING_URI names a server or another store.

    It cannot take rows back: those after `resumed_at` stay, and the resumed run adds its own with a later time.
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
        if server is not None and not server.startswith(("sqlite:", "file:", "/", ".")):
            refuse(
                f"fit.logger=mlflow with MLFLOW_TRACKING_URI={server}",
                hint="without MLFLOW_TRACKING_URI it writes into the run folder",
            )
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
            log.warning("fit.logger=mlflow: no rows any more, history.csv has them all: %s", error)


def _figures(row: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name != "step"}


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
