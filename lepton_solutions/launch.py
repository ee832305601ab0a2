"""Start the processes of one run, and say which of them died and why.

`fit.devices=2` starts two by torchrun, or on a Ray cluster. Each reads what to do from the run folder
(`lepton_solutions.rank`), never from a command line. A run that the user started by torchrun is not started again.
"""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton_solutions.endings import died
from lepton_solutions.settings import Fit, Settings

RANK = "lepton_solutions.rank"  # what each process runs
CLOSING = 10  # seconds to end in, for the others


def fit_of(settings: Settings) -> Fit | None:
    """The keys of the training loop; None for a pipeline that trains nothing."""
    return next((group for _, group in settings if isinstance(group, Fit)), None)


def start(run: Path, settings: Fit, *, quiet: bool) -> None:
    """Do the run in `run`, whose config lies there, with `fit.devices` processes. quiet: no progress on stderr.

    Raises UserError that says which process died of what, and where the same command goes on.
    """
    from lepton_solutions.training.processes import accelerator_for

    if settings.launcher == "ray":
        from lepton_solutions.ray_cluster import start_on_ray

        start_on_ray(run, settings)
    else:
        accelerator_for(settings.device, settings.devices)  # a GPU too few is said at once
        _torchrun(run, settings.devices, quiet)


def _torchrun(run: Path, processes: int, quiet: bool) -> None:
    import torch
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    threads = {"OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // processes))}
    with tempfile.TemporaryDirectory(prefix="lepton-") as aside, _environment(threads), _signals_kept():
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=Path(aside).name,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            # The first process has the terminal; what libraries print in the others is of no use to anybody.
            logs_specs=DefaultLogsSpecs(log_dir=aside, redirects=dict.fromkeys(range(1, processes), Std.ALL)),
            shutdown_timeout=CLOSING,
        )
        logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
        try:
            words = ["-m", RANK, str(run.resolve()), str(os.getpid()), *(["--quiet"] if quiet else [])]
            elastic_launch(config, sys.executable)(*words)
        except ChildFailedError as error:
            # Those that torchrun ended died of SIGTERM, after the one that this is about.
            failures = error.failures
            rank = min(failures, key=lambda rank: (failures[rank].exitcode == -signal.SIGTERM, rank))
            failure = failures[rank]
            told: dict = failure.error_file_data if isinstance(failure.message, dict) else {}
            raise died(run, rank, processes, failure.exitcode, told) from None
        except SignalException as error:
            if error.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            sys.exit(128 + error.sigval)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Variables for the processes that are started meanwhile, but for those that are set already."""
    missing = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            del os.environ[name]


@contextmanager
def _signals_kept() -> Iterator[None]:
    """torchrun takes over signals and leaves them taken."""
    taken = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in taken}
    try:
        yield
    finally:
        try:
            for number, handler in before.items():
                signal.signal(number, handler)
        except ValueError:  # not the main thread, whose signals torchrun has left alone too
            pass
