"""Raw rows are read as in training, and put back as they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from fraud_settings import read, rows
from small_payments import assert_same

from finance.fraud.layout import Layout
from finance.fraud.records import content_ids, joined, raw_rows, read_raw
from lepton_solutions.data.columns import UNSEEN
from lepton_solutions.data.times import Clock

COUNT = 8
FURTHER: dict[str, list[object]] = {
    "tx": [f"t{i}" for i in range(COUNT)],
    "known": ["2026-03-02 00:00:00", *["2026-03-01 00:00:00"] * (COUNT - 1)],
    "action": ["declined", *["approved"] * (COUNT - 1)],
    "channel": ["web", "shop"] * (COUNT // 2),
    "age": [1.5, None, 3, 4, 5, 6, 7, 8],
}
ROLES = {"id": "tx", "known_at": "known", "action": "action", "declined": ("declined",)}


@pytest.fixture
def table() -> pa.Table:
    return rows(COUNT, **FURTHER)


def layout_of(table: pa.Table, **roles: object) -> Layout:
    return read(table, **(ROLES | {"kinds": {"channel": "category", "age": "numeric"}} | roles)).layout


@pytest.mark.parametrize("clock", [Clock("microseconds", "date"), Clock("microseconds", "date", "Z")])
def test_raw_rows_are_read_as_what_they_were_made_of(table, clock):
    layout = layout_of(table)
    expected, place = read_raw(table, layout)
    assert place.tolist() == list(range(COUNT))
    dated = replace(layout, clock=clock)
    assert_same(read_raw(raw_rows(expected, dated), dated)[0], expected)


def test_seconds_and_levels_never_seen_survive(table):
    layout = replace(layout_of(table), clock=Clock("microseconds", "number"))
    expected, _ = read_raw(table, layout_of(table))
    expected.extras.codes[0] = UNSEEN
    assert_same(read_raw(raw_rows(expected, layout), layout)[0], expected)


def test_rows_are_sorted_by_time_and_their_places_kept(table):
    order = np.random.default_rng(0).permutation(COUNT)
    expected, _ = read_raw(table, layout_of(table))
    found, place = read_raw(table.take(pa.array(order)), layout_of(table))
    assert_same(found, expected)
    assert order[place].tolist() == list(range(COUNT))


def test_an_id_of_the_content_changes_with_all_that_is_read_but_the_outcome(table):
    layout = layout_of(table, id=None)
    ids = content_ids(read_raw(table, layout)[0])
    assert len(set(ids)) == COUNT
    for name, value in {"amount": "9.5", "card": "c9", "ts": "2026-03-01 09:00:00", "channel": "x", "age": 70}.items():
        changed = rows(COUNT, **{**FURTHER, name: [value, *table.column(name).to_pylist()[1:]]})
        assert set(content_ids(read_raw(changed, layout)[0])) & set(ids) == set(ids[1:]), name
    told = table.drop_columns(["fraud"])
    np.testing.assert_array_equal(content_ids(read_raw(told, layout)[0]), ids)


def test_two_pieces_that_overlap_are_joined_to_the_whole(table):
    layout = layout_of(table)
    whole, _ = read_raw(table, layout)
    before, after = read_raw(table.slice(0, 5), layout)[0], read_raw(table.slice(3), layout)[0]
    assert_same(joined(before, after), whole)
