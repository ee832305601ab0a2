"""NASA's C-MAPSS: simulated turbofan engines that ran to failure, four sets FD001 to FD004 in three text files each.

A line is 26 numbers: engine, cycle, 3 settings, 21 sensors. The files may be compressed (`.txt.gz`) and lie in the data
root, or in the folder that `data.path` names.

    >>> from manufacturing.failure.cmapss import MEANINGS
    >>> MEANINGS["s11"]
    'static pressure at the outlet of the high-pressure compressor, psia'
"""

from __future__ import annotations

import gzip
import warnings
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.data.sources import Source
from lepton_solutions.data.splits import TEST, TRAIN
from lepton_solutions.errors import UserError
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.settings import Histories

SETTINGS = {
    "setting_1": "altitude, 1,000 feet",
    "setting_2": "Mach number",
    "setting_3": "throttle resolver angle, degrees",
}
MEANINGS = SETTINGS | {  # Saxena et al. 2008, table 2
    "s1": "total temperature at the fan inlet, degrees Rankine",
    "s2": "total temperature at the outlet of the low-pressure compressor, degrees Rankine",
    "s3": "total temperature at the outlet of the high-pressure compressor, degrees Rankine",
    "s4": "total temperature at the outlet of the low-pressure turbine, degrees Rankine",
    "s5": "pressure at the fan inlet, psia",
    "s6": "total pressure in the bypass duct, psia",
    "s7": "total pressure at the outlet of the high-pressure compressor, psia",
    "s8": "physical fan speed, rpm",
    "s9": "physical core speed, rpm",
    "s10": "engine pressure ratio",
    "s11": "static pressure at the outlet of the high-pressure compressor, psia",
    "s12": "ratio of fuel flow to s11, pps per psi",
    "s13": "corrected fan speed, rpm",
    "s14": "corrected core speed, rpm",
    "s15": "bypass ratio",
    "s16": "burner fuel-air ratio",
    "s17": "bleed enthalpy",
    "s18": "demanded fan speed, rpm",
    "s19": "demanded corrected fan speed, rpm",
    "s20": "coolant bleed of the high-pressure turbine, lbm/s",
    "s21": "coolant bleed of the low-pressure turbine, lbm/s",
}
CAP = 125.0  # Heimes 2008, and all who compare themselves since: before it, nothing of a failure can be seen
COLUMNS = 2 + len(MEANINGS)
HOME = (
    "https://www.nasa.gov/intelligent-systems-division/discovery-and-systems-health/pcoe/pcoe-data-set-repository/ "
    "(6. Turbofan Engine Degradation Simulation)"
)
LICENCE = "open data of NASA, a work of the U.S. Government"
CITE = (
    "A. Saxena, K. Goebel, D. Simon, N. Eklund. Damage propagation modeling for aircraft engine run-to-failure "
    "simulation. PHM 2008."
)


def _source(file: str) -> Source:
    return Source(name="cmapss", file=file, home=HOME, licence=LICENCE, cite=CITE)


CMAPSS_FD001, CMAPSS_FD002, CMAPSS_FD003, CMAPSS_FD004 = (
    _source(f"train_FD00{number}.txt" + ".gz" * (_source(f"train_FD00{number}.txt").find() is None))
    for number in range(1, 5)
)


def fd001(data: Histories) -> Fleet:
    """100 engines to learn from, 100 to be judged on; one condition, one fault."""
    return _read("FD001", data)


def fd002(data: Histories) -> Fleet:
    """260 engines to learn from, 259 to be judged on; six conditions, one fault."""
    return _read("FD002", data)


def fd003(data: Histories) -> Fleet:
    """100 engines to learn from, 100 to be judged on; one condition, two faults."""
    return _read("FD003", data)


def fd004(data: Histories) -> Fleet:
    """249 engines to learn from, 248 to be judged on; six conditions, two faults."""
    return _read("FD004", data)


def _read(name: str, data: Histories) -> Fleet:
    fleet = cmapss(name, data.path)
    return fleet if data.sensors is None else fleet.reading(data.sensors)


