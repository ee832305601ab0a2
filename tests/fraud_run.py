"""A finished fraud run of a small table of one's own, made once for all tests that look at it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pyarrow as pa
import pyarrow.csv

from finance.fraud.layout import Layout
from finance.fraud.predictor import FraudPredictor
from finance.fraud.prepare import Prepared, read
from finance.fraud.records import raw_rows
from finance.fraud.settings import Fraud, Simulator
from finance.fraud.simulator import simulate
from lepton_solutions.config import read_jobs
from lepton_solutions.data.columns import Columns
from lepton_solutions.data.times import Clock
from lepton_solutions.pipeline import execute
from lepton_solutions.progress import Progress

SMALL = ("fit.epochs=6", "model.members=2", "model.anomaly=[autoencoder]", "model.sequence=5", "decision.budget=5")
NAMES = ("data.time=ts", "data.entity=[card,terminal]", "data.amount=amount", "data.target=fraud")
FURTHER = ("data.id=tx", "data.action=action", "data.declined=[declined]")


@dataclass(frozen=True)
class FraudRun:
    """table: as it was given to the run."""

    settings: Fraud
    folder: Path
    table: pa.Table

    @property
    def predictor(self) -> FraudPredictor:
        return FraudPredictor.open(self.folder)

    @property
    def prepared(self) -> Prepared:
        return read(self.folder)


@cache
def fraud_run() -> FraudRun:
    """Payments of 120 cards in 60 days, learned and judged twice, with a category, a number that is sometimes missing,
    declined rows and rows without an outcome.
    """
    place = Path(mkdtemp(prefix="lepton-fraud-"))
    table = table_of(120, 60)
    pa.csv.write_csv(table, place / "tx.csv")
    periods = ("split.test=7", "split.periods=2")
    asked = [f"data.path={place / 'tx.csv'}", *NAMES, *FURTHER, *SMALL, *periods, f"run.dir={place / 'run'}"]
    (job,) = read_jobs("finance/fraud", asked, multirun=False)
    assert isinstance(job.settings, Fraud)
    return FraudRun(job.settings, execute(job, Progress(quiet=True)), table)


def table_of(cards: int, days: int, *, seed: int = 0) -> pa.Table:
    """Simulated payments as a user's table: ts, amount, card, terminal, tx, fraud, action, channel, age."""
    made = simulate(Simulator(customers=cards, terminals=2 * cards, days=days, night=0.0, spending=0.0, seed=seed))
    entities = {"card": "card", "terminal": "terminal"}
    layout = Layout("ts", "amount", entities, Clock("microseconds", "date"), "tx", "fraud", columns=Columns(()))
    table, draw = raw_rows(made, layout), np.random.default_rng(seed)
    count = len(table)
    age = draw.integers(1, 99, count).astype(float)
    further = {
        "action": pa.array(np.where(draw.random(count) < 0.02, "declined", "approved")),
        "channel": pa.array(draw.choice(["web", "shop", "phone"], count)),
        "age": pa.array(np.where(draw.random(count) < 0.1, np.nan, age), from_pandas=True),
    }
    fraud = pa.array(table.column("fraud").to_numpy(), mask=draw.random(count) < 0.02)
    table = table.set_column(table.column_names.index("fraud"), "fraud", fraud)
    for name, values in further.items():
        table = table.append_column(name, values)
    return table


def records(table: pa.Table) -> list[dict[str, object]]:
    """Rows as a service gets them: times as text."""
    return [{**row, "ts": str(row["ts"])} for row in table.to_pylist()]
