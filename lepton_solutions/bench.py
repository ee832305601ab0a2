"""`lepton bench NAME`: reproduce a benchmark, rivals and published figures in one table, and keep what is finished.

A bench is a function named in `conf/bench/NAME.yaml`. It returns a `Bench`: which cells to measure, and how their
results become rows. Each cell runs in a process of its own, which tells its peak memory; finished cells lie in
`.bench/NAME/`, so that a bench that was stopped goes on. A complete run in a checkout also writes
`docs/benchmarks/NAME.md`.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol

import yaml

from lepton_solutions.environment import machine, versions
from lepton_solutions.errors import UserError, did_you_mean
from lepton_solutions.files import write_json, write_text
from lepton_solutions.places import checkout, conf_folder
from lepton_solutions.resampling import student
from lepton_solutions.settings import Call


@dataclass(frozen=True)
class Cell:
    """One thing to measure: a model on a task with one seed. task, model, seed are the arguments of `Bench.measure`."""

    task: str
    model: str
    seed: int

    @property
    def key(self) -> str:
        return re.sub(r"[^\w.-]+", "-", f"{self.task}-{self.model}-{self.seed}")


@dataclass(frozen=True)
class Row:
    """One figure of the table. low, high: 95 % interval; source: `measured here` or `published: ...`."""

    task: str
    model: str
    ours: bool
    metric: str
    value: float
    low: float | None
    high: float | None
    seeds: int | None
    seconds: float | None
    peak_mb: float | None
    source: str


@dataclass(frozen=True)
class Bench:
    """measure: (task, model, seed) to a JSON record; must be importable, since it runs in another process. rows: all
    records by cell to the table. about: Markdown on protocol and choices. packages: whose versions are stated.
    """

    title: str
    about: str
    cells: Sequence[Cell]
    measure: Callable[[str, str, int], dict[str, object]]
    rows: Callable[[dict[Cell, dict]], list[Row]]
    conclusions: Callable[[dict[Cell, dict]], str]
    packages: tuple[str, ...]


class Part(Protocol):
    """A module with some of a bench's cells: how one is measured, its rows, and what they say in Markdown."""

    __name__: str
    ABOUT: str
    CELLS: list[Cell]

    def measure(self, task: str, model: str, seed: int) -> dict[str, object]: ...

    def rows(self, records: Mapping[Cell, dict]) -> Iterable[Row]: ...

    def conclusions(self, records: Mapping[Cell, dict]) -> str: ...


def of_parts(title: str, parts: Sequence[Part], packages: tuple[str, ...]) -> Bench:
    """A bench of several modules, each with its own tasks, in this order."""
    return Bench(
        title=title,
        about="".join(part.ABOUT for part in parts),
        cells=[cell for part in parts for cell in part.CELLS],
        measure=partial(_of_part, [part.__name__ for part in parts]),
        rows=lambda records: [row for part in parts for row in part.rows(records)],
        conclusions=lambda records: "\n\n".join(text for part in parts if (text := part.conclusions(records))),
        packages=packages,
    )


def _of_part(names: Sequence[str], task: str, model: str, seed: int) -> dict[str, object]:
    for part in map(import_module, names):
        if any(cell.task == task for cell in part.CELLS):
            found: dict[str, object] = part.measure(task, model, seed)
            return found
    raise ValueError(f"no part has the task {task}")


