"""How a process of several ends: who of them speaks, what it leaves behind, and what is said of it."""

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json

log = logging.getLogger(__name__)

GRACE = 3.0  # seconds in which torchrun notices that another process died first, and ends this one


def world() -> int:
    """Processes that were started together with this one by torchrun or Ray, itself included."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_first() -> bool:
    """Whether this process speaks for all that were started together."""
    return world() == 1 or os.environ.get("RANK", "0") == "0"


def leave(code: int) -> NoReturn:
    """End a process of several, whose work is done and whose files are closed, without Python's own ending.

    A thread of gloo may still be letting go of the last word's tensors, for which it needs the interpreter; where that
    is ending, CPython ends the thread instead, in the midst of C++, and the process aborts.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def one_voice() -> Iterator[None]:
    """What goes wrong in several processes is said once.

    The user's mistake, met by all, is the first one's to tell; and who lost the connection because another died is
    ended before it can complain. So these hold their breath for a moment.
    """
    try:
        yield
    except Exception as error:
        if world() > 1 and not (isinstance(error, UserError) and is_first()):
            time.sleep(GRACE)
        raise


def note(error: BaseException) -> None:
    """Leave what ended this process where `torchrun` looks for it."""
    place = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if place is not None:
        write_json(Path(place), report(error))


def report(error: BaseException) -> dict:
    """An error as torchrun keeps it, and our own: the hint of a user's mistake."""
    lines = "".join(traceback.format_exception(error))
    extra = {"timestamp": str(int(time.time())), "py_callstack": lines}
    if isinstance(error, UserError):
        return {"message": {"message": error.message, "extraInfo": extra}, "mistake": True, "hint": error.hint}
    told = f"{type(error).__name__}: {error}".rstrip(": ")
    return {"message": {"message": told, "extraInfo": extra}, "mistake": False, "hint": None}


def died(run: Path, rank: int, processes: int, code: int | None, told: dict) -> UserError:
    """What to say of a process that ended the run.

    code: its exit code, negative for a signal, None where nobody knows. told: its `report`, empty where it left none.
    """
    message = told.get("message", {}).get("message", "")
    who = f"process {rank + 1} of {processes} (rank {rank})"
    if told.get("mistake"):
        return UserError(message if rank == 0 else f"{who}: {message}", hint=told["hint"])
    if told:
        log.error("%s", told["message"]["extraInfo"]["py_callstack"].rstrip())
    elif code is None:
        message = "died without a word"
    elif code < 0:
        name = signal.Signals(-code).name
        message = f"died of {name}" + (", as when memory runs out" if name == "SIGKILL" else "")
    else:
        message = f"ended with exit code {code}"
    return UserError(f"{who}: {message}", hint=_goes_on(run))


def _goes_on(run: Path) -> str:
    """Where the same command goes on."""
    saved = sorted(run.glob("training/**/step-*.safetensors"), key=lambda file: file.stat().st_mtime)
    if not saved:
        return "the same command goes on from the last finished stage"
    return f"the same command goes on from the checkpoint at step {int(saved[-1].name.split('-')[1])}"
