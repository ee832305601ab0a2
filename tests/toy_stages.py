"""Three stages that add numbers, and jobs that run them, for tests of run folders."""

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import yaml

from lepton_solutions.config import Job
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.pipeline import Stage, execute
from lepton_solutions.progress import Progress
from lepton_solutions.settings import Settings

NAMES = ("load", "double", "sum")
fork = multiprocessing.get_context("fork")


class Toy(Settings):
    """numbers: what is doubled and summed. wrong: the stage that ends in the user's mistake."""

    numbers: tuple[int, ...] = (1, 2, 3)
    factor: int = 2
    wrong: str | None = None


def stages(settings: Settings, stop: Callable[[str, str], None] = lambda stage, moment: None) -> list[Stage]:
    """Three stages; the second writes a folder and a file. stop(stage, "before" | "midway") may end the process."""
    assert isinstance(settings, Toy)

    def work(name: str, make: Callable[[Path, Path], None]) -> Callable[[Path, Path, Progress], None]:
        def done(run: Path, out: Path, progress: Progress) -> None:
            stop(name, "before")
            if settings.wrong == name:
                raise UserError(f"{name}: not like this")
            with (run / "calls.txt").open("a") as calls:
                calls.write(f"{name}\n")
            make(run, out)

        return done

    def load(run: Path, out: Path) -> None:
        write_json(out / "numbers.json", list(settings.numbers))

    def double(run: Path, out: Path) -> None:
        numbers = [settings.factor * number for number in json.loads((run / "numbers.json").read_text())]
        (out / "parts").mkdir()
        write_json(out / "parts" / "doubled.json", numbers)
        stop("double", "midway")
        write_json(out / "count.json", [len(numbers), settings.factor])

    def total(run: Path, out: Path) -> None:
        write_json(out / "sum.json", sum(json.loads((run / "parts" / "doubled.json").read_text())))

    return [
        Stage("load", work("load", load), (), ("numbers.json",), (settings.numbers, settings.wrong)),
        Stage("double", work("double", double), ("numbers.json",), ("parts", "count.json"), (settings.factor,)),
        Stage("sum", work("sum", total), ("parts", "count.json"), ("sum.json",), (settings.wrong,)),
    ]


def job(folder: Path | None = None, *, name: str = "toys/adder", new: bool = False, reuse: bool = False, **toy) -> Job:
    settings = Toy(**toy)
    resolved = {**settings.model_dump(mode="json"), "run": {"dir": folder and str(folder), "new": new}}
    return Job(name, ("x=1",), settings, yaml.safe_dump(resolved), stages, reuse)


def run(asked: Job) -> Path:
    return execute(asked, Progress(quiet=True))


def calls(folder: Path) -> list[str]:
    return (folder / "calls.txt").read_text().split()