def run_bench(
    name: str, *, tasks: Sequence[str], seeds: int | None, json_file: Path | None, echo: Callable[[str], None]
) -> None:
    """Measure what is not measured yet, print the table as it fills. Raises UserError for an unknown bench or task."""
    bench = _load(name)
    known = list(dict.fromkeys(cell.task for cell in bench.cells))
    for task in tasks:
        if task not in known:
            raise UserError(f"--rows {task}: {did_you_mean(task, known)}")
    cells = [c for c in bench.cells if (not tasks or c.task in tasks) and (seeds is None or _nth(bench, c) < seeds)]
    kept = Path(".bench") / name
    kept.mkdir(parents=True, exist_ok=True)
    records: dict[Cell, dict] = {}
    shown: set[tuple[str, str, str]] = set()
    for cell in cells:
        file = kept / f"{cell.key}.json"
        if not file.is_file():
            print(f"measuring {cell.key}", file=sys.stderr)
            write_json(file, _measure_apart(bench.measure, cell))
        records[cell] = json.loads(file.read_text(encoding="utf-8"))
        for row in bench.rows(records):
            identity = (row.task, row.model, row.metric)
            complete = row.seeds in (None, len({c.seed for c in cells if c.task == row.task}))
            if identity not in shown and complete:
                shown.add(identity)
                echo(_line(row))
    rows = bench.rows(records)
    for row in rows:  # models with fewer seeds than others of their task
        if (row.task, row.model, row.metric) not in shown:
            echo(_line(row))
    record = {
        "bench": name,
        "command": f"lepton bench {name}",
        "machine": machine(),
        "versions": versions(bench.packages),
        "rows": [asdict(row) for row in rows],
    }
    if json_file is not None:
        write_json(json_file, record)
    root = checkout()
    if root is not None and len(cells) == len(bench.cells):
        page = root / "docs" / "benchmarks" / f"{name}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        write_text(page, _markdown(bench, record, rows, bench.conclusions(records)))
        write_json(page.with_suffix(".json"), record)
        echo(f"written: {page}")


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of the folds and its 95 % interval by Student's t; folds share training rows, so it is a little narrow."""
    found = student(values)
    return found.value, found.low, found.high


def _load(name: str) -> Bench:
    pages = {file.stem: file for file in (conf_folder() / "bench").glob("*.yaml")}
    if name not in pages:
        raise UserError(f"unknown bench `{name}`: {did_you_mean(name, sorted(pages))}")
    bench = Call.model_validate(yaml.safe_load(pages[name].read_text(encoding="utf-8"))).resolve()()
    assert isinstance(bench, Bench)
    return bench


def _nth(bench: Bench, cell: Cell) -> int:
    """Which of its task's seeds a cell has, from 0."""
    return sorted({other.seed for other in bench.cells if other.task == cell.task}).index(cell.seed)


def _measure_apart(measure: Callable[[str, str, int], dict[str, object]], cell: Cell) -> dict[str, object]:
    # Not a Pool: its processes may not start any of their own, as streaming does.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, measure, cell).result()


def _measured(measure: Callable[[str, str, int], dict[str, object]], cell: Cell) -> dict[str, object]:
    start = time.perf_counter()
    found = measure(cell.task, cell.model, cell.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"seconds": time.perf_counter() - start, "peak_mb": round(peak), **found}


def _line(row: Row) -> str:
    span = f"{row.low:.4f} to {row.high:.4f}" if row.low is not None and row.high is not None else ""
    cost = f"{row.seconds:8.1f} s {row.peak_mb or 0:6.0f} MB" if row.seconds is not None else ""
    source = "" if cost else row.source
    return f"{row.task:<8} {row.model:<34} {row.metric:<18} {_figure(row.value):>9}  {span:<17} {cost} {source}"


def _figure(value: float) -> str:
    """Four decimals of a score, one of seconds, none of thousands."""
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def _markdown(bench: Bench, record: dict, rows: Sequence[Row], conclusions: str) -> str:
    host = record["machine"]
    lines = [
        f"# {bench.title}",
        "",
        f"Made by `uv run {record['command']}` on {host['cpu']}, {host['cores']} cores, {host['memory_gb']} GB "
        f"({host['flags']}), {host['system']}; "
        + ", ".join(f"{package} {found}" for package, found in record["versions"].items())
        + ".",
        "",
        bench.about.strip(),
    ]
    if conclusions:
        lines += ["", conclusions.strip()]
    for task in dict.fromkeys(row.task for row in rows):
        lines += ["", f"## {task}", ""]
        lines += ["| model | metric | value | 95 % interval | seeds | seconds a fit | peak MB | source |"]
        lines += ["| --- | --- | ---: | --- | ---: | ---: | ---: | --- |"]
        for row in (row for row in rows if row.task == task):
            span = "" if row.low is None or row.high is None else f"{row.low:.4f} to {row.high:.4f}"
            figures = (row.seeds or "", f"{row.seconds:.1f}" if row.seconds is not None else "", row.peak_mb or "")
            model = f"**{row.model}**" if row.ours else row.model
            cells = (model, row.metric, _figure(row.value), span, *map(str, figures), row.source)
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
