"""What grows with the work: epochs with more rows, a table larger than memory, checkpoints, the making of a plan."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from lepton_solutions import tasks
from lepton_solutions.config import fit_settings
from lepton_solutions.data.batches import Batches, Resident
from lepton_solutions.data.parquet import ParquetRows
from lepton_solutions.data.streaming import Stream, tensors
from lepton_solutions.models.dense import mlp
from lepton_solutions.reference.speed.cases import CASES, Flat, Rows, new_network
from lepton_solutions.reference.speed.loops import Enough, ours
from lepton_solutions.training import keeper
from lepton_solutions.training.loop import fit

COLUMNS = 50  # float32, beside the target
FULL, PART = 20 * 10**9, 10**9  # bytes of the table that streams, and of the part that is kept in memory
LEAST = 5 * 10**9
GROUP = 50_000  # rows of a row group
NETWORKS = {"512-512-512": (512, 512, 512), "64": (64,)}
BATCH, WARM, TIMED = 512, 3.0, 15.0  # rows a step; seconds before the clock starts, and on it
TRAINED = 70.0  # seconds of the training whose checkpoints are timed


def growth() -> dict[str, object]:
    """Seconds an epoch of `mlp` with its rows and with ten times as many, in turn."""
    case = CASES["mlp"]
    small = case.rows()
    large = Rows(small.inputs.repeat(10, 1), small.target.repeat(10), small.what)
    seconds: dict[str, list[float]] = {"small": [], "large": []}
    for _ in range(3):
        seconds["small"] += ours(case, small, case.epochs)
        seconds["large"] += ours(case, large, 2)
    return dict(seconds)


def stream(widths: tuple[int, ...]) -> dict[str, object]:
    """Rows a second of training from a table on the disk and from a part of it in memory, in turn, and the memory."""
    place = Path(".bench") / "stream"
    size = _table(place)
    reader = ParquetRows(place, target="target")
    part = PART // (4 * COLUMNS)
    rates: dict[str, list[float]] = {"stream": [], "resident": []}
    peaks: dict[str, float] = {}
    for _ in range(2):  # the streamed one first: what it needs is not what the resident one left behind
        for name in ("stream", "resident"):
            batches: Batches
            if name == "stream":
                batches = Stream(reader, workers=1)
            else:
                inputs, target, _ = tensors(reader.read(0, part))
                batches = Resident(inputs, target)
            with _peak_mb() as peak:
                rates[name].append(_rate(mlp(COLUMNS, *widths, 1), batches))
            peaks.setdefault(name, peak[0])
    return {**rates, "peaks": peaks, "gigabytes": size / 1e9, "rows": reader.rows}


def checkpoints(name: str) -> dict[str, object]:
    """Share of the time that checkpoints take at the default interval, in a training of a case."""
    case = CASES[name]
    rows = case.rows()
    spent: list[float] = []
    write = keeper.Keeper.write

    def timed(self: keeper.Keeper) -> None:
        start = time.perf_counter()
        write(self)
        spent.append(time.perf_counter() - start)

    settings = fit_settings(
        plan="eager", epochs=100_000, batch_size=case.batch_size, optimiser="adam", seconds=TRAINED, logger="none"
    )
    with tempfile.TemporaryDirectory(dir=".bench") as folder, mock.patch.object(keeper.Keeper, "write", timed):
        outcome = fit(
            new_network(case, 0), case.task, Resident((rows.inputs,), rows.target), settings, seed=0,
            folder=Path(folder), generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        size = max(file.stat().st_size for file in Path(folder).rglob("*.safetensors"))
    # The last one is written when the training is through, however short it was.
    return {"share": sum(spent[:-1]) / outcome.seconds, "written": len(spent) - 1, "megabytes": size / 1e6}


def _rate(network: nn.Module, batches: Batches) -> float:
    """Rows a second of `fit`, after the first seconds."""
    begun, seen = time.perf_counter(), []

    def watch(share: float, text: str) -> None:
        seen.append((time.perf_counter(), share))
        if seen[-1][0] - begun > WARM + TIMED:
            raise Enough

    settings = fit_settings(plan="eager", epochs=100, batch_size=BATCH, optimiser="adam", logger="none")
    generator = torch.Generator().manual_seed(0)
    task = tasks.regression()
    with suppress(Enough):
        fit(Flat(network), task, batches, settings, seed=0, generator=generator, watch=watch)
    first = next(entry for entry in seen if entry[0] - begun > WARM)
    steps = (seen[-1][1] - first[1]) * 100 * batches.steps(BATCH)
    return steps * BATCH / (seen[-1][0] - first[0])


@contextmanager
def _peak_mb() -> Iterator[list[float]]:
    """Largest resident memory of this process and its children inside the block, MB, looked at every tenth of a second.

    Pages that both map, such as shared blocks, count once for each: it is an upper bound.
    """
    peak, done, own = [0.0], threading.Event(), psutil.Process()

    def look() -> None:
        while not done.wait(0.1):
            held = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    held += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak[0] = max(peak[0], held / 1e6)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _table(place: Path) -> int:
    """A table of float32 noise on the disk, as large as asked for or as half of the free disk allows; its bytes."""
    if (place / ".ready").is_file():
        return sum(file.stat().st_size for file in place.glob("*.parquet"))
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    size = min(FULL, shutil.disk_usage(place).free // 2)
    if size < LEAST:
        raise RuntimeError(f"{place}: room for {size / 1e9:.1f} GB, the bench needs {LEAST / 1e9:.0f}")
    generator = np.random.default_rng(0)
    names = [f"x{i}" for i in range(COLUMNS)]
    groups = size // (4 * (COLUMNS + 1) * GROUP)
    for number in range(10):
        schema = pa.schema([(name, pa.float32()) for name in (*names, "target")])
        part = place / f"part-{number}.parquet"
        with pq.ParquetWriter(part, schema, compression="none", use_dictionary=False) as file:
            for _ in range(groups // 10):
                values = generator.standard_normal((COLUMNS + 1, GROUP), dtype=np.float32)
                file.write_table(pa.table(list(values), schema=schema), row_group_size=GROUP)
        with part.open("rb") as written:  # else a part would be read from memory
            os.fsync(written.fileno())
            os.posix_fadvise(written.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    (place / ".ready").touch()
    return sum(file.stat().st_size for file in place.glob("*.parquet"))
