"""The first stage: whose readings there are, when each machine failed, how machines are split, and whether it leaks.

Source, split, audit. Nothing about the readings is learned here: what is, comes from the train part in `train`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.data.findings import failures
from lepton_solutions.data.splits import PARTS
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json, write_text
from lepton_solutions.reporting.run import Record
from manufacturing.failure.fleet import NOT_GIVEN, Fleet, Question
from manufacturing.failure.layout import Layout
from manufacturing.failure.parts import split_fleet
from manufacturing.failure.settings import Failure

ROWS, SAMPLES = 40, 8192  # of a window, where the config leaves it open
ARRAYS, FACTS, AUDIT = "fleet.npz", "data.json", "audit.json"


class PartFacts(Record):
    """One part. failures: lives whose failure is known. labels: rows of each label."""

    units: int
    lives: int
    rows: int
    failures: int
    labels: list[int]


class Card(Record):
    """`data.json`: what is known of the fleet beside its arrays. question: the one that is asked, never `auto`.

    layout: how new rows are read, see `layout.Layout`; grid: width of its cells on the clock, None where there is none.
    rows: before and after them.
    """

    source: str
    question: Question
    sensors: list[str]
    settings: list[str]
    clock: str
    labels: list[str]
    modes: list[str]
    grid: float | None
    layout: dict[str, object]
    units: int
    lives: int
    rows: int
    parts: dict[str, PartFacts]
    published_split: bool
    vibration: bool
    cap: float | None
    licence: str | None
    cite: str | None
    meanings: dict[str, str]
    notes: list[str]

    def read_layout(self) -> Layout:
        """How new rows are read."""
        return Layout.from_json(self.layout)


def prepare(settings: Failure, run: Path, out: Path, collected: tuple[Fleet, Layout | None] | None = None) -> None:
    """Histories, parts and audit; a failing audit ends the run, and `audit.json` stays to say why.

    collected: the histories themselves and how their table is read, instead of those that `data` names.
    """
    from manufacturing.failure.audit import audit
    from manufacturing.failure.sources import collect

    fleet, layout = collect(settings.data) if collected is None else collected
    question = question_of(fleet, settings.question)
    split = split_fleet(fleet, settings.data, question, np.random.default_rng(settings.seed))
    fleet = replace(split.fleet, question=question, notes=(*fleet.notes, *split.notes))
    if fleet.vibration:
        fleet = _asked_by_window(fleet, window_of(settings, fleet))
    findings = audit(fleet)
    write_fleet(fleet, out, layout=layout, grid=settings.data.grid if layout is not None else None)
    write_json(out / AUDIT, [finding.to_json() for finding in findings])
    error = failures(findings)
    if error is not None:
        (out / AUDIT).replace(run / AUDIT)
        raise UserError(f"{fleet.name}: {error.message}", hint=error.hint)


def window_of(settings: Failure, fleet: Fleet) -> int:
    """Rows that the network looks back over."""
    return settings.inputs.window or (1 if fleet.single else SAMPLES if fleet.vibration else ROWS)


def _asked_by_window(fleet: Fleet, window: int) -> Fleet:
    """Labels at the last samples of half overlapping windows alone: neighbours say the same. Raises UserError where a
    vibration has no label.
    """
    if fleet.label is None or fleet.question == "health":
        raise UserError(
            f"question={fleet.question}: {fleet.name} is a vibration, of which labels are learned",
            hint="data.label=NAME with question=diagnosis or failure",
        )
    number = np.arange(fleet.rows) - np.repeat(fleet.starts[:-1], np.diff(fleet.starts))
    last = ((number + 1) % max(1, window // 2) == 0) & (number + 1 >= window)
    return replace(fleet, label=np.where(last, fleet.label, NOT_GIVEN))


def question_of(fleet: Fleet, asked: str) -> Question:
    """What is asked of the fleet. Raises UserError where its failures and labels cannot answer it."""
    question: Question = fleet.question if asked == "auto" else asked  # type: ignore[assignment]
    failed = int(np.isfinite(fleet.failed_at).sum())
    if question == "diagnosis" and fleet.label is None:
        raise UserError(
            f"question=diagnosis: {fleet.name} has no label",
            hint="data.label names the column that says which fault a row shows",
        )
    if question == "rul" and not failed:
        raise UserError(
            f"question=rul: {fleet.name} has no failure, and remaining life is learned from machines that failed",
            hint="question=health needs none: it learns what healthy readings look like"
            + (f"; or the labels answer question={fleet.question}" if fleet.label is not None else ""),
        )
    if question == "failure" and not failed and (fleet.label is None or len(fleet.labels) != 2):
        found = "no failure" if fleet.label is None else f"{len(fleet.labels)} labels"
        raise UserError(
            f"question=failure: {fleet.name} has {found}, expected machines that failed, or a label of two values",
            hint="question=health" if fleet.label is None else "question=diagnosis tells several labels apart",
        )
    return question


def write_fleet(fleet: Fleet, folder: Path, *, layout: Layout | None = None, grid: float | None = None) -> None:
    """`fleet.npz` and `data.json`. layout, grid: of a table of the user's own."""
    arrays: dict[str, NDArray[np.generic]] = {
        "values": fleet.values,
        "time": fleet.time,
        "starts": fleet.starts,
        "unit": fleet.unit,
        "failed_at": fleet.failed_at,
        "seen_until": fleet.seen_until,
        "part": fleet.part,
    }
    arrays |= {} if fleet.label is None else {"label": fleet.label}
    arrays |= {} if fleet.mode is None else {"mode": fleet.mode}
    np.savez(folder / ARRAYS, **arrays)  # type: ignore[arg-type]  # numpy's stub means its own keywords
    layout = layout or Layout.of_sensors(
        fleet.sensors, unit=None if fleet.single else "unit", time=None if fleet.single else "time", clock=fleet.clock
    )
    assert layout.sensors == fleet.sensors  # new rows are read in the order that was learned: indicators last
    card = Card(
        source=fleet.name,
        question=fleet.question,
        sensors=list(fleet.sensors),
        settings=list(fleet.settings),
        clock=fleet.clock,
        labels=list(fleet.labels),
        modes=list(fleet.modes),
        grid=grid,
        layout=layout.to_json(),
        units=len(np.unique(fleet.unit)),
        lives=fleet.lives,
        rows=fleet.rows,
        parts={name: _facts(fleet.of_part(code)) for code, name in enumerate(PARTS) if (fleet.part == code).any()},
        published_split=fleet.published_split,
        vibration=fleet.vibration,
        cap=fleet.cap,
        licence=fleet.licence,
        cite=fleet.cite,
        meanings=dict(fleet.meanings),
        notes=list(fleet.notes),
    )
    write_text(folder / FACTS, json.dumps(card.model_dump(mode="json"), indent=1) + "\n")


def read_card(folder: Path) -> Card:
    """`data.json` of a run."""
    return Card.model_validate_json((folder / FACTS).read_text(encoding="utf-8"))


def read_fleet(folder: Path) -> Fleet:
    """The fleet that `write_fleet` wrote."""
    card = read_card(folder)
    with np.load(folder / ARRAYS, allow_pickle=False) as saved:
        arrays = {name: saved[name] for name in saved.files}
    return Fleet(
        name=card.source,
        question=card.question,
        sensors=tuple(card.sensors),
        clock=card.clock,
        labels=tuple(card.labels),
        modes=tuple(card.modes),
        settings=tuple(card.settings),
        published_split=card.published_split,
        vibration=card.vibration,
        cap=card.cap,
        licence=card.licence,
        cite=card.cite,
        meanings=card.meanings,
        notes=tuple(card.notes),
        **arrays,
    )


def _facts(part: Fleet) -> PartFacts:
    labels = [] if part.label is None else np.bincount(part.label[part.label >= 0], minlength=len(part.labels)).tolist()
    return PartFacts(
        units=len(np.unique(part.unit)),
        lives=part.lives,
        rows=part.rows,
        failures=int(np.isfinite(part.failed_at).sum()),
        labels=labels,
    )
