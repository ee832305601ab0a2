"""One of the processes of a run that `lepton_solutions.launch` started: `python -m lepton_solutions.rank RUN PARENT`.

It does what `config.yaml` in the run folder says, and ends with the process that started it.
"""

import os
import sys
import threading
import time
from pathlib import Path

import yaml

from lepton_solutions.config import Job, schema_of
from lepton_solutions.endings import leave, note, one_voice
from lepton_solutions.errors import UserError
from lepton_solutions.pipeline import CONFIG, LOG, follow, run_stages, stages_of, team_of
from lepton_solutions.places import conf_folder
from lepton_solutions.progress import Progress
from lepton_solutions.settings import Call


def saved_job(run: Path) -> Job:
    """The job of a run folder, from the resolved config that lies there."""
    values = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
    pipeline = values.pop("pipeline")
    values["run"] = {"dir": str(run), "new": False}
    page = yaml.safe_load((conf_folder() / f"{pipeline}.yaml").read_text(encoding="utf-8"))
    settings = schema_of(pipeline).model_validate(values)
    build = Call(_target_=page["_target_"]).resolve()
    return Job(pipeline, (), settings, yaml.safe_dump(values, sort_keys=False), build)


def take_part(run: Path, *, quiet: bool = False) -> None:
    """Do this process's part of a run that another process has claimed. quiet: no progress on stderr."""
    with one_voice():
        job = saved_job(run)
        stages, team = stages_of(job), team_of(job)
        if team is not None and team.rank > 0:
            follow(stages, team)
            return
        progress = Progress(quiet=quiet)
        progress.attach(run / LOG)
        try:
            run_stages(stages, run, progress, team)
        finally:
            progress.detach()


def main(run: Path, parent: int, *, quiet: bool) -> int:
    """Exit code: 0 done, 1 a defect, 2 a mistake of the user's; both are told by the process that started this one."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        take_part(run, quiet=quiet)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        note(error)
        return 2 if isinstance(error, UserError) else 1
    return 0


def _end_with(parent: int) -> None:
    """Without this, processes whose parent was killed would write into a run folder that a second run may hold."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    leave(main(Path(sys.argv[1]), int(sys.argv[2]), quiet="--quiet" in sys.argv))
