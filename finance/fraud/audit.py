"""Would a live day see these figures? What in transactions, their parts or their features knows the future.

Findings of level "fail" end the run. The features under test are passed in, whatever computes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from finance.fraud.transactions import DAY, NO_OUTCOME, Transactions
from lepton_solutions.data.findings import Finding
from lepton_solutions.data.giveaways import drift, giveaways
from lepton_solutions.data.splits import PARTS

Features = Callable[[Transactions], NDArray[np.floating]]

MOST_ROWS = 200_000  # of a truncation test; more rows cost time and show no more
CUTS = (0.2, 0.5, 0.7, 0.9)  # shares of the rows after which history is cut


def audit(transactions: Transactions, part: NDArray[np.int8], *, target: str) -> list[Finding]:
    """Order of the parts, and the further columns of the data: copies of the target, and shifts from train to test.

    part: int8 [n], an index into `PARTS`, negative for none. target: what messages call the label.
    """
    found = order_of_parts(transactions, part)
    inside = part >= 0
    if transactions.columns.columns and inside.any():
        rows, label = transactions.extras.take(inside), transactions.label[inside]
        found += giveaways(rows, transactions.columns, label, target_name=target)
        found += drift(rows, transactions.columns, part[inside])
    return sorted(found, key=lambda finding: ("fail", "warning", "info").index(finding.level))


def order_of_parts(transactions: Transactions, part: NDArray[np.int8]) -> list[Finding]:
    """Rows of a part that are not later than all rows of the parts before it."""
    found: list[Finding] = []
    latest = None
    for code, name in enumerate(PARTS):
        time = transactions.time[part == code]
        if latest is not None and len(time) and time.min() <= latest:
            early = int((time <= latest).sum())
            message = f"{early:,} rows of the {name} part are not later than the parts before it"
            found.append(Finding("fail", "time", message, rows=early, hint="periods must follow one another in time"))
        if len(time):
            latest = max(time.max(), time.max() if latest is None else latest)
    return found


def audit_truncation(
    transactions: Transactions, features: Features, *, delay: float, names: Sequence[str] = ()
) -> list[Finding]:
    """A failing finding where a feature changes once the future is another; an empty list where none does.

    features: transactions to [n, features], NaN where undefined; each row by what was before it. delay: days until an
    outcome is known. names: of the features, for messages.

    History is cut after several rows, also between rows of one moment, and outcomes that were not known by then are
    turned round; the features of what is left must be equal bit by bit. Of more than `MOST_ROWS` rows, whole cards are
    left out.
    """
    rows = _thinned(transactions)
    whole = features(rows)
    for share in CUTS:
        size = int(share * len(rows))
        if size == 0:
            continue
        kept = rows.take(slice(0, size))
        # Outcomes that nobody knew at the cut are the opposite: hidden, a few would go unnoticed.
        unknown = (kept.seen + round(delay * DAY) > kept.time[-1]) & (kept.label != NO_OUTCOME)
        again = features(replace(kept, label=np.where(unknown, 1 - kept.label, kept.label).astype(np.int8)))
        before = whole[:size]
        same = (before == again) | (np.isnan(before) & np.isnan(again))
        if not same.all():
            return [_knows_the_future(kept, before, again, ~same, names)]
    return []


def _knows_the_future(
    kept: Transactions,
    before: NDArray[np.floating],
    again: NDArray[np.floating],
    other: NDArray[np.bool_],
    names: Sequence[str],
) -> Finding:
    wrong = np.flatnonzero(other.any(axis=0))
    told = [names[i] if i < len(names) else f"feature {i + 1}" for i in wrong[:6]]
    row = int(np.argmax(other[:, wrong[0]]))
    more = f" and {len(wrong) - 6} more" if len(wrong) > 6 else ""
    return Finding(
        "fail",
        "future",
        f"features that change with what came later: {', '.join(f'`{name}`' for name in told)}{more}; transaction "
        f"`{kept.id[row]}` has {before[row, wrong[0]]:.9g} with its future and {again[row, wrong[0]]:.9g} with another",
        columns=tuple(told),
        rows=int(other.any(axis=1).sum()),
        hint="a feature may read what was seen before a transaction, and outcomes that were known by then",
    )


def _thinned(transactions: Transactions) -> Transactions:
    """Whole cards (or whatever the first entity is) over all the time, of about `MOST_ROWS` rows."""
    every = -(-len(transactions) // MOST_ROWS)
    if every <= 1:
        return transactions
    codes = next(iter(transactions.entities.values()), np.arange(len(transactions)))
    return transactions.take(codes % every == 0)
