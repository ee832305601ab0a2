"""A few transactions with everything that can happen to them, and their features counted in the slowest way."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import strategies as st

from finance.fraud.features import Definition
from finance.fraud.transactions import FRAUD, GOOD, HOUR, NO_OUTCOME, UNIT, Transactions
from lepton_solutions.data.columns import Columns, Rows

KINDS = ("card", "terminal", "device")
SMALL = Definition(KINDS, (3, 10, 25), delay=4, pairs=(("card", "terminal"), ("device", "card")), last=3)


def payments(
    time: list[int],
    amount: list[int],
    entities: dict[str, list[int]],
    *,
    wait: list[int] | None = None,
    label: list[int] | None = None,
    declined: list[bool] | None = None,
    ids: list[str] | None = None,
) -> Transactions:
    """Rows in the order of `time`, which they need not have; entities are numbers, named after themselves.

    wait: microseconds from a row's time until others may read it, 0 where not given; label: GOOD where not given.
    """
    count = len(time)
    order = np.argsort(time, kind="stable")
    when = np.array(time, np.int64)
    rows = Transactions(
        id=np.array(ids if ids is not None else [f"t{i}" for i in range(count)], np.str_),
        time=when,
        seen=when + np.array(wait if wait is not None else [0] * count, np.int64),
        amount=np.array(amount, np.int64),
        entities={kind: np.array(codes, np.int64) for kind, codes in entities.items()},
        levels={kind: np.arange(max(codes, default=0) + 1).astype(np.str_) for kind, codes in entities.items()},
        label=np.array(label if label is not None else [0] * count, np.int8),
        declined=np.array(declined if declined is not None else [False] * count, np.bool_),
        extras=Rows(np.empty((count, 0), np.float32), np.empty((count, 0), np.int64)),
        columns=Columns(()),
    )
    return rows.take(order)


def assert_same(found: Transactions, expected: Transactions) -> None:
    """In all but the codes of entities, which are of their own levels."""
    for field in fields(Transactions):
        value = getattr(expected, field.name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(found, field.name), value, err_msg=field.name)
    for kind, codes in expected.entities.items():
        np.testing.assert_array_equal(found.levels[kind][found.entities[kind]], expected.levels[kind][codes])
    np.testing.assert_array_equal(found.extras.numeric, expected.extras.numeric)
    np.testing.assert_array_equal(found.extras.codes, expected.extras.codes)


@st.composite
def any_payments(draw: st.DrawFn, *, most: int = 40, latest: int = 60) -> Transactions:
    """Few entities and instants, so that ties and meetings are common; late `seen`, declined, refunds, no label."""
    count = draw(st.integers(1, most))

    def column(values: st.SearchStrategy) -> list:
        return draw(st.lists(values, min_size=count, max_size=count))

    return payments(
        column(st.integers(0, latest)),
        column(st.one_of(st.sampled_from([0, UNIT]), st.integers(-3_000_000, 9_000_000))),
        {kind: column(st.integers(0, 2)) for kind in KINDS},
        wait=column(st.sampled_from([0, 0, 0, 1, 7])),
        label=column(st.sampled_from([0, 0, 1, NO_OUTCOME])),
        declined=column(st.sampled_from([False, False, True])),
    )


def many_payments(count: int, *, seed: int = 0, every: int = 2) -> Transactions:
    """The same rows for the same seed, `every` microseconds a row on the average, as `any_payments` draws them."""
    draw = np.random.default_rng(seed)
    return payments(
        draw.integers(0, every * count, count).tolist(),
        draw.integers(-3_000_000, 9_000_000, count).tolist(),
        {kind: draw.integers(0, 4, count).tolist() for kind in KINDS},
        wait=draw.choice([0, 0, 0, 1, 7], count).tolist(),
        label=draw.choice([0, 0, 1, NO_OUTCOME], count).tolist(),
        declined=(draw.random(count) < 0.2).tolist(),
    )


def by_hand(rows: Transactions, definition: Definition) -> np.ndarray:
    """The features of every row, from the whole list each time."""
    return np.array([_of_row(rows, i, definition) for i in range(len(rows))])


def _of_row(rows: Transactions, i: int, definition: Definition) -> list[float]:
    time, amount = int(rows.time[i]), int(rows.amount[i]) / UNIT
    clock = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
    hour = clock.hour + clock.minute / 60 + (clock.second + clock.microsecond / 1e6) / 3600
    found = [amount, hour, float(clock.weekday() >= 5), float(clock.hour <= 6)]
    for kind in definition.entities:
        same = [j for j in range(len(rows)) if rows.entities[kind][j] == rows.entities[kind][i]]
        past = [[j for j in same if time - window <= rows.seen[j] < time] for window in definition.windows]
        sums = [sum(int(rows.amount[j]) for j in window) / UNIT for window in past]
        means = [total / len(window) if window else np.nan for total, window in zip(sums, past, strict=True)]
        until = time - definition.delay
        known = [
            [
                int(rows.label[j]) == FRAUD
                for j in same
                if until - window <= rows.seen[j] < until and not rows.declined[j] and rows.label[j] != NO_OUTCOME
            ]
            for window in definition.windows
        ]
        since = time - max(int(rows.seen[j]) for j in past[-1]) if past[-1] else np.nan
        found += [len(window) for window in past] + sums + means + [sum(window) for window in known]
        found += [sum(window) / len(window) if window else np.nan for window in known]
        found += [since / HOUR, amount / means[-1] if means[-1] > 0 else np.nan]
        told = [j for j in same if until - definition.windows[-1] <= rows.seen[j] < until and not rows.declined[j]]
        frauds = [int(rows.seen[j]) for j in told if rows.label[j] == FRAUD]
        good = [int(rows.seen[j]) for j in told if rows.label[j] == GOOD]
        found += [(time - at) / HOUR if frauds else np.nan for at in (max(frauds, default=0), min(frauds, default=0))]
        found.append(sum(at > max(frauds) for at in good) if frauds else np.nan)
    for a, b in definition.pairs:
        same = [j for j in range(len(rows)) if rows.entities[a][j] == rows.entities[a][i]]
        past = [[j for j in same if time - window <= rows.seen[j] < time] for window in definition.windows]
        found += [len({int(rows.entities[b][j]) for j in window}) for window in past]
        found.append(float(all(rows.entities[b][j] != rows.entities[b][i] for j in past[-1])))
    return found + _of_last(rows, i, definition)


def _of_last(rows: Transactions, i: int, definition: Definition) -> list[float]:
    if not definition.last:
        return []
    time, card, found = int(rows.time[i]), rows.entities[definition.entities[0]], []
    outcome = np.where(rows.declined, NO_OUTCOME, rows.label)
    past = [j for j in range(len(rows)) if card[j] == card[i] and time - definition.windows[-1] <= rows.seen[j] < time]
    for j in sorted(past, key=lambda j: (rows.seen[j], rows.amount[j], outcome[j]))[::-1][: definition.last]:
        known = rows.seen[j] < time - definition.delay and outcome[j] != NO_OUTCOME
        found += [rows.amount[j] / UNIT, (time - rows.seen[j]) / HOUR, float(outcome[j]) if known else np.nan]
    return found + [np.nan] * (3 * definition.last - len(found))
