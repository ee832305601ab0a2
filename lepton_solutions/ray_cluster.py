"""The processes of a run as workers of Ray Train, on one machine or a cluster: `fit.launcher=ray`.

Nothing else in the package knows Ray. The run folder must lie on a file system that every machine sees.
"""

import logging
import os
import tempfile
from importlib import import_module
from pathlib import Path

from lepton_solutions.endings import died, report
from lepton_solutions.errors import UserError
from lepton_solutions.settings import Fit

log = logging.getLogger(__name__)

HANDED_ON = ("LEPTON_DATA",)  # variables that decide what a run reads


def start_on_ray(run: Path, settings: Fit) -> None:
    """Do the run in `run` with `fit.devices` workers, on the cluster that Ray finds, else on one of this machine.

    Raises UserError when Ray is missing, the cluster too small, or a worker died.
    """
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    try:
        import ray
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
        from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError
    except ImportError as error:
        raise UserError(
            f"fit.launcher=ray: Ray is not installed ({error})", hint="pip install 'lepton-solutions[ray]'"
        ) from error
    from lepton_solutions.training.processes import TIMEOUT

    logging.getLogger("ray").setLevel(logging.ERROR)
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    on_gpus = _on_gpus(settings, ray.cluster_resources())
    log.info("%d workers of Ray; their progress stands in %s", settings.devices, run / "log.txt")
    with tempfile.TemporaryDirectory(prefix="lepton-ray-") as aside:
        trainer = TorchTrainer(
            _work,
            train_loop_config={
                "run": str(run.resolve()),
                "folder": str(Path.cwd()),
                "environment": {name: os.environ[name] for name in HANDED_ON if name in os.environ},
            },
            scaling_config=ScalingConfig(num_workers=settings.devices, use_gpu=on_gpus),
            torch_config=TorchConfig(backend="nccl" if on_gpus else "gloo", timeout_s=int(TIMEOUT.total_seconds())),
            run_config=RunConfig(name="lepton", storage_path=aside),
        )
        try:
            trainer.fit()
        except WorkerGroupError as error:
            rank = min(error.worker_failures)
            cause = _cause(error.worker_failures[rank])
            by_ray = type(cause).__module__.startswith("ray.")  # it tells of the worker, which could not
            raise died(run, rank, settings.devices, None, {} if by_ray else report(cause)) from None
        except TrainingFailedError as error:
            raise UserError(f"fit.launcher=ray: {str(error).strip().splitlines()[-1]}") from error


def _work(config: dict) -> None:
    """What each worker does: its part, as if it had been started where the run was."""
    os.chdir(config["folder"])
    os.environ.update(config["environment"])
    import_module("lepton_solutions.rank").take_part(Path(config["run"]))  # by name: it stands above this module


def _on_gpus(settings: Fit, cluster: dict[str, float]) -> bool:
    """Whether the workers have a GPU each. Raises UserError for a cluster with too few of what they need."""
    gpus, cpus = int(cluster.get("GPU", 0)), int(cluster.get("CPU", 0))
    on_gpus = settings.device == "cuda" or (settings.device == "auto" and gpus > 0)
    there, kind = (gpus, "GPU") if on_gpus else (cpus, "CPU")
    if there < settings.devices:
        raise UserError(
            f"fit.devices={settings.devices}: the Ray cluster has {there} {kind}s; expected one for each process"
        )
    return on_gpus


def _cause(error: BaseException) -> BaseException:
    """The exception that a worker raised, out of what Ray wraps around it."""
    inner = getattr(error, "cause", None) or error.__cause__
    return _cause(inner) if isinstance(inner, BaseException) else error