def cmapss(name: str, folder: str | None = None) -> Fleet:
    """One set. Engines of the train file ran until they failed, at their last cycle; those of the test file were cut
    before, and `RUL_*.txt` says how many cycles they had left.

    folder: where the files lie, None for the data root. Raises UserError for an absent or damaged file, with the line.
    """
    train, cut = (_engines(_found(f"{part}_{name}.txt", folder)) for part in ("train", "test"))
    left_file = _found(f"RUL_{name}.txt", folder)
    left = _numbers(left_file, 1)[:, 0]
    if len(left) != len(cut[1]) - 1:
        raise UserError(
            f"{left_file}: found {len(left):,} remaining lives, expected one for each of the {len(cut[1]) - 1:,} "
            f"engines of test_{name}.txt"
        )
    table = np.concatenate([train[0], cut[0]])
    starts = np.concatenate([train[1], len(train[0]) + cut[1][1:]])
    lives = (len(train[1]) - 1, len(left))
    last = table[starts[1:] - 1, 1]
    return Fleet(
        name=f"C-MAPSS {name}",
        question="rul",
        sensors=tuple(MEANINGS),
        values=table[:, 2:].astype(np.float32),
        time=table[:, 1].copy(),
        starts=starts,
        unit=np.array([f"{part}/{i + 1}" for part, n in zip(("train", "test"), lives, strict=True) for i in range(n)]),
        failed_at=last + np.concatenate([np.zeros(lives[0]), left]),
        seen_until=last,
        part=np.repeat(np.array([TRAIN, TEST], np.int8), lives),
        clock="cycles",
        settings=tuple(SETTINGS),
        published_split=True,
        cap=CAP,
        licence=LICENCE,
        cite=CITE,
        meanings=MEANINGS,
    )


def _found(file: str, folder: str | None) -> Path:
    if folder is None:
        packed = _source(f"{file}.gz")
        return packed.fetch() if packed.find() is not None else _source(file).fetch()
    home = Path(folder).expanduser()
    for place in (home / file, home / f"{file}.gz"):
        if place.is_file():
            return place
    beside = sorted(entry.name for entry in home.glob("*.txt*")) if home.is_dir() else []
    raise UserError(
        f"data.path={folder}: found no {file} or {file}.gz, expected a folder with NASA's text files",
        hint=f"it holds {', '.join(beside[:12])}" if beside else f"get them from {HOME}",
    )


def _engines(file: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The lines as numbers [rows, 26], and where each engine starts, [engines + 1]."""
    table = _numbers(file, COLUMNS)
    engine, cycle = table[:, 0], table[:, 1]
    begins = np.append(True, engine[1:] != engine[:-1])
    starts = np.append(np.flatnonzero(begins), len(table)).astype(np.int64)
    expected = np.where(begins, 1, np.append(0, cycle[:-1]) + 1)
    for wrong, found, wanted in ((cycle != expected, cycle, expected), (engine != np.cumsum(begins), engine, None)):
        if wrong.any():
            row = int(np.argmax(wrong))
            what = (
                f"cycle {found[row]:g} of engine {engine[row]:g}, expected cycle {wanted[row]:g}"
                if wanted is not None
                else (f"engine {found[row]:g}, expected engine {int(np.cumsum(begins)[row])}")
            )
            raise UserError(
                f"{file}, line {row + 1}: found {what}", hint="engines and cycles count from 1, without gaps"
            )
    return table, starts


def _numbers(file: Path, columns: int) -> NDArray[np.float64]:
    """A text file of numbers divided by blanks, [lines, columns]."""
    try:
        packed = file.read_bytes()
        text = (gzip.decompress(packed) if file.suffix == ".gz" else packed).decode("ascii")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read to its end: {error}") from error
    lines = text.rstrip().splitlines()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's way to say that it met a word
        flat = np.fromstring(text, sep=" ")  # four times as fast as `float` on each word
    # Every line is looked at: a number lost in one line and gained in the next would shift all between.
    whole = len(flat) == columns * len(lines) and all(len(line.split()) == columns for line in lines)
    if lines and whole and np.isfinite(flat).all():
        return flat.reshape(-1, columns)
    for number, line in enumerate(lines, 1):
        found = line.split()
        if len(found) != columns or not all(map(_is_number, found)):
            raise UserError(f"{file}, line {number}: found `{line.strip()[:60]}`, expected {columns} numbers")
    raise UserError(f"{file}: the file is empty, expected lines of {columns} numbers")


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False
