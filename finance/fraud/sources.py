"""Where transactions come from: the Fraud Detection Handbook, ULB's file, the simulator, and the user's own table.

A source is a function of the `data` keys that gives `Collected`; the config names it (`data=handbook`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from finance.fraud.layout import Layout, check_names, transactions_of
from finance.fraud.reading import texts_of
from finance.fraud.settings import TransactionTable
from finance.fraud.transactions import SECOND, Transactions
from lepton_solutions.data.columns import Column, Columns, as_text
from lepton_solutions.data.kinds import infer_kinds
from lepton_solutions.data.sources import Source
from lepton_solutions.data.tables import read_table
from lepton_solutions.data.times import Clock, read_moments
from lepton_solutions.errors import UserError, did_you_mean

HANDBOOK = Source(
    name="fraud_handbook_simulated",
    file="transactions_raw.parquet",
    home="https://github.com/Fraud-Detection-Handbook/simulated-data-raw (183 daily files, as one Parquet file)",
    licence="not stated for the data; the book's text is CC BY-SA 4.0",
    cite=(
        "Y.-A. Le Borgne, W. Siblini, B. Lebichot, G. Bontempi. Reproducible Machine Learning for Credit Card Fraud "
        "Detection - Practical Handbook. ULB, 2022."
    ),
    sha256="8375536b45a07a6946a6b370946115a14e3d552cbc026f03d325644095d852a2",
)
ULB = Source(
    name="ulb_creditcard",
    file="creditcard.csv",
    home="https://www.kaggle.com/datasets/mlg-ulb/creditcardfraud",
    licence="Database Contents License (DbCL) 1.0",
    cite="A. Dal Pozzolo et al. Calibrating probability with undersampling for unbalanced classification. SSCI 2015.",
)
# Keys that say what the columns of a user's table mean.
OF_A_TABLE = (
    "id", "time", "entity", "amount", "target", "known_at", "action", "declined", "kinds", "missing", "encoding",
)  # fmt: skip


@dataclass(frozen=True)
class Collected:
    """Transactions and what is known about them. name: what messages and reports call them."""

    name: str
    transactions: Transactions
    layout: Layout
    notes: tuple[str, ...] = ()
    licence: str | None = None
    cite: str | None = None
    meanings: Mapping[str, str] = field(default_factory=dict)


def collect(data: TransactionTable) -> Collected:
    """The transactions that `data` names. Raises UserError for what cannot be read or meant."""
    found = data.source.resolve()(data)
    if not isinstance(found, Collected):
        raise UserError(f"data.source: `{data.source.target}` gives a {type(found).__name__}, expected Collected")
    return found


def handbook(data: TransactionTable) -> Collected:
    """1,754,155 payments of 4,990 cards at 10,000 terminals, 2018-04-01 to 2018-09-30; 14,681 frauds of three kinds."""
    reject_keys(data, "the Handbook's payments, which are one published file")
    layout = Layout(
        id="TRANSACTION_ID",
        time="TX_DATETIME",
        amount="TX_AMOUNT",
        entities={"card": "CUSTOMER_ID", "terminal": "TERMINAL_ID"},
        target="TX_FRAUD",
        scenario="TX_FRAUD_SCENARIO",
        clock=Clock("microseconds", "date"),
    )
    assert layout.scenario is not None
    columns = [*(name for _, name in layout.roles()), layout.scenario]
    rows, notes = transactions_of(pq.read_table(HANDBOOK.fetch(), columns=columns), layout, where=HANDBOOK.name)
    return Collected(HANDBOOK.name, rows, layout, notes, HANDBOOK.licence, HANDBOOK.cite)


def ulb(data: TransactionTable) -> Collected:
    """284,807 payments of two days in September 2013; 492 frauds. V1 to V28 are principal components; whose card it was
    is not published, and so there are no histories. 1,081 rows are repeated in the file, and stay.
    """
    reject_keys(data, "ULB's payments, whose columns are known", of=OF_A_TABLE)
    path = data.path or str(ULB.fetch())
    table = read_table(path)
    asked = data.model_copy(update={"time": "Time", "amount": "Amount", "target": "Class", "entity": ()})
    layout, left_out = _layout(table, asked, path)
    rows, notes = transactions_of(table, layout, where=path, repeats=True)
    return Collected(ULB.name, rows, layout, (*notes, *left_out), ULB.licence, ULB.cite)


def own(data: TransactionTable) -> Collected:
    """The user's own table, the source of `data=own_transactions`: CSV, Parquet or JSON lines."""
    if data.path is None:
        raise UserError(
            "no transactions: `data=own_transactions` needs the path of a table",
            hint="data.path=tx.csv data.time=ts data.entity=[card,terminal] data.amount=amount data.target=fraud",
        )
    return collected_from(read_table(data.path, encoding=data.encoding, missing=data.missing), data, where=data.path)


