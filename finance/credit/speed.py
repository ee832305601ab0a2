"""How long the commands take, each in a process of its own: a run, scoring a million rows, and `lepton --help`."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.csv as csv
import pyarrow.parquet as pq

from finance.credit.sources import german
from lepton_solutions.bench import Row

ROWS = 1_000_000  # German credit, drawn with replacement
COMMANDS = ("run finance/credit", "predict, CSV", "predict, Parquet", "--help")


def measure_command(command: str) -> dict[str, object]:
    """Seconds of the whole process and its peak memory, MB; `predict` first gets a run and a million rows."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        words = {"run finance/credit": ["run", "finance/credit", f"run.dir={place / 'run'}"], "--help": ["--help"]}
        if command not in words:
            _lepton(words["run finance/credit"])
            drawn = german().rows.take(np.random.default_rng(0).integers(0, 1000, ROWS))
            file = place / ("rows.csv" if command.endswith("CSV") else "rows.parquet")
            csv.write_csv(drawn, file) if file.suffix == ".csv" else pq.write_table(drawn, file)
            words[command] = ["predict", str(place / "run"), str(file), "-o", str(place / "scored.parquet")]
        seconds, peak = _lepton(words[command])
    return {"seconds": seconds, "command_peak_mb": round(peak), "chosen": {}}


def speed_rows(command: str, record: dict) -> list[Row]:
    """Seconds and peak memory of a command, and the rows it scored a second."""
    found = {"seconds": record["seconds"], "peak_mb": float(record["command_peak_mb"])}
    if command.startswith("predict"):
        found["rows_per_second"] = ROWS / record["seconds"]
    return [
        Row("speed", f"lepton {command}", True, metric, value, None, None, 1, None, None, "measured here")
        for metric, value in found.items()
    ]


# A small process in between: a child counts the memory of the process it was forked from as its own.
_MEASURE = """
import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(code, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def _lepton(words: list[str]) -> tuple[float, float]:
    command = [sys.executable, "-c", _MEASURE, sys.executable, "-m", "lepton_solutions.cli", *words]
    code, seconds, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    if code != "0":
        raise RuntimeError(f"lepton {' '.join(words)} ended with status {code}")
    return float(seconds), float(peak) / (2**20 if sys.platform == "darwin" else 2**10)
