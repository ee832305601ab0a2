"""CWRU: vibration records of ball bearings with a fault of a known place and size, at four loads (MATLAB files).

A record is a life whose rows are samples. There are few bearings: nine with a fault, one without. Two questions are
asked of them. `by_load` tells the nine faults apart at a load that was not seen, an easy one, since the same physical
bearing is in both parts. `by_size` asks where the fault is, of bearings whose size of fault was never seen.
"""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.data.sources import Source
from lepton_solutions.data.splits import CALIBRATION, TEST, TRAIN, VALIDATION
from lepton_solutions.errors import UserError
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.settings import Histories

RATE = 12_000  # samples a second
TURN = 400  # samples a turn that a record is brought to; about what RATE is
HOME = "https://engineering.case.edu/bearingdatacenter/download-data-file"
LICENCE = (
    "no licence text; made public by the Case Western Reserve University Bearing Data Center, which asks for "
    "acknowledgement"
)
CITE = "Case Western Reserve University Bearing Data Center; protocol after Smith and Randall, MSSP 64-65, 2015"
PLACES, SIZES = ("inner", "ball", "outer"), ("0.007", "0.014", "0.021")
FIRST = {  # number of the record at load 0 of each (place, size in inches); the next three are loads 1 to 3
    ("inner", "0.007"): 105, ("inner", "0.014"): 169, ("inner", "0.021"): 209,
    ("ball", "0.007"): 118, ("ball", "0.014"): 185, ("ball", "0.021"): 222,
    ("outer", "0.007"): 130, ("outer", "0.014"): 197, ("outer", "0.021"): 234,
}  # fmt: skip
LOADS = (0, 1, 2, 3)
RATED_RPM = (1797, 1772, 1750, 1730)  # at each load, for a file that does not say
SENSORS = {
    "DE": "acceleration at the drive end, g",
    "load": "load of the motor, hp",
    "rpm": "speed of the shaft, rpm",
}


@dataclass(frozen=True)
class Record:
    """One file. place: None without a fault. signal: float32 [samples], g, at `RATE`."""

    number: int
    place: str | None
    size: str | None
    load: int
    rpm: float
    signal: NDArray[np.float32]

    @property
    def bearing(self) -> str:
        """The physical bearing: its place and size of fault."""
        return "normal" if self.place is None else f"{self.place} {self.size}"


def by_load(data: Histories) -> Fleet:
    """Which of nine faults: loads 0 and 1 train, 2 validates and calibrates, 3 tests. Called easy."""
    found = faults(data.path)
    label = np.array([PLACES.index(str(r.place)) * len(SIZES) + SIZES.index(str(r.size)) for r in found])
    part = np.array([(TRAIN, TRAIN, _held(r), TEST)[r.load] for r in found], np.int8)
    return as_fleet(
        found,
        name="CWRU bearings by load",
        label=label,
        labels=tuple(f"{place} {size}" for place in PLACES for size in SIZES),
        unit=[f"{r.bearing}, {r.load} hp" for r in found],
        part=part,
        notes=("easy: the same physical bearings are in every part, at other loads",),
    )


def by_size(data: Histories, left_out: str = "0.021") -> Fleet:
    """Where the fault is: bearings of two sizes train, those of the third test.

    left_out: the size of the test bearings, in inches.
    """
    found = faults(data.path)
    part = np.array([TEST if r.size == left_out else (TRAIN, TRAIN, VALIDATION, CALIBRATION)[r.load] for r in found])
    return as_fleet(
        found,
        name=f"CWRU bearings by size, {left_out} inch left out",
        label=np.array([PLACES.index(str(r.place)) for r in found]),
        labels=PLACES,
        unit=[r.bearing if r.size == left_out else f"{r.bearing}, {r.load} hp" for r in found],
        part=part.astype(np.int8),
        notes=(
            f"the three test bearings ({left_out} inch) are in no other part; validation and calibration are loads of "
            "bearings that also train, so that what is measured there is too good",
        ),
    )


def _held(record: Record) -> int:
    """Of a load that is held back, the calibration half: those of which place and size count to an odd number."""
    odd = (PLACES.index(str(record.place)) + SIZES.index(str(record.size))) % 2
    return CALIBRATION if odd else VALIDATION


