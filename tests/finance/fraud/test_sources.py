"""Transactions as they are read: the published ones, and tables with the mistakes that users make."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from fraud_settings import fraud, own, read, rows

from finance.fraud.layout import Layout, transactions_of
from finance.fraud.sources import HANDBOOK, ULB, collect
from finance.fraud.transactions import DAY, FRAUD, GOOD, HOUR, NO_OUTCOME
from lepton_solutions.errors import UserError


def refusal(table: pa.Table, **keys: object) -> str:
    with pytest.raises(UserError) as refused:
        read(table, **keys)
    return str(refused.value)


def test_four_names_are_enough():
    found = read(rows())
    transactions = found.transactions
    assert transactions.amount.tolist() == [1e6 * (10.5 + i) for i in range(6)]
    assert np.diff(transactions.time).tolist() == [HOUR] * 5
    assert transactions.levels["card"][transactions.entities["card"]].tolist() == ["c0", "c1"] * 3
    assert transactions.levels["terminal"][transactions.entities["terminal"]].tolist() == ["t0", "t1", "t2"] * 2
    assert transactions.label.tolist() == [GOOD] * 5 + [FRAUD]
    assert (transactions.seen == transactions.time).all() and not transactions.declined.any()
    assert transactions.id.tolist() == ["1", "2", "3", "4", "5", "6"]
    assert not found.transactions.columns.columns and found.notes == ()


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_every_format_says_the_same(tmp_path, suffix):
    table, place = rows(), tmp_path / f"tx.{suffix}"
    if suffix == "csv":
        pyarrow.csv.write_csv(table, place)
    elif suffix == "parquet":
        typed = table.set_column(0, "ts", table.column("ts").cast(pa.timestamp("ms")))
        typed = typed.set_column(3, "amount", table.column("amount").cast(pa.float64()))
        pyarrow.parquet.write_table(typed.set_column(4, "fraud", table.column("fraud").cast(pa.int8())), place)
    else:
        place.write_text("".join(f"{line}\n".replace("'", '"') for line in table.to_pylist()))
    found, expected = collect(own(path=str(place))).transactions, read(table).transactions
    for name in ("id", "time", "seen", "amount", "label", "declined"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for kind in ("card", "terminal"):
        np.testing.assert_array_equal(found.entities[kind], expected.entities[kind])
        np.testing.assert_array_equal(found.levels[kind], expected.levels[kind])


def test_without_entities_there_are_transactions_all_the_same():
    found = read(rows(), entity=())
    assert len(found.transactions) == 6 and found.transactions.entities == {}
    assert found.transactions.columns.names == ["card", "terminal"]  # what takes no part is a further column


def test_a_layout_is_read_again_as_it_was_written():
    layout = read(rows(mcc=["food", "fuel"] * 3), missing=("-",)).layout
    assert Layout.from_json(layout.to_json()) == layout


def test_rows_out_of_order_are_sorted_and_that_is_said():
    table = rows().take([3, 0, 1, 5, 2, 4])
    found = read(table)
    assert found.transactions.id.tolist() == ["2", "3", "5", "1", "6", "4"]
    assert found.notes == ("4 rows stood below a later one: sorted by `ts`",)


def test_equal_times_keep_the_order_of_the_file():
    table = rows(ts=["2026-03-02"] * 2 + ["2026-03-01"] * 4)
    assert read(table).transactions.id.tolist() == ["3", "4", "5", "6", "1", "2"]


def test_a_transaction_id_that_is_there_twice_is_refused_with_its_rows():
    message = refusal(rows(tx=["a", "b", "c", "b", "e", "f"]), id="tx")
    assert "tx.csv, rows 2 and 4, column `tx`: both hold `b`, expected each id once" in message
    assert "the two rows differ" in message


def test_a_row_that_is_repeated_whole_is_refused_with_and_without_an_id():
    table = rows(tx=["a", "b", "c", "d", "e", "f"])
    twice = pa.concat_tables([table, table.slice(2, 1)])
    assert "rows 3 and 7, column `tx`" in refusal(twice, id="tx")
    assert "equal in every column" in refusal(twice, id="tx")
    message = refusal(twice.drop_columns(["tx"]))
    assert "tx.csv, rows 3 and 7: found two equal transactions" in message
    assert "data.id=COLUMN" in message


def test_two_payments_of_one_moment_that_differ_somewhere_both_stay():
    table = rows(ts=["2026-03-01"] * 6, card=["c"] * 6, terminal=["t"] * 6, mcc=["a", "b", "c", "d", "e", "f"])
    assert len(read(table).transactions) == 6


@pytest.mark.parametrize(
    ("column", "wrong", "message"),
    [
        ("ts", None, "tx.csv, row 3, column `ts`: found nothing, expected a time"),
        ("ts", "soon", "tx.csv, row 3, column `ts`: found `soon`, expected a date"),
        ("amount", None, "tx.csv, row 3, column `amount`: found nothing, expected an amount"),
        ("amount", "ten", "tx.csv, row 3, column `amount`: found `ten`, expected a number"),
        ("amount", "1e13", "the largest in row 3: 1e+13; expected at most 9e+12"),
        ("card", None, "tx.csv, row 3, column `card`: found nothing, expected a name"),
        ("fraud", "2", "tx.csv, row 3, column `fraud`: found `2`, expected 1 (a fraud), 0 (none)"),
        ("fraud", "yes", "found `yes`, expected 1 (a fraud), 0 (none)"),
        ("ts", "2026-03-01T02:00:00Z", "found row 1 `2026-03-01 00:00:00` and row 3 `2026-03-01T02:00:00Z`, expected "),
    ],
)
def test_a_wrong_value_is_refused_by_row_and_column(column, wrong, message):
    table = rows()
    values = table.column(column).to_pylist()
    values[2] = wrong
    assert message in refusal(table.set_column(table.column_names.index(column), column, pa.array(values)))


def test_an_unknown_column_is_told_with_the_nearest():
    message = refusal(rows(), entity=("crad",))
    assert "found no column `crad`, which `data.entity` names; did you mean `card`?" in message


def test_one_column_cannot_be_two_things():
    assert "column `card` is named by `data.id` and by `data.entity`" in refusal(rows(), id="card")


@pytest.mark.parametrize("key", ["time", "amount", "target"])
def test_what_has_to_be_named_is_asked_for(key):
    message = refusal(rows(), **{key: None})
    assert f"which column is `data.{key}`?" in message
    assert "columns: ts, card, terminal, amount, fraud" in message


def test_negative_and_zero_amounts_are_kept_and_counted():
    found = read(rows(amount=["-5", "0", "0.00", "1", "2", "3"]))
    assert found.transactions.amount.tolist() == [-5_000_000, 0, 0, 1_000_000, 2_000_000, 3_000_000]
    assert found.notes == ("amounts below zero: 1 rows, kept as money that went back", "amounts of zero: 2 rows, kept")


def test_outcomes_that_nobody_knows_are_history():
    found = read(rows(fraud=["0", None, "0", "0", "1", "1"]))
    assert found.transactions.label.tolist() == [GOOD, NO_OUTCOME, GOOD, GOOD, FRAUD, FRAUD]
    assert any("1 rows without a `fraud`" in note for note in found.notes)


def test_declined_rows_are_history_without_an_outcome():
    table = rows(action=["ok", "declined", None, "ok", "refused", "ok"])
    found = read(table, action="action", declined=("declined", "refused")).transactions
    assert found.declined.tolist() == [False, True, False, False, True, False]
    assert found.label.tolist() == [GOOD, NO_OUTCOME, GOOD, GOOD, NO_OUTCOME, FRAUD]


def test_a_value_that_no_action_has_is_refused():
    table = rows(action=["ok", "declined"] * 3)
    message = refusal(table, action="action", declined=("decline",))
    assert "no row of `action` holds it; did you mean `declined`?" in message
    assert "found only `data.action`" in refusal(table, action="action")


def test_a_row_may_be_used_from_when_it_is_known_and_never_before_it_happened():
    known = ["2026-03-05", *(f"2026-03-01 {hour:02d}:00:00" for hour in (1, 1, 3, 4, 5))]
    found = read(rows(booked=known), known_at="booked")
    late = found.transactions.seen - found.transactions.time
    assert late.tolist() == [4 * DAY, 0, 0, 0, 0, 0]  # the third says an hour before it happened
    assert any("1 rows are known before they happen, says `booked`" in note for note in found.notes)


def test_future_dates_are_told_against_the_clock_of_this_machine():
    times = [f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}" for days in (-9, -8, -7, -6, -5, 30)]
    (note,) = read(rows(ts=times)).notes
    assert note.startswith(f"1 rows lie in the future by this machine's clock, the first is row 6: {times[5]}")


def test_numbers_are_seconds():
    found = read(rows(ts=[0, 1, 2.5, 3, 4, 5]))
    assert found.transactions.time.tolist() == [0, 1_000_000, 2_500_000, 3_000_000, 4_000_000, 5_000_000]


def test_further_columns_are_read_as_they_look_or_as_asked():
    table = rows(60, mcc=["food", "fuel"] * 30, note=["x"] * 60, risk=[f"{i % 7}.5" for i in range(60)])
    found = read(table)
    assert [(c.name, c.kind, c.levels) for c in found.transactions.columns.columns] == [
        ("mcc", "category", ("food", "fuel")),
        ("risk", "numeric", ()),
    ]
    assert found.transactions.extras.codes[:3, 0].tolist() == [2, 3, 2]
    assert found.notes == ("column `note` is not read: constant: every row holds `x`",)
    assert read(table, kinds={"mcc": "ignore", "risk": "ignore"}).transactions.columns.columns == ()


def test_a_name_of_many_letters_and_one_of_other_alphabets_are_names():
    table = rows(card=["Zürich", "Łódź", "a" * 40, "東京", "", "b"], terminal=["t"] * 6)
    message = refusal(table.set_column(1, "card", pa.array(["Zürich", "Łódź", "a" * 40, "東京", None, "b"])))
    assert "row 5, column `card`" in message
    found = read(rows(card=["Zürich", "Łódź", "a" * 40, "東京", "c", "b"])).transactions
    assert found.levels["card"][found.entities["card"]].tolist() == ["Zürich", "Łódź", "a" * 40, "東京", "c", "b"]


def test_whole_numbers_are_the_same_names_in_every_type():
    layout = read(rows(card=[1, 2, 3, 4, 5, 6])).layout
    as_float = rows(card=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found, _ = transactions_of(as_float, layout)
    assert found.levels["card"].tolist() == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("choice", "key"),
    [("payments", "path=tx.csv"), ("handbook", "path=tx.csv"), ("handbook", "entity=[card]"), ("ulb", "time=ts")],
)
def test_a_key_that_a_set_would_not_look_at_is_refused(choice, key):
    with pytest.raises(UserError, match=rf"data.{key.partition('=')[0]}=.*: found beside"):
        collect(fraud(f"data={choice}", f"data.{key}").data)


def test_the_file_of_ulb_is_read_without_entities(tmp_path):
    place = tmp_path / "creditcard.csv"
    head = ",".join(f'"{name}"' for name in ["Time", *(f"V{i}" for i in range(1, 29)), "Amount", "Class"])
    components = [",".join(f"{i * (k % 10 + 1) % 11 - 5}.25" for k in range(28)) for i in range(60)]
    lines = [f'{i // 2},{components[i]},149.62,"{i % 50 == 7:d}"' for i in range(60)]
    place.write_text("\n".join([head, *lines, lines[-1]]) + "\n")  # one row is there twice, as in the published file
    found = collect(fraud("data=ulb", f"data.path={place}").data)
    assert (found.name, len(found.transactions), found.transactions.entities) == (ULB.name, 61, {})
    assert found.transactions.time[:3].tolist() == [0, 0, 1_000_000]
    assert found.transactions.extras.numeric.shape == (61, 28)
    assert (found.transactions.label == FRAUD).sum() == 2


@pytest.mark.skipif(ULB.find() is not None, reason="the file is here")
def test_without_the_file_of_ulb_it_is_told_where_to_get_it():
    with pytest.raises(UserError, match=r"get it from https://www.kaggle.com/.*creditcard.csv"):
        collect(fraud("data=ulb").data)


@pytest.mark.skipif(HANDBOOK.find() is None, reason="the Handbook's transactions are not on this machine")
def test_the_handbook_is_as_published():
    found = collect(fraud("data=handbook").data)
    transactions = found.transactions
    assert len(transactions) == 1_754_155
    assert (transactions.label == FRAUD).sum() == 14_681
    assert {kind: len(names) for kind, names in transactions.levels.items()} == {"card": 4990, "terminal": 10_000}
    assert transactions.scenario is not None
    assert np.bincount(transactions.scenario)[1:].tolist() == [973, 9_077, 4_631]
    assert (np.diff(transactions.time) >= 0).all()
    # Its first row: 57.16 by customer 596 at terminal 3156, half a minute after midnight.
    assert transactions.amount[0] == 57_160_000
    first = np.datetime64("2018-04-01T00:00:31", "us").astype(np.int64)
    assert transactions.time[0] == first
    names = [transactions.levels[kind][transactions.entities[kind][0]] for kind in ("card", "terminal")]
    assert names == ["596", "3156"]
    assert found.notes == ("amounts of zero: 42 rows, kept",)
