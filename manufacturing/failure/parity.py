"""Does the bundle answer as the trained model did? On test machines, and on what exports get wrong: one row at a time,
readings that are missing, a sensor that fell silent, readings and regimes that training never saw.

The trained side is what was measured: all lives side by side in torch. The other is what a user runs: a stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from lepton_solutions.deploy.parity import Case, Proof, proof_of, refuse_a_difference
from manufacturing.failure.decisions import Decision
from manufacturing.failure.exported import Exported
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.inputs import Steps, features_of, first_rows
from manufacturing.failure.learning import View, answered
from manufacturing.failure.predictor import MachinePredictor
from manufacturing.failure.records import Records
from manufacturing.failure.stream import Stream

TOLERANCE = 1e-4  # of the range of answers: float32 sums in another order, through the steps of a window
LIVES, LONGEST = 60, 1000  # that are compared, and rows of each from its first, or a window
ALONE = 3  # lives that are streamed a row a call
SILENT = 0.2  # share of readings that are taken away


def check_parity(steps: Steps, exported: Exported, predictor: MachinePredictor, test: Fleet) -> Proof:
    """The largest difference as a share of the range of answers, and the flipped decisions, over all cases and in each.
    Raises UserError where they are more than arithmetic explains.
    """
    # The fleet's rows are on the grid already.
    plain = replace(predictor.inputs, grid=None, layout=replace(predictor.inputs.layout, cycle=None))
    as_is = replace(predictor, inputs=plain)
    cases = []
    for name, fleet, together in _fleets(_first(test, max(LONGEST, plain.window))):
        before = trained_answers(steps, exported, plain.window, fleet)
        after = streamed_answers(as_is, fleet, together=together)
        cases.append(_compared(name, predictor.decision, before, after))
    proof = proof_of(cases)
    refuse_a_difference(proof, tolerance=TOLERANCE)
    return proof


def trained_answers(steps: Steps, exported: Exported, window: int, fleet: Fleet) -> NDArray[np.float64]:
    """Of the trained model at the last row of each life, [lives, k]."""
    view = View(fleet, features_of(steps, fleet), torch.from_numpy(first_rows(fleet)), window)
    return answered(exported, view, fleet.last_rows())


def streamed_answers(predictor: MachinePredictor, fleet: Fleet, *, together: bool) -> NDArray[np.float64]:
    """Of a stream at the last row of each life, [lives, k]. together: all lives in a call, else a row a call."""
    stream, names = Stream(predictor), [str(life) for life in fleet.life_of_row()]
    for some in [np.arange(fleet.rows)] if together else np.arange(fleet.rows)[:, None]:
        records = Records(fleet.time[some], fleet.values[some], None, None, where=fleet.name, first_row=1)
        for _ in stream.take([names[row] for row in some], records):
            pass
    slots = np.arange(fleet.lives)
    if together:
        return predictor.outputs(stream.windows(slots))
    return np.concatenate([predictor.outputs(stream.windows(slot)) for slot in slots[:, None]])


def _first(test: Fleet, longest: int) -> Fleet:
    """Some lives, spread over all, each from its first row on."""
    lives = np.unique(np.linspace(0, test.lives - 1, LIVES).round().astype(np.int64))
    few = test.take(lives)
    number = np.arange(few.rows) - first_rows(few)
    rows = np.flatnonzero(number < longest)
    lengths = np.minimum(np.diff(few.starts), longest)
    return replace(
        few,
        values=few.values[rows],
        time=few.time[rows],
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        label=None if few.label is None else few.label[rows],
    )


def _fleets(some: Fleet) -> Iterator[tuple[str, Fleet, bool]]:
    """Each case: its name, the histories, whether they are streamed all at once."""
    draw = np.random.default_rng(0)
    yield "test machines", some, True
    yield "one row a call", some.take(np.arange(min(ALONE, some.lives))), False
    gone = draw.random(some.values.shape) < SILENT
    yield "readings missing", replace(some, values=np.where(gone, np.nan, some.values).astype(np.float32)), True
    silent = some.values.copy()
    silent[:, draw.integers(silent.shape[1])] = np.nan
    yield "a sensor never read", replace(some, values=silent), True
    yield "no reading at all", replace(some, values=np.full_like(some.values, np.nan)), True
    places = [some.sensors.index(name) for name in some.settings]
    if places:
        moved = some.values.copy()
        moved[:, places] = 3 * moved[:, places] + 1
        yield "a new regime", replace(some, values=moved), True
    yield "readings out of range", replace(some, values=some.values * np.float32(1000)), True


def _compared(name: str, decision: Decision, before: NDArray[np.float64], after: NDArray[np.float64]) -> Case:
    scale = max(1.0, float(np.abs(before).max(initial=0)))
    slack = TOLERANCE * scale
    low, high = _words(decision, before - slack), _words(decision, before + slack)
    sure = low == high  # nearer to the line than the tolerance there is no decision to flip
    if decision.question == "diagnosis":
        best = np.sort(before, axis=1)[:, -2:]
        sure = best[:, 1] - best[:, 0] > 2 * slack
    return {
        "case": name,
        "rows": len(before),
        "largest_difference": float(np.abs(before - after).max(initial=0)) / scale,
        "flipped": int(((_words(decision, before) != _words(decision, after)) & sure).sum()),
    }


def _words(decision: Decision, answer: NDArray[np.float64]) -> NDArray[np.str_]:
    found = decision.applied(answer, np.zeros(len(answer)))
    return found["class"] if decision.question == "diagnosis" else found["decision"]
