"""The Handbook's 15 features twice: by pandas' rolling windows as its chapter 3.4 makes them, and by our histories.

Both are for `lepton bench fraud`. The first is written anew after the book's text: the rows of each customer and of
each terminal are put in order, windows roll over their times, and the answers go back to the rows.
Source: Le Borgne et al. 2022, "Baseline feature transformation".
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from finance.fraud.features import Definition, Floats, names
from finance.fraud.history import histories
from finance.fraud.transactions import DAY, FRAUD, UNIT, Transactions

WINDOWS, DELAY = (1, 7, 30), 7  # days
CARDS = Definition(("card",), tuple(w * DAY for w in WINDOWS), delay=DELAY * DAY)
# A terminal's rows are counted up to the delay: what lies between two windows that end at the row.
TERMINALS = Definition(
    ("terminal",), tuple(sorted({w * DAY for w in (*WINDOWS, DELAY, *(DELAY + w for w in WINDOWS))})), delay=DELAY * DAY
)
COLUMNS = (
    "amount", "weekend", "night",
    *(f"card: {what}, {w} d" for w in WINDOWS for what in ("count", "mean")),
    *(f"terminal: {what}, {w} d" for w in WINDOWS for what in ("count", "risk")),
)  # fmt: skip


def by_pandas(rows: Transactions) -> Floats:
    """float64 [n, 15] of `COLUMNS`, in the order of the rows. Windows hold the row itself and not their far end."""
    frame = pd.DataFrame(
        {
            "number": np.arange(len(rows)),
            "at": rows.time.astype("datetime64[us]"),
            "card": rows.entities["card"],
            "terminal": rows.entities["terminal"],
            "amount": rows.amount / UNIT,
            "fraud": (rows.label == FRAUD).astype(np.int64),
        }
    )
    frame["weekend"] = frame["at"].apply(lambda at: int(at.weekday() >= 5))
    frame["night"] = frame["at"].apply(lambda at: int(at.hour <= 6))
    # The key is no column within its groups.
    frame = frame.groupby("card")[list(frame.columns)].apply(_spending)
    frame = frame.sort_values("at").reset_index(drop=True)
    frame = frame.groupby("terminal")[list(frame.columns)].apply(_risk)
    found: Floats = frame.sort_values("number")[list(COLUMNS)].to_numpy(np.float64)
    return found


def _spending(rows: pd.DataFrame) -> pd.DataFrame:
    """How often and how much a customer paid."""
    rows = rows.sort_values("at")
    amount = rows.set_index("at")["amount"]
    for days in WINDOWS:
        window = amount.rolling(f"{days}D")
        total, count = window.sum(), window.count()
        rows[f"card: count, {days} d"] = count.to_numpy()
        rows[f"card: mean, {days} d"] = (total / count).to_numpy()
    return rows


def _risk(rows: pd.DataFrame) -> pd.DataFrame:
    """The share of frauds at a terminal, up to the delay before each row."""
    rows = rows.sort_values("at")
    fraud = rows.set_index("at")["fraud"]
    late = fraud.rolling(f"{DELAY}D")
    late_frauds, late_count = late.sum(), late.count()
    for days in WINDOWS:
        window = fraud.rolling(f"{DELAY + days}D")
        frauds, count = window.sum() - late_frauds, window.count() - late_count
        rows[f"terminal: count, {days} d"] = count.to_numpy()
        rows[f"terminal: risk, {days} d"] = (frauds / count).fillna(0).to_numpy()
    return rows


def by_histories(rows: Transactions) -> Floats:
    """The same from `histories`, whose windows hold their far end and not the row itself: rows that were made exactly
    a window ago, or by the same card in the same instant, are counted otherwise.
    """
    cards, terminals = histories(rows, CARDS), histories(rows, TERMINALS)
    card = dict(zip(names(CARDS), cards.T, strict=True))
    terminal = dict(zip(names(TERMINALS), terminals.T, strict=True))
    found = [card["amount"], card["weekend"], card["night"]]
    for days in WINDOWS:
        count = card[f"card: count, {days} d"] + 1
        found += [count, (card[f"card: sum, {days} d"] + card["amount"]) / count]
    for days in WINDOWS:
        seen = terminal[f"terminal: count, {DELAY + days} d"] - terminal[f"terminal: count, {DELAY} d"]
        found += [seen, np.nan_to_num(terminal[f"terminal: known fraud rate, {days} d"])]
    return np.stack(found, axis=1)
