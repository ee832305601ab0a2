"""One run: its folder, and the stages in order, each skipped when its inputs and its config did not change.

A stage reads files of the run folder and writes others. It writes into a folder aside; what it made moves under its
final name only when the stage is through, so that a run killed at any moment holds whole files only and goes on from
them.
"""

import hashlib
import json
import logging
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from filelock import FileLock, Timeout

from lepton_solutions import __version__, endings, launch
from lepton_solutions.config import Job
from lepton_solutions.environment import environment
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json, write_text
from lepton_solutions.progress import Progress

if TYPE_CHECKING:
    from lepton_solutions.training.processes import Processes

log = logging.getLogger(__name__)

CONFIG, COMMAND, LEDGER, LOCK, PARTIAL = "config.yaml", "command.txt", "stages.json", ".lock", ".partial"
LOG = "log.txt"
_OF_EVERY_RUN = {CONFIG, COMMAND, LOCK, LOG}


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    work(run, out, progress): reads from the folder `run`, writes what `writes` names into `out`. reads: names in the
    run folder. depends: what else decides the result, such as config values; anything whose `repr` says it all.
    together: it trains, so that where a run has several processes all do it. Every other stage is the first one's.
    """

    name: str
    work: Callable[[Path, Path, Progress], None]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    depends: tuple[object, ...] = ()
    together: bool = False

    def fingerprint(self, run: Path) -> str:
        """Changes when the config, an input file or the package's version does."""
        digest = hashlib.sha256(repr((__version__, self.name, self.depends)).encode())
        for name in self.reads:
            for file in sorted((run / name).rglob("*")) if (run / name).is_dir() else [run / name]:
                if file.is_file():
                    digest.update(file.relative_to(run).as_posix().encode())
                    digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()


def execute(job: Job, progress: Progress) -> Path:
    """Do a job in its run folder; the folder. Raises UserError for a mistake in the config, the data or the folder."""
    stages = stages_of(job)
    settings, team = launch.fit_of(job.settings), team_of(job)
    if team is not None and team.rank > 0:
        return follow(stages, team)
    with claim(job, is_done=lambda run: is_done(stages, run)) as run:
        progress.attach(run / LOG)
        log.info("lepton %s: %s in %s", __version__, job.pipeline, run)
        write_text(run / COMMAND, f"lepton run {shlex.join([job.pipeline, *job.overrides])}\n")
        try:
            if team is None and settings is not None and settings.devices > 1 and not is_done(stages, run):
                launch.start(run, settings, quiet=progress.quiet)
            else:
                run_stages(stages, run, progress, team)
        except UserError:
            progress.detach()
            if not any(file.name not in _OF_EVERY_RUN for file in run.iterdir()):
                shutil.rmtree(run)  # nothing came of it: a mistake leaves no folder behind
            raise
        finally:
            progress.detach()  # what is said from here on belongs to another run
    return run


def stages_of(job: Job) -> list[Stage]:
    """In order."""
    stages = job.build(job.settings)
    assert isinstance(stages, list)
    return stages


def team_of(job: Job) -> "Processes | None":
    """The processes that were started together with this one; None where it is alone."""
    world, settings = endings.world(), launch.fit_of(job.settings)
    if world == 1:
        return None
    if settings is not None and settings.devices not in (1, world):
        raise UserError(
            f"fit.devices={settings.devices}: but {world} processes were started",
            hint="leave fit.devices out: what starts the processes decides",
        )
    from lepton_solutions.training.processes import processes

    return processes("cpu" if settings is None else settings.device)


def follow(stages: Sequence[Stage], team: "Processes") -> Path:
    """Do what the first process asks for, until it asks for no more; the run folder. Says nothing, leaves nothing."""
    progress, run = Progress(quiet=True), Path()
    while True:
        asked = team.agree(lambda: (-1, ""))
        run = Path(asked[1])
        if asked[0] < 0:
            return run
        with tempfile.TemporaryDirectory(prefix="lepton-") as out:
            stages[asked[0]].work(run, Path(out), progress)


def run_stages(stages: Sequence[Stage], run: Path, progress: Progress, team: "Processes | None" = None) -> None:
    """Do what is not done yet, in order. team: whose first process this is; the others do their part."""
    ledger: dict[str, dict[str, object]] = _read_json(run / LEDGER).get("stages", {})
    for number, stage in enumerate(stages, 1):
        before = stage.fingerprint(run)
        if _stands(stage, run, ledger, before):
            progress.skipped(stage.name, number, len(stages))
            continue
        if ledger.pop(stage.name, None):  # else a kill between two moves leaves results of two configs under one entry
            write_json(run / LEDGER, {"stages": ledger, "finished": False})
        out = run / PARTIAL
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        start = time.perf_counter()
        try:
            with progress.stage(stage.name, number, len(stages)), _called(team, stage, (number - 1, str(run))):
                stage.work(run, out, progress)
            for name in stage.writes:
                _move(out / name, run / name)
        finally:
            shutil.rmtree(out, ignore_errors=True)
        ledger[stage.name] = {"fingerprint": before, "seconds": round(time.perf_counter() - start, 3)}
        write_json(run / LEDGER, {"stages": ledger, "finished": False})
    write_json(run / LEDGER, {"stages": ledger, "finished": True})
    if team is not None:
        team.agree(lambda: (-1, str(run)))