def collected_from(table: pa.Table, data: TransactionTable, *, where: str) -> Collected:
    """A table in memory. where: what messages call it."""
    now = int(datetime.now(UTC).timestamp() * SECOND)
    layout, left_out = _layout(table, data, where)
    rows, notes = transactions_of(table, layout, where=where, now=now)
    return Collected(where, rows, layout, (*notes, *left_out))


def reject_keys(data: TransactionTable, beside: str, *, of: tuple[str, ...] = ("path", *OF_A_TABLE)) -> None:
    """Raises UserError where a key of a user's own table is set beside a source that would not look at it."""
    for key in of:
        value = getattr(data, key)
        if value not in (None, (), {}):
            raise UserError(
                f"data.{key}={value}: found beside {beside}",
                hint="without `data=`, or with data=own_transactions, a file of your own is read",
            )


def _layout(table: pa.Table, data: TransactionTable, where: str) -> tuple[Layout, list[str]]:
    """How the user's table is read, and which columns are not, with the reason."""
    present = table.column_names
    for key in ("time", "amount", "target"):
        if getattr(data, key) is None:
            raise UserError(f"{where}: which column is `data.{key}`?", hint=f"data.{key}=COLUMN; {_columns(present)}")
    assert data.time is not None and data.amount is not None
    layout = Layout(
        id=data.id,
        time=data.time,
        amount=data.amount,
        entities={name: name for name in data.entity},
        target=data.target,
        known_at=data.known_at,
        action=data.action,
        declined=data.declined,
        clock=Clock("microseconds", "date"),
        missing=data.missing,
    )
    check_names(layout.roles(), present, where)
    _check_declined(table, data, where)
    clock = read_moments(table.column(data.time), name=data.time, where=where)[0]
    skip = {name for _, name in layout.roles()} - {data.amount}
    # The amount goes along, so that something is left where a table has no further columns.
    kinds = infer_kinds(table, overrides={data.amount: "numeric", **data.kinds}, skip=skip, where=where)
    extras = [_with_levels(column, table) for column in kinds.columns.columns if column.name != data.amount]
    told = [f"column `{name}` is not read: {reason}" for name, reason in kinds.ignored.items() if name != data.amount]
    return replace(layout, clock=clock, columns=Columns(tuple(extras))), told


def _with_levels(column: Column, table: pa.Table) -> Column:
    """Every value a level of its own; which of them a model knows, the train part says later."""
    if column.kind == "numeric":
        return column
    return replace(column, levels=tuple(texts_of(table.column(column.name))[1].tolist()))


def _check_declined(table: pa.Table, data: TransactionTable, where: str) -> None:
    if (data.action is None) != (not data.declined):
        raise UserError(
            "`data.action` names the column that says what was done, `data.declined` its values that mean declined: "
            f"found only `data.{'declined' if data.action is None else 'action'}`",
            hint="data.action=action data.declined=[declined]",
        )
    if data.action is not None:
        values = [str(value) for value in as_text(table.column(data.action)).unique().drop_null().to_pylist()]
        for word in data.declined:
            if word not in values:
                near = did_you_mean(word, values)
                raise UserError(f"{where}: data.declined={word}: no row of `{data.action}` holds it; {near}")


def _columns(names: list[str]) -> str:
    return "columns: " + ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
