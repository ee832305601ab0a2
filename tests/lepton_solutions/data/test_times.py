"""Times of a table on one clock."""

import numpy as np
import pyarrow as pa
import pytest

from lepton_solutions.data.times import NO_MOMENT, read_moments, read_times
from lepton_solutions.errors import UserError


def test_numbers_stay_what_they_are():
    clock, times = read_times(pa.array(["1", "2.5"]), name="t", unit="cycles")
    assert (clock.unit, times.tolist()) == ("cycles", [1, 2.5])


def test_a_zone_is_taken_into_account():
    _, here = read_times(pa.array(["1970-01-01T02:00:00+02:00"]), name="t")
    assert here.tolist() == [0.0]


@pytest.mark.parametrize("other", ["2026-01-01T01:00:00+01:00", "2026-01-01T01:00:00"])
def test_mixed_time_zones_are_refused_by_row(other):
    with pytest.raises(UserError, match=r"a.csv, column `t`: found row 1 `.*Z` and row 3 .*one time zone"):
        read_times(pa.array(["2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z", other]), name="t", where="a.csv")


def test_two_spellings_of_utc_are_one_zone():
    _, times = read_times(pa.array(["1970-01-01T00:00:00Z", "1970-01-01T01:00:00+00:00"]), name="t")
    assert times.tolist() == [0, 1]


def test_a_date_without_a_time_of_day_names_no_zone():
    clock, times = read_times(pa.array(["1970-01-02", "1970-01-03"]), name="t")
    assert (clock.zone, times.tolist()) == ("", [24, 48])


@pytest.mark.parametrize("wrong", ["yesterday", "2026-13-01", "24.11.2026"])
def test_what_is_no_date_is_refused_by_row(wrong):
    with pytest.raises(UserError, match=f"row 2, column `t`: found `{wrong}`"):
        read_times(pa.array(["2026-01-01", wrong, "2026-01-03"]), name="t")


def test_a_parquet_column_of_another_zone_is_the_same_moment():
    column = pa.array([0], pa.timestamp("s", "Europe/Berlin"))
    clock, times = read_times(column, name="t")
    assert (clock.zone, times.tolist()) == ("Europe/Berlin", [0])
    assert clock.told(36.5) == "1970-01-02 12:30 UTC"


def test_moments_are_exact_to_the_microsecond():
    """Hours since 1970 in floating point no longer tell microseconds apart from 2060 on."""
    texts = ["2018-04-01T00:00:31.000001", "2099-12-31T23:59:59.999999", None]
    clock, moments = read_moments(pa.array(texts), name="t")
    stamps = np.array(texts[:2], "datetime64[us]").astype(np.int64)
    assert moments.tolist() == [*stamps.tolist(), NO_MOMENT]
    assert clock.told(float(moments[0])) == "2018-04-01 00:00"


def test_numbers_read_as_moments_are_seconds():
    clock, moments = read_moments(pa.array([0.0, 1.5, None]), name="t")
    assert (clock.kind, moments.tolist()) == ("number", [0, 1_500_000, NO_MOMENT])
    assert clock.told(1_500_000) == "1.5"


def test_seconds_that_64_bits_cannot_hold_are_refused():
    with pytest.raises(UserError, match=r"row 2, column `t`: found 1.7e.15, expected seconds"):
        read_moments(pa.array([1, 1_700_000_000_000_000]), name="t")
