"""A dict is read as the row of a table that it would be, or left to the table."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_payments import assert_same

from finance.fraud.layout import Layout
from finance.fraud.plain import PlainReader
from finance.fraud.records import read_raw
from lepton_solutions.data.columns import Column, Columns
from lepton_solutions.data.tables import read_table
from lepton_solutions.data.times import Clock
from lepton_solutions.errors import UserError

FURTHER = Columns(
    (Column("age", "numeric"), Column("channel", "category", ("web", "1", "true", "Zürich")), Column("risk", "numeric"))
)
ROW: dict[str, object] = {
    "ts": "2026-03-01 06:30:00", "amount": 12.5, "card": "c1", "shop": "s9", "tx": "4711", "known": "2026-03-01 07:00",
    "fraud": 0, "action": "ok", "age": 40, "channel": "web", "risk": None,
}  # fmt: skip


def layout(zone: str = "", *, number: bool = False, missing: tuple[str, ...] = ()) -> Layout:
    clock = Clock("microseconds", "number" if number else "date", zone)
    entities, declined = {"card": "card", "terminal": "shop"}, ("declined", "5")
    return Layout(
        "ts", "amount", entities, clock, "tx", "fraud", "known", "action", declined, columns=FURTHER, missing=missing
    )


blank = st.sampled_from(["", " ", "\t", "\u00a0", "\u2003", "\x1f"])
padded = st.builds("{}{}{}".format, blank, st.sampled_from(["c1", "NA", "1.0", "-7.00", "tRue", "FALſE", "nan"]), blank)
number_text = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.decimals(-1000, 1000, places=2).map(str),
    st.sampled_from(["1_000", "٣", "1,5", ".5", "inf", "-1", "-1.0", "1e400", "NaN"]),
)
nothing = st.sampled_from([None, float("nan"), "", "NA", "?", "gone"])
numbers = st.one_of(
    st.floats(), st.integers(), st.integers(-3, 3), st.booleans(), number_text, st.floats(-100, 100), nothing
)
texts = st.one_of(st.text(max_size=4), padded, st.sampled_from(["web", "Zürich", "x" * 200]), numbers, nothing)
zones = st.sampled_from(["", "Z", "z", "+00:00", "-00:00", "+0000", "+01:00", "-05", "+01:60", "+24:00", " +01:00"])
moments = st.one_of(
    st.datetimes(timezones=st.sampled_from([None, UTC, ZoneInfo("Europe/Berlin")])),
    st.builds(
        lambda at, form, zone: at.strftime(form) + zone,
        st.datetimes(datetime(1000, 1, 1)),
        st.sampled_from(["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y-%m-%d %H"]),
        zones,
    ),
    st.sampled_from(["2026-02-30 00:00", "2026-03-01 24:00", "2026-03-01 06:30:60", "2026-03-01 06:30:00.1234567"]),
    number_text,
    numbers,
)
layouts = st.builds(
    layout,
    st.sampled_from(["", "", "Z", "+01:00", "Europe/Berlin"]),
    number=st.sampled_from([False, False, True]),
    missing=st.sampled_from([(), ("-1", "gone", " - ")]),
)
kinds: dict[str, st.SearchStrategy] = {
    "ts": moments, "known": moments, "amount": numbers, "age": numbers, "risk": numbers,
    "card": texts, "shop": texts, "tx": texts, "channel": texts,
    "action": st.sampled_from(["ok", "declined", "declined ", 5, 5.0, None]),
    "fraud": st.sampled_from([0, 1, True, "1", "1.0", " TRUE", "false", 2, "yes", None, float("nan")]),
    "note": st.sampled_from(["one of ours knows nothing of", 3, None, [1, 2], {"a": 1}, b"x", 2**70, object()]),
}  # fmt: skip


def on_the_clock(row: dict[str, object], layout: Layout) -> dict[str, object]:
    """With times as the layout's table has them."""
    if layout.clock.kind == "number":
        return row | {"ts": 1_772_346_600.25, "known": 1_772_346_600}
    zone = "Z" if layout.clock.zone == "Europe/Berlin" else layout.clock.zone
    return row | {name: f"{row[name]}{zone}" for name in ("ts", "known")}


@st.composite
def changed_rows(draw: st.DrawFn, most: int) -> tuple[list[dict[str, object]], Layout]:
    """Plain rows with up to three values changed, and at times a column less."""
    asked, rows = draw(layouts), []
    for _ in range(draw(st.integers(1, most))):
        names = draw(st.lists(st.sampled_from(sorted(kinds)), max_size=3, unique=True))
        row = on_the_clock(ROW, asked) | {name: draw(kinds[name]) for name in names}
        gone = draw(st.sampled_from([*ROW, *[None] * 60]))
        rows.append({name: value for name, value in row.items() if name != gone})
    return rows, asked


def assert_read_alike(records: list[dict[str, object]], layout: Layout) -> None:
    """The table may answer or refuse (and then says why); what is plain has to be its answer."""
    found = PlainReader(layout).read(records)
    if found is not None:
        expected, place = read_raw(records, layout)
        assert_same(found[0], expected)
        assert found[1].tolist() == place.tolist()


@settings(max_examples=500, deadline=None)
@given(changed_rows(most=1))
def test_a_dict_is_read_as_a_table_of_one_row(given):
    assert_read_alike(*given)


@settings(max_examples=300, deadline=None)
@given(changed_rows(most=4))
def test_dicts_are_read_as_a_table_of_them(given):
    assert_read_alike(*given)


@pytest.mark.parametrize("name", [None, *ROW])
def test_a_sum_over_the_row_names_it_as_it_does_in_a_table(name):
    bare = {key: value for key, value in ROW.items() if key != "tx"}
    assert_read_alike([bare if name is None else {**bare, name: None}], layout())


@pytest.mark.parametrize(
    "value",
    [{}, {"ts": datetime(2026, 3, 1)}, {"ts": "2026-03-01T06:30:00.25"}, {"amount": "12.50"}, {"amount": 7},
     {"card": 4711}, {"card": "Zürich Süd"}, {"card": 2**60 + 1}, {"age": "NA"}, {"age": float("nan")}, {"age": True},
     {"channel": None}, {"channel": True}, {"channel": "never seen"}, {"fraud": None}, {"note": object()}],
)  # fmt: skip
def test_what_a_program_usually_sends_needs_no_table(value):
    assert_read_alike([ROW | value], layout())
    assert PlainReader(layout()).read([ROW | value]) is not None


def test_texts_are_read_as_those_of_a_file(tmp_path):
    """Where every value is text, the table is what a CSV file holds."""
    row = {name: "" if value is None else str(value) for name, value in ROW.items()}
    (tmp_path / "tx.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    found = PlainReader(layout()).read([row])
    assert found is not None
    assert_same(found[0], read_raw(read_table(str(tmp_path / "tx.csv")), layout())[0])


def test_a_parquet_zone_takes_dates_of_any_zone_but_not_without_one():
    """The rule of `read_moments` for a clock that a Parquet column named."""
    for given_zone, allowed in (("Z", True), ("+01:00", True), ("", False)):
        rows = [{**ROW, "ts": f"2026-03-01T06:30:00{given_zone}", "known": f"2026-03-01T06:30:00{given_zone}"}]
        assert (PlainReader(layout("Europe/Berlin")).read(rows) is not None) == allowed
        if not allowed:
            with pytest.raises(UserError, match="expected dates in the time zone Europe/Berlin"):
                read_raw(rows, layout("Europe/Berlin"))
