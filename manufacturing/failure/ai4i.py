"""AI4I 2020: 10,000 products of a simulated milling machine, one row each, 3.4 % of them with a failure.

The rules that made the set are published; all but one (the tool that breaks at some time from 200 minutes on) can be
recomputed from the readings, which gives the ceiling that no model passes by much.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from lepton_solutions.data.columns import as_number, as_text
from lepton_solutions.data.sources import Source
from lepton_solutions.errors import UserError, did_you_mean
from manufacturing.failure.fleet import NOT_GIVEN, Fleet
from manufacturing.failure.settings import Histories

AI4I = Source(
    name="ai4i2020",
    file="ai4i2020.csv",
    home="https://archive.ics.uci.edu/dataset/601/ai4i+2020+predictive+maintenance+dataset",
    licence="CC BY 4.0",
    cite="S. Matzka. Explainable artificial intelligence for predictive maintenance applications. AI4I 2020. "
    "doi:10.24432/C5HS5C",
)
LABEL, TYPE = "Machine failure", "Type"
TYPES = ("L", "M", "H")
AIR, PROCESS, SPEED, TORQUE, WEAR = READINGS = (
    "Air temperature [K]",
    "Process temperature [K]",
    "Rotational speed [rpm]",
    "Torque [Nm]",
    "Tool wear [min]",
)
DERIVED = ("power [W]", "strain [min Nm]", "temperature difference [K]")
MODES = ("TWF", "HDF", "PWF", "OSF", "RNF")  # made of the failure itself: they must not be inputs
MEANINGS = {
    DERIVED[0]: "torque times angular speed",
    DERIVED[1]: "tool wear times torque",
    DERIVED[2]: "process temperature above air temperature",
    "TWF": "tool wear failure",
    "HDF": "heat dissipation failure",
    "PWF": "power failure",
    "OSF": "overstrain failure",
    "RNF": "random failure",
} | {f"{TYPE}={level}": f"quality variant {level}" for level in TYPES}
DEFAULT = (*READINGS, *DERIVED, *(f"{TYPE}={level}" for level in TYPES))
STRAIN_LIMITS = (11_000.0, 12_000.0, 13_000.0)  # min Nm, of the variants in the order of `TYPES`


def ai4i(data: Histories) -> Fleet:
    """The published rows, or a file like them that `data.path` names; the three derived sensors are part of it.

    data.sensors: of `DEFAULT`, and of the columns that say which mode failed, for the audit to refuse.
    """
    file = AI4I.fetch() if data.path is None else Path(data.path).expanduser()
    return read_ai4i(file, data.sensors)


def read_ai4i(file: Path, sensors: tuple[str, ...] | None = None) -> Fleet:
    """Raises UserError for a file that is not the set's, and for a sensor it has not."""
    table = _table(file)
    columns = {name: as_number(table.column(name), name=name, where=str(file)) for name in (*READINGS, *MODES, LABEL)}
    kind = np.asarray(as_text(table.column(TYPE)).to_pylist(), dtype=np.str_)
    wrong = ~np.isin(kind, TYPES)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(f"{file}, row {row + 1}, column `{TYPE}`: found `{kind[row]}`, expected L, M or H")
    columns |= dict(zip(DERIVED, derived(*(columns[name] for name in READINGS)), strict=True))
    columns |= {f"{TYPE}={level}": (kind == level).astype(np.float64) for level in TYPES}
    names = DEFAULT if sensors is None else sensors
    for name in names:
        if name not in columns or name == LABEL:
            raise UserError(f"data.sensors={name}: {did_you_mean(name, [*DEFAULT, *MODES])}")
    modes = np.column_stack([columns[name] for name in MODES]) > 0
    rows = len(table)
    return Fleet(
        name="AI4I 2020",
        question="failure",
        sensors=names,
        values=np.column_stack([columns[name] for name in names]).astype(np.float32),
        time=np.zeros(rows),
        starts=np.arange(rows + 1),
        unit=np.array([f"product/{row + 1}" for row in range(rows)]),
        failed_at=np.full(rows, np.nan),
        seen_until=np.zeros(rows),
        part=np.full(rows, NOT_GIVEN, np.int8),
        clock="rows",
        label=columns[LABEL].astype(np.int64),
        labels=("works", "fails"),
        mode=np.where(modes.any(1), modes.argmax(1), NOT_GIVEN),
        modes=MODES,
        licence=AI4I.licence,
        cite=AI4I.cite,
        meanings={name: MEANINGS[name] for name in names if name in MEANINGS},
    )


def derived(
    air: NDArray[np.float64],
    process: NDArray[np.float64],
    speed: NDArray[np.float64],
    torque: NDArray[np.float64],
    wear: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Power in W, strain in min Nm, and temperature difference in K; speed in rpm, torque in Nm, wear in minutes."""
    return torque * speed * (2 * np.pi / 60), wear * torque, process - air


def by_the_rules(fleet: Fleet) -> NDArray[np.bool_]:
    """bool [rows]: which products fail by the published rules that need no luck (Matzka 2020, section III).

    Heat is not carried off below 8.6 K difference and 1,380 rpm; power leaves 3.5 to 9 kW; strain passes the limit of
    the variant. The tool's own failure, at some time between 200 and 240 minutes, and the random one cannot be known.
    """
    of = {name: fleet.values[:, place].astype(np.float64) for place, name in enumerate(fleet.sensors)}
    power, strain, difference = (of[name] for name in DERIVED)
    limit = sum(of[f"{TYPE}={level}"] * limit for level, limit in zip(TYPES, STRAIN_LIMITS, strict=True))
    # The files have a decimal of a kelvin: half of one keeps 8.6 itself on the side of what holds.
    heat = (difference < 8.6 - 0.05) & (of[SPEED] < 1380)
    found: NDArray[np.bool_] = heat | (power < 3500) | (power > 9000) | (strain > limit)
    return found


def _table(file: Path) -> pa.Table:
    try:
        table = csv.read_csv(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{file}: cannot be read as a table: {error}") from error
    for name in (TYPE, LABEL, *READINGS, *MODES):
        if name not in table.schema.names:
            raise UserError(f"{file}: column `{name}` is absent; {did_you_mean(name, table.schema.names)}")
    return table
