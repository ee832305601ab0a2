"""What is done about an answer, learned on machines held back: the bound, the service line, the alarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lepton_solutions.data.splits import CALIBRATION, TRAIN, VALIDATION
from lepton_solutions.training.calibrate import platt
from manufacturing.failure.alarms import alarm_line, watched_to_failure
from manufacturing.failure.bounds import fit_bound
from manufacturing.failure.decisions import Decision, Floats, hazards, log_odds
from manufacturing.failure.fleet import Fleet, Question
from manufacturing.failure.policy import cheapest_line
from manufacturing.failure.settings import Failure
from manufacturing.failure.targets import bins_of

MOST = 100  # lives of the train part that the service line is set on


def fit_decisions(
    settings: Failure,
    question: Question,
    fleet: Fleet,
    answers: Mapping[str, Floats],
    *,
    cap: float | None,
    horizon: float | None,
) -> dict[str, Decision]:
    """For each variant. fleet: train, validation and calibration machines; answers: [rows, k], of every row of it.

    The bound is of calibration machines alone, as simple models are chosen on validation machines; curve and alarm of
    both; the service line is the more cautious of theirs and that of train machines.
    """
    held = np.flatnonzero(fleet.part != TRAIN)
    rows = np.flatnonzero((fleet.part != TRAIN)[fleet.life_of_row()])
    found = {}
    for name, answer in answers.items():
        decision = _fitted(settings, question, fleet.take(held), answer[rows], cap=cap, horizon=horizon)
        if question in ("rul", "failure") and fleet.label is None:
            decision = replace(decision, line=_line(settings, decision, fleet, answer))
        found[name] = decision
    return found


def lives_to_decide_on(fleet: Fleet) -> Fleet:
    """Machines held back, and up to 100 lives of the train part, spread over it."""
    train = np.flatnonzero(fleet.part == TRAIN)
    some = train[np.unique(np.linspace(0, len(train) - 1, min(len(train), MOST)).astype(np.int64))]
    held = np.flatnonzero((fleet.part == VALIDATION) | (fleet.part == CALIBRATION))
    return fleet.take(np.sort(np.concatenate([some, held])))


def _fitted(
    settings: Failure, question: Question, held: Fleet, answer: Floats, *, cap: float | None, horizon: float | None
) -> Decision:
    prices = settings.decision
    fitted = Decision(question, prices.coverage, prices.lead, None, horizon=horizon, labels=held.labels)
    if question == "rul":
        remaining, life = held.remaining(), held.life_of_row()
        rows = np.flatnonzero(np.isfinite(remaining) & (held.part == CALIBRATION)[life])
        machine = np.unique(held.unit, return_inverse=True)[1][life[rows]]
        actual = np.minimum(remaining[rows], np.inf if cap is None else cap)
        fitted = replace(fitted, bound=fit_bound(answer[rows, 0], actual, machine, prices.coverage))
    elif question == "failure":
        fitted = _curved(fitted, held, answer)
    else:
        return fitted
    return replace(fitted, alarm=alarm_line(held, fitted.urgency(answer), horizon, prices.false_alarms))


def _curved(plain: Decision, held: Fleet, answer: Floats) -> Decision:
    """Platt's curve over bins whose outcome is known, so that lives that did not end in a failure count as far as they
    go; for products with a label, the line of the best F1.
    """
    happened = bins_of(held, plain.horizon, answer.shape[1])
    known = ~np.isnan(happened)
    event, curved = happened[known], plain
    if 0 < event.sum() < len(event):
        slope, intercept = platt(log_odds(hazards(answer))[known], event, np.ones(len(event)))
        curved = replace(plain, slope=slope, intercept=intercept)
    if held.label is None:
        return curved
    return replace(curved, line=best_f1(curved.probability(answer)[known[:, -1], -1], event))


def _line(settings: Failure, decision: Decision, fleet: Fleet, answer: Floats) -> float | None:
    """What `Decision.line` is of the cheapest rule.

    Machines held back are few, and none of them may have failed early; those of the train part are answered too well.
    Either makes a line too bold, and a failure is dearer than a service: the more cautious of the two is kept.
    """
    urgency = decision.urgency(answer)
    if decision.question == "failure":  # in log-odds, where machines before their failure are spread about evenly
        urgency = log_odds(urgency)
    whole = watched_to_failure(fleet) | ~np.isfinite(fleet.failed_at)
    lines = []
    for part in (fleet.part == TRAIN, fleet.part != TRAIN):
        lives, rows = np.flatnonzero(part & whole), np.flatnonzero((part & whole)[fleet.life_of_row()])
        if len(lives):
            lines.append(cheapest_line(fleet.take(lives), urgency[rows], settings.decision, horizon=decision.horizon))
    line = min(lines, default=np.inf)
    if not np.isfinite(line):
        return None
    return float(-line if decision.question == "rul" else 1 / (1 + np.exp(-line)))


def best_f1(probability: Floats, happened: Floats) -> float:
    """The threshold of the best F1, halfway to the next probability below; of equals the largest.

    >>> best_f1(np.array([0.1, 0.4, 0.8]), np.array([0.0, 1.0, 1.0]))
    0.25
    """
    order = np.argsort(-probability, kind="stable")
    score, hit = probability[order], np.cumsum(happened[order])
    called = np.arange(1, len(score) + 1)
    f1 = 2 * hit / (called + happened.sum())
    last = np.append(np.diff(score) < 0, True)  # no line runs between equal scores
    place = int(np.argmax(np.where(last, f1, -1)))
    below = score[place + 1] if place + 1 < len(score) else 0.0
    return float((score[place] + below) / 2)
