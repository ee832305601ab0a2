"""How many rows a second a stream takes in through the exported networks, and what it keeps of a machine.

Machines of FD001's sensors, by names and dicts as a user gives them; weights are random, which costs the same. The
network is the config's own, and the process is given two threads.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lepton_solutions import bundle
from lepton_solutions.bench import Cell, Row
from lepton_solutions.config import read_settings
from manufacturing.failure.bounds import Bound
from manufacturing.failure.decisions import Decision
from manufacturing.failure.exported import Exported
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.inputs import Steps, fit_scaling
from manufacturing.failure.layout import Layout
from manufacturing.failure.learning import form_of
from manufacturing.failure.networks import new_network
from manufacturing.failure.predictor import PIPELINE, MachinePredictor
from manufacturing.failure.records import Inputs, Seen
from manufacturing.failure.release import sources_of, write_model
from manufacturing.failure.settings import Failure
from manufacturing.failure.stream import Stream
from manufacturing.failure.train import suited

TASK = "stream"
UNITS, MEMBERS, THREADS = 1000, 5, 2
WARM, ROUNDS = 3, 20  # calls of `update_many` before the clock starts, and timed
CALLS = 2000  # of `update`
SINGLE = f"one network, {UNITS:,} machines a call"
ENSEMBLE = f"ensemble of {MEMBERS}, {UNITS:,} machines a call"
ALONE = "one network, one row a call"
CELLS = [Cell(TASK, name, 0) for name in (SINGLE, ENSEMBLE, ALONE)]

ABOUT = """
- Streams: `update_many` with a row of each of 1,000 machines as dicts by column name, answers as dicts; median of 20
  calls on two threads. Weights are random; the network is the config's.
"""


def measure(task: str, model: str, seed: int) -> dict[str, object]:
    """Rows a second, milliseconds a call, and bytes kept of a machine."""
    stream, sensors = _stream(MEMBERS if model == ENSEMBLE else 1, seed)
    draw, units = np.random.default_rng(seed), [f"engine {number}" for number in range(UNITS)]
    taken, together = [], 1 if model == ALONE else UNITS
    for cycle in range(WARM + (CALLS if model == ALONE else ROUNDS)):
        values = draw.normal(size=(together, len(sensors))).tolist()
        rows: list[Mapping[str, object]] = [{"time": cycle, **dict(zip(sensors, one, strict=True))} for one in values]
        start = time.perf_counter()
        if model == ALONE:
            stream.update(units[0], rows[0])
        else:
            stream.update_many(units, rows)
        taken.append(time.perf_counter() - start)
    median = float(np.median(taken[WARM:]))
    return {
        "rows_per_second": together / median,
        "milliseconds_a_call": 1000 * median,
        "bytes_per_machine": stream.bytes_per_unit,
    }


def rows(records: Mapping[Cell, Mapping[str, object]]) -> list[Row]:
    """Of the cells that are measured."""
    metrics = ("rows_per_second", "milliseconds_a_call", "bytes_per_machine")
    return [
        Row(
            TASK,
            cell.model,
            True,
            metric,
            float(str(records[cell][metric])),
            None,
            None,
            1,
            None,
            None,
            "measured here",
        )
        for cell in CELLS
        if cell in records
        for metric in metrics
    ]


def conclusions(records: Mapping[Cell, Mapping[str, object]]) -> str:
    """In a sentence."""
    found = {cell.model: records[cell] for cell in CELLS if cell in records}
    if len(found) < len(CELLS):
        return ""
    rate = {name: float(str(one["rows_per_second"])) for name, one in found.items()}
    return (
        f"A stream takes in {rate[SINGLE]:,.0f} rows a second of {UNITS:,} machines through one network, "
        f"{rate[ENSEMBLE]:,.0f} through an ensemble of {MEMBERS}, and {rate[ALONE]:,.0f} a row a call; it keeps "
        f"{float(str(found[SINGLE]['bytes_per_machine'])) / 1000:.1f} kB of a machine, however long that runs."
    )


def _stream(members: int, seed: int) -> tuple[Stream, tuple[str, ...]]:
    """A stream of the config's network on 14 sensors, and their names."""
    settings = read_settings(PIPELINE, ["data=cmapss_fd001"], Failure)
    sensors = tuple(settings.data.sensors or ())
    draw = np.random.default_rng(seed)
    fleet = Fleet(
        name="noise",
        question="rul",
        sensors=sensors,
        values=draw.normal(size=(400, len(sensors))).astype(np.float32),
        time=np.tile(np.arange(200.0), 2),
        starts=np.array([0, 200, 400]),
        unit=np.array(["1", "2"]),
        failed_at=np.array([200.0, 200.0]),
        seen_until=np.array([200.0, 200.0]),
        part=np.zeros(2, np.int8),
    )
    settings = suited(settings, fleet)
    steps = Steps(fit_scaling(fleet, settings.inputs)).eval()
    form = form_of(settings, steps.scaling, 1)
    exported = Exported([new_network(form, seed + number) for number in range(members)], "rul", 125.0).eval()
    inputs = Inputs(
        question="rul",
        layout=Layout.of_sensors(sensors, unit="unit", time="time", clock=fleet.clock),
        seen=tuple(Seen(-10.0, 10.0, 0.0) for _ in sensors),
        regimes=None,
        window=form.window,
        sources=sources_of(steps.scaling),
        first=tuple(steps.first(1)[0].tolist()),
        grid=None,
        clock=fleet.clock,
    )
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_model(place, steps, exported, inputs, Decision("rul", 0.9, 0.0, 30.0, Bound(0.2, 12.5)))
        bundle.seal(place, pipeline=PIPELINE)
        return MachinePredictor.open(place, threads=THREADS).stream(), sensors
