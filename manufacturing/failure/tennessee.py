"""Tennessee Eastman: a simulated chemical plant, 52 readings every three minutes, normal running and 21 faults.

Each of the 22 conditions has a training and a test file. A training file of a fault begins with it; a test file runs
normally for its first 160 rows. Files of numbers divided by blanks, `.dat` or `.dat.gz`; `d00` is stored sideways.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.data.sources import Source
from lepton_solutions.data.splits import CALIBRATION, TEST, TRAIN, VALIDATION
from lepton_solutions.errors import UserError
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.settings import Histories

FAULTS = 21
ONSET = 160  # rows of normal running in a test file
SENSORS = (*(f"xmeas_{i}" for i in range(1, 42)), *(f"xmv_{i}" for i in range(1, 12)))
LABELS = ("normal", *(f"fault {i}" for i in range(1, FAULTS + 1)))
HOURS = 3 / 60  # between two rows
HOME = "http://web.mit.edu/braatzgroup/links.html (TE_process.zip)"
LICENCE = "licence of the University of Illinois Large Scale Systems Research Laboratory (NCSA-style)"
CITE = (
    "L. H. Chiang, E. L. Russell, R. D. Braatz. Fault detection and diagnosis in industrial systems. Springer 2001; "
    "J. J. Downs, E. F. Vogel. Computers & Chemical Engineering 17, 1993."
)
HELD = (0.6, 0.8)  # of a training file: rows before train, up to the second validate, the rest calibrates


def tennessee(data: Histories) -> Fleet:
    """All files; of a training file the first 60 % of rows train, 20 % validate, 20 % calibrate, each as a life."""
    values, label, unit, part = [], [], [], []
    for fault in range(FAULTS + 1):
        rows = read_rows(find(f"d{fault:02d}", data.path))
        edges = [0, *(int(share * len(rows)) for share in HELD), len(rows)]
        for code, begin, end in zip((TRAIN, VALIDATION, CALIBRATION), edges, edges[1:], strict=False):
            values.append(rows[begin:end])
            label.append(np.full(end - begin, fault))
            unit.append(f"d{fault:02d}, rows {begin + 1} to {end}")
            part.append(code)
    for fault in range(FAULTS + 1):
        rows = read_rows(find(f"d{fault:02d}_te", data.path))
        values.append(rows)
        label.append(np.where(np.arange(len(rows)) < ONSET, 0, fault))
        unit.append(f"d{fault:02d}_te")
        part.append(TEST)
    lengths = [len(rows) for rows in values]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    time = np.concatenate([np.arange(n) * HOURS for n in lengths])
    return Fleet(
        name="Tennessee Eastman",
        question="diagnosis",
        sensors=SENSORS,
        values=np.concatenate(values).astype(np.float32),
        time=time,
        starts=starts,
        unit=np.array(unit),
        failed_at=np.full(len(values), np.nan),
        seen_until=time[starts[1:] - 1],
        part=np.array(part, np.int8),
        clock="hours",
        label=np.concatenate(label).astype(np.int64),
        labels=LABELS,
        published_split=True,
        licence=LICENCE,
        cite=CITE,
        notes=("validation and calibration are later stretches of the training files, not other simulations",),
    )


def find(name: str, folder: str | None = None) -> Path:
    """The file of a condition, plain or compressed, in the data root or in `folder`."""
    names = (f"{name}.dat", f"{name}.dat.gz")
    if folder is None:
        sources = [Source("tennessee_eastman", file, HOME, LICENCE, CITE) for file in names]
        return next((source for source in sources if source.find() is not None), sources[0]).fetch()
    home = Path(folder).expanduser()
    for file in names:
        if (home / file).is_file():
            return home / file
    raise UserError(f"data.path={folder}: found no {names[0]} or {names[1]}", hint=f"get the files from {HOME}")


def read_rows(file: Path) -> NDArray[np.float64]:
    """[rows, 52], whichever way the file lies. Raises UserError for one that is not of 52 readings, with the line."""
    try:
        packed = file.read_bytes()
        text = (gzip.decompress(packed) if file.suffix == ".gz" else packed).decode("ascii")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read to its end: {error}") from error
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = [float(word) for word in line.split()]
        except ValueError as error:
            raise UserError(f"{file}, line {number}: expected numbers divided by blanks: {error}") from error
        if found and rows and len(found) != len(rows[0]):
            raise UserError(f"{file}, line {number}: found {len(found)} numbers, expected {len(rows[0])}")
        rows += [found] if found else []
    table = np.array(rows, np.float64)
    sideways = table.ndim == 2 and table.shape[0] == len(SENSORS) != table.shape[1]
    table = table.T if sideways else table
    if table.ndim != 2 or table.shape[1] != len(SENSORS) or not np.isfinite(table).all():
        raise UserError(f"{file}: found a table of {'x'.join(map(str, table.shape))}, expected rows of {len(SENSORS)}")
    return table