def faults(folder: str | None = None) -> list[Record]:
    """The 36 records with a fault, by place, size and load."""
    return [
        read_record(find(first + load, folder), place=place, size=size, load=load)
        for (place, size), first in FIRST.items()
        for load in LOADS
    ]


def normal(folder: str | None = None) -> Record:
    """The record without a fault, which is there at load 0 only."""
    return read_record(find(97, folder), place=None, size=None, load=0)


def find(number: int, folder: str | None = None) -> Path:
    """The file of a record, plain or compressed, in the data root or in `folder`."""
    names = (f"{number}.mat", f"{number}.mat.gz")
    if folder is None:
        sources = [Source("cwru_bearing", name, HOME, LICENCE, CITE) for name in names]
        return next((source for source in sources if source.find() is not None), sources[0]).fetch()
    home = Path(folder).expanduser()
    for name in names:
        if (home / name).is_file():
            return home / name
    raise UserError(f"data.path={folder}: found no {names[0]} or {names[1]}", hint=f"get the records from {HOME}")


def read_record(file: Path, *, place: str | None, size: str | None, load: int) -> Record:
    """A MATLAB file with `X<number>_DE_time` and, in most, `X<number>RPM`. Raises UserError that names the file, for
    one that is damaged or holds no such signal.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    number = int(file.name.partition(".")[0])
    try:
        packed = file.read_bytes()
        content = loadmat(io.BytesIO(gzip.decompress(packed) if file.suffix == ".gz" else packed))
    # scipy raises what its parser stumbles over: wrong bytes are a length, a type or an index that cannot be.
    except (
        OSError,
        EOFError,
        zlib.error,
        MatReadError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        NotImplementedError,
    ) as error:
        raise UserError(
            f"{file}: cannot be read as a MATLAB file: {error}", hint=f"get it once more from {HOME}"
        ) from error
    name = f"X{number:03d}_DE_time"
    if name not in content:
        known = ", ".join(key for key in content if not key.startswith("__"))
        raise UserError(f"{file}: holds no `{name}`, the acceleration at the drive end; it holds {known or 'nothing'}")
    signal = np.asarray(content[name], np.float64).ravel()
    if not np.isfinite(signal).all() or len(signal) < RATE:
        raise UserError(f"{file}, `{name}`: expected a second or more of finite samples, found {len(signal):,}")
    rpm = content.get(f"X{number:03d}RPM")
    speed = float(np.asarray(rpm).ravel()[0]) if rpm is not None else float(RATED_RPM[load])
    return Record(number, place, size, load, speed, signal.astype(np.float32))


def by_angle(record: Record) -> NDArray[np.float32]:
    """The signal at even steps of the shaft's angle, `TURN` a turn: what returns with the turning stays in place at
    every load. The speed is that of the whole record.
    """
    from scipy.signal import resample

    length = round(len(record.signal) / RATE * record.rpm / 60 * TURN)
    turned: NDArray[np.float32] = resample(record.signal.astype(np.float64), length).astype(np.float32)
    return turned


def as_fleet(
    records: list[Record],
    *,
    name: str,
    label: NDArray[np.int64],
    labels: tuple[str, ...],
    unit: list[str],
    part: NDArray[np.int8],
    notes: tuple[str, ...] = (),
) -> Fleet:
    """label, unit, part: of each record."""
    signals = [by_angle(record) for record in records]
    lengths = np.array([len(signal) for signal in signals])
    time = np.concatenate([np.arange(n) / TURN for n in lengths])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    settings = np.array([(r.load, r.rpm) for r in records], np.float32)
    return Fleet(
        name=name,
        question="diagnosis",
        sensors=tuple(SENSORS),
        values=np.column_stack([np.concatenate(signals), np.repeat(settings, lengths, axis=0)]),
        time=time,
        starts=starts,
        unit=np.array(unit),
        failed_at=np.full(len(records), np.nan),
        seen_until=time[starts[1:] - 1],
        part=part,
        clock="turns",
        label=np.repeat(label.astype(np.int64), lengths),
        labels=labels,
        settings=("load", "rpm"),
        vibration=True,
        licence=LICENCE,
        cite=CITE,
        meanings=SENSORS,
        notes=notes,
    )
