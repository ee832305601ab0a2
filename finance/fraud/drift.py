"""Do payments still look as they did when the model learned? Columns and score by week, and how much is fraud."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from finance.fraud.budget import Floats
from finance.fraud.prepare import Prepared
from finance.fraud.transactions import DAY, FRAUD, NO_OUTCOME, Whole
from lepton_solutions.data.columns import Columns, Rows
from lepton_solutions.data.giveaways import stability
from lepton_solutions.data.splits import PARTS, TEST, TRAIN
from lepton_solutions.metrics import BINS, mass_edges

WEEK = 7 * DAY
MOST = 100_000  # rows of a part, evenly spread, that a comparison reads; more do not move it


def drift(
    prepared: Prepared,
    columns: Columns,
    rows: Mapping[int, Rows],
    score: Callable[[int, Whole], Floats],
    *,
    reach: int,
) -> dict[str, Any]:
    """PSI of the score and of each column against the train period, over the test period and by week.

    rows: of each part, in the order of time. score: of a part's rows at these positions. reach: microseconds that
    histories look back at most.
    """
    begin = prepared.card.parts["train"].begin
    some = {part: np.arange(0, len(found), max(1, -(-len(found) // MOST))) for part, found in rows.items()}
    week = {part: _weeks(prepared, part)[some[part]] for part in rows}
    taken = {part: rows[part].take(some[part]) for part in rows}
    numeric = [column.name for column in columns.numeric]
    moved = [
        _moved(name, {part: taken[part].numeric[:, place] for part in rows}, week) for place, name in enumerate(numeric)
    ]
    moved += [
        _moved(column.name, {part: taken[part].codes[:, place] for part in rows}, week, codes=True)
        for place, column in enumerate(columns.categories)
    ]
    first = prepared.transactions.time[0] // DAY * DAY
    return {
        "weeks": [
            {"part": PARTS[part], "begin": float((low - begin) / DAY), "end": float((high - begin) / DAY)}
            for part in rows
            for low, high in _ends(prepared, part)
        ],
        "score": _moved("score", {part: score(part, some[part]) for part in rows}, week),
        "columns": sorted(moved, key=lambda one: -one["psi"]),
        "fraud_rate": fraud_rate(prepared),
        "filling": max(0.0, float((reach - (begin - first)) / DAY)),
    }


def fraud_rate(prepared: Prepared) -> list[dict[str, float]]:
    """Payments with an outcome and frauds among them, by week from the train to the test period."""
    parts, rows = prepared.card.parts, prepared.transactions
    begin, end = parts["train"].begin, parts["test"].end
    inside = (rows.time >= begin) & (rows.time < end) & (rows.label != NO_OUTCOME)
    number = (rows.time[inside] - begin) // WEEK
    size = -(-(end - begin) // WEEK)
    counts = np.bincount(number, minlength=size)
    frauds = np.bincount(number[rows.label[inside] == FRAUD], minlength=size)
    return [
        {"begin": 7.0 * place, "rows": int(count), "frauds": int(stolen)}
        for place, (count, stolen) in enumerate(zip(counts, frauds, strict=True))
        if count
    ]


def _ends(prepared: Prepared, part: int) -> list[tuple[int, int]]:
    """Begin and end of each week of a part; the last may be shorter."""
    period = prepared.card.parts[PARTS[part]].period
    return [(low, min(low + WEEK, period.end)) for low in range(period.begin, period.end, WEEK)]


def _weeks(prepared: Prepared, part: int) -> Whole:
    """[n], which week of its part a row is in."""
    period = prepared.card.parts[PARTS[part]].period
    return (prepared.transactions.time[prepared.rows(part)] - period.begin) // WEEK


def _moved(
    name: str, values: Mapping[int, NDArray[Any]], week: Mapping[int, Whole], *, codes: bool = False
) -> dict[str, Any]:
    """values: of each part [n]; numbers, NaN where missing, or codes."""
    edges: Sequence[float] | NDArray[np.float64] = ()
    if not codes:
        before = values[TRAIN].astype(np.float64)
        seen = before[~np.isnan(before)]
        edges = mass_edges(seen, np.ones(len(seen)), BINS) if len(seen) else ()
    bins = {part: found if codes else _binned(found, edges) for part, found in values.items()}
    size = int(max(found.max(initial=0) for found in bins.values())) + 1
    counts = {part: np.bincount(found, minlength=size) for part, found in bins.items()}
    psi, compared = stability(counts[TRAIN], counts[TEST])
    chance = chi2.ppf(0.999, max(compared - 1, 1)) * (1 / counts[TRAIN].sum() + 1 / counts[TEST].sum())
    weekly = []
    for part, found in bins.items():
        for number in range(int(week[part].max(initial=0)) + 1):
            some = np.bincount(found[week[part] == number], minlength=size)
            weekly.append(stability(counts[TRAIN], some)[0] if some.any() else 0.0)
    return {"name": name, "psi": psi, "chance": float(chance), "weekly": weekly}


def _binned(values: NDArray[Any], edges: Sequence[float] | NDArray[np.float64]) -> Whole:
    """0 for a missing value, else from 1 on by the deciles of the train rows."""
    place = np.searchsorted(np.asarray(edges, np.float64), values.astype(np.float64)) + 1
    return np.where(np.isnan(values.astype(np.float64)), 0, place)