def _called(team: "Processes | None", stage: Stage, order: tuple[int, str]) -> AbstractContextManager:
    """Call the other processes to a stage that is done together; into any other they do not come."""
    if team is None:
        return nullcontext()
    from lepton_solutions.training.processes import apart

    if not stage.together:
        return apart()
    team.agree(lambda: order)
    return nullcontext()


def is_done(stages: Sequence[Stage], run: Path) -> bool:
    """Whether a run finished and none of its stages would be done again."""
    saved = _read_json(run / LEDGER)
    ledger = saved.get("stages", {})
    return saved.get("finished", False) and all(_stands(stage, run, ledger, stage.fingerprint(run)) for stage in stages)


def _stands(stage: Stage, run: Path, ledger: dict[str, dict[str, object]], fingerprint: str) -> bool:
    done = ledger.get(stage.name, {}).get("fingerprint") == fingerprint
    return done and all((run / name).exists() for name in stage.writes)


def seconds(run: Path) -> dict[str, float]:
    """What each finished stage of a run took."""
    return {name: entry["seconds"] for name, entry in _read_json(run / LEDGER).get("stages", {}).items()}


def about(run: Path) -> dict[str, object]:
    """What `metrics.json` of any pipeline says of its run: whose it is, the command, seconds a stage, the machine."""
    return {
        "pipeline": pipeline_of(run),
        "command": (run / COMMAND).read_text(encoding="utf-8").strip(),
        "seconds": seconds(run),
        "environment": environment(),
    }


@contextmanager
def claim(job: Job, *, is_done: Callable[[Path], bool] = lambda run: False) -> Iterator[Path]:
    """The run folder of a job, held by this process alone while the block runs.

    is_done: whether a folder's run needs no stage any more, so that a job of a multirun may reuse it.
    """
    config = yaml.safe_dump({"pipeline": job.pipeline, **_without_run(job.resolved)}, sort_keys=False)
    wanted = yaml.safe_load(job.resolved)["run"]
    try:
        if wanted["dir"] is not None:
            run, lock = _take_named(Path(wanted["dir"]).expanduser(), job.pipeline)
        else:
            home, serves = Path("runs") / job.pipeline, is_done if job.reuse else None
            run, lock = _take_free(home, config, afresh=wanted["new"], serves=serves)
        if not (run / CONFIG).exists() or (run / CONFIG).read_text(encoding="utf-8") != config:
            write_text(run / CONFIG, config)
    except OSError as error:
        place = error.filename or wanted["dir"] or "runs"
        raise UserError(
            f"the run folder cannot be written: {place}: {error.strerror}", hint="run.dir=PATH places it elsewhere"
        ) from error
    try:
        yield run
    finally:
        lock.release()


def _take_named(run: Path, pipeline: str) -> tuple[Path, FileLock]:
    if run.exists() and not run.is_dir():
        raise UserError(f"run.dir={run}: is a file, expected a folder")
    if run.is_dir() and any(run.iterdir()):
        found = pipeline_of(run)
        if found is None and ((run / CONFIG).exists() or not (run / LOCK).exists()):
            raise UserError(
                f"run.dir={run}: holds other files and no run", hint="name an empty folder or one of `lepton run`"
            )
        if found not in (None, pipeline):
            raise UserError(f"run.dir={run}: holds a run of `{found}`, expected `{pipeline}`")
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"run.dir={run}: another process is running there") from error
    return run, lock


def _take_free(
    home: Path, config: str, *, afresh: bool, serves: Callable[[Path], bool] | None
) -> tuple[Path, FileLock]:
    """The newest unfinished run of the same config, or a finished one that `serves`, else a folder of its own."""
    home.mkdir(parents=True, exist_ok=True)
    candidates = [] if afresh else sorted((place.parent for place in home.glob(f"*/{CONFIG}")), reverse=True)
    for run in candidates:
        if (run / CONFIG).read_text(encoding="utf-8") != config or (serves is None and _finished(run)):
            continue
        lock = FileLock(run / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue  # another process is at it
        if _finished(run):
            if serves is not None and serves(run):
                log.warning("this job is finished in %s (run.new=true does it again)", run)
                return run, lock
            lock.release()
            continue
        log.warning("going on with the unfinished run in %s (run.new=true starts afresh)", run)
        return run, lock
    stamp = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    for attempt in range(10_000):
        run = home / (stamp if attempt == 0 else f"{stamp}-{attempt + 1}")
        try:
            run.mkdir()
        except FileExistsError:
            continue
        lock = FileLock(run / LOCK)
        lock.acquire(timeout=0)
        return run, lock
    raise UserError(f"{home}: no free name for a run folder left")


def _move(made: Path, final: Path) -> None:
    if final.is_dir():
        shutil.rmtree(final)
    made.replace(final)


def _finished(run: Path) -> bool:
    return bool(_read_json(run / LEDGER).get("finished"))


def _without_run(resolved: str) -> dict[str, object]:
    values = yaml.safe_load(resolved)
    return {key: value for key, value in values.items() if key != "run"}


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def pipeline_of(run: Path) -> str | None:
    """Whose run a folder holds; None where it holds none, though another program may keep a config.yaml there."""
    try:
        saved = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8")) if (run / CONFIG).is_file() else None
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    return saved.get("pipeline") if isinstance(saved, dict) else None
