"""Settings of the fraud pipeline as its pages give them, with a few keys changed, and tables to read with them."""

import pyarrow as pa

from finance.fraud.settings import Fraud, Split, TransactionTable
from finance.fraud.sources import Collected, collected_from
from lepton_solutions.config import read_jobs

FOUR = {"time": "ts", "entity": ("card", "terminal"), "amount": "amount", "target": "fraud"}


def fraud(*overrides: str) -> Fraud:
    """`fraud("data=handbook", "seed=1")`."""
    settings = read_jobs("finance/fraud", overrides, multirun=False)[0].settings
    assert isinstance(settings, Fraud)
    return settings


def own(**keys: object) -> TransactionTable:
    """The `data` of a table of one's own, with the four names."""
    return fraud("data=own_transactions").data.model_copy(update=FOUR | keys)


def split(**keys: object) -> Split:
    return fraud().split.model_copy(update=keys)


def rows(n: int = 6, **columns: list[object]) -> pa.Table:
    """n transactions an hour apart, of two cards at three terminals, the last a fraud; columns in their place."""
    plain: dict[str, list[object]] = {
        "ts": [f"2026-03-{1 + i // 24:02d} {i % 24:02d}:00:00" for i in range(n)],
        "card": [f"c{i % 2}" for i in range(n)],
        "terminal": [f"t{i % 3}" for i in range(n)],
        "amount": [f"{10 + i}.50" for i in range(n)],
        "fraud": ["0"] * (n - 1) + ["1"],
    }
    return pa.table(plain | columns)


def read(table: pa.Table, **keys: object) -> Collected:
    """The table as a user's file `tx.csv`."""
    return collected_from(table, own(**keys), where="tx.csv")
