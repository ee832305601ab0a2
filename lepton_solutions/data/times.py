"""Times of a table on one clock: dates become hours and numbers stay what they are, or both whole microseconds.

>>> clock, hours = read_times(pa.array(["1970-01-02", "1970-01-02 12:30"]), name="ts")
>>> clock.unit, hours.tolist()
('hours', [24.0, 36.5])
>>> read_moments(pa.array(["1970-01-02", "1970-01-02 12:30"]), name="ts")[1].tolist()
[86400000000, 131400000000]
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lepton_solutions.data.columns import as_number, is_number_text, is_text, plain_values
from lepton_solutions.errors import UserError

HOUR = 3_600_000_000  # in microseconds, in which dates are read
NO_MOMENT = np.iinfo(np.int64).min  # where a moment is missing
MOST_SECONDS = 9e12  # that fit as microseconds into 64 bits
_ZONE = r"(?P<zone>[Zz]|[+-]\d\d:?\d\d)$"
_DATED = r"^\d{4}-\d\d-\d\d"


@dataclass(frozen=True)
class Clock:
    """unit: of the numbers. kind: how a table writes its times. zone: what dates end in (`Z`, `+01:00`, the name of a
    Parquet column's zone), "" where they name none.
    """

    unit: str
    kind: Literal["number", "date"]
    zone: str = ""

    def told(self, time: float) -> str:
        """A time as a reader of the table would write it; numbers read as moments are seconds.

        >>> Clock("hours", "date").told(36.5)
        '1970-01-02 12:30'
        """
        if self.kind == "number":
            return f"{time / 1e6:.10g}" if self.unit == "microseconds" else f"{time:.6g}"
        since = timedelta(microseconds=time) if self.unit == "microseconds" else timedelta(hours=time)
        return (datetime(1970, 1, 1, tzinfo=UTC) + since).strftime("%Y-%m-%d %H:%M") + (" UTC" if self.zone else "")

    def to_json(self) -> dict[str, str]:
        """As plain values."""
        return asdict(self)


def read_times(
    column: pa.Array | pa.ChunkedArray,
    *,
    name: str,
    where: str = "the rows",
    first_row: int = 1,
    clock: Clock | None = None,
    unit: str = "steps",
) -> tuple[Clock, NDArray[np.float64]]:
    """The clock, and a time for each row, NaN where missing: numbers in `unit`, or ISO 8601 dates as hours since 1970,
    of UTC where they name a zone.

    clock: which the times have to be on, None to find it. Raises UserError for what is neither, for dates of several
    time zones, and for times that are not on `clock`, with the row.
    """
    plain = plain_values(column)
    found, stamps = _read(plain, name, where, first_row, clock, "hours")
    if stamps is None:
        hours = as_number(plain, name=name, where=where, first_row=first_row)
        found = Clock(unit, "number")
    else:
        hours = _hours(stamps)
    return _agreed(found, clock, plain, name, where), hours


def read_moments(
    column: pa.Array | pa.ChunkedArray,
    *,
    name: str,
    where: str = "the rows",
    first_row: int = 1,
    clock: Clock | None = None,
) -> tuple[Clock, NDArray[np.int64]]:
    """The clock, and whole microseconds for each row, `NO_MOMENT` where missing: since 1970 of ISO 8601 dates, of UTC
    where they name a zone; numbers are seconds.

    clock and errors as for `read_times`; numbers that 64 bits cannot hold are refused too.
    """
    plain = plain_values(column)
    found, stamps = _read(plain, name, where, first_row, clock, "microseconds")
    if stamps is not None:
        moments = np.asarray(stamps.cast(pa.int64()).fill_null(NO_MOMENT), np.int64)
        return _agreed(found, clock, plain, name, where), moments
    seconds = as_number(plain, name=name, where=where, first_row=first_row)
    known = ~np.isnan(seconds)
    large = known & (np.abs(seconds) > MOST_SECONDS)
    if large.any():
        row = int(np.argmax(large))
        raise UserError(
            f"{where}, row {first_row + row}, column `{name}`: found {seconds[row]:g}, expected seconds",
            hint="write milliseconds or microseconds as seconds, or as dates",
        )
    moments = np.full(len(seconds), NO_MOMENT)
    moments[known] = np.rint(seconds[known] * 1e6)
    return _agreed(found, clock, plain, name, where), moments


def _read(
    plain: pa.Array, name: str, where: str, first_row: int, clock: Clock | None, unit: str
) -> tuple[Clock, pa.Array | None]:
    """The clock and timestamps of dates; None instead of them where the column holds numbers."""
    if pa.types.is_temporal(plain.type):
        zone = getattr(plain.type, "tz", None) or ""
        return Clock(unit, "date", zone), plain.cast(pa.timestamp("us", "UTC" if zone else None), safe=False)
    if is_text(plain.type) and not _first_is_number(plain):
        zone, stamps = _texts(plain, name, where, first_row, None if clock is None else clock.zone)
        return Clock(unit, "date", zone), stamps
    return Clock(unit, "number"), None


def _agreed(found: Clock, clock: Clock | None, plain: pa.Array, name: str, where: str) -> Clock:
    """`clock` where it is given, else what was found. Raises UserError where the two are of different kinds."""
    if clock is None or len(plain) == plain.null_count:
        return found if clock is None else clock
    if found.kind != clock.kind or (found.kind == "date" and bool(found.zone) != bool(clock.zone)):
        raise UserError(
            f"{where}, column `{name}`: found {_kind(found)}, expected {_kind(clock)}, as the other times of the table"
        )
    return clock


def _kind(clock: Clock) -> str:
    if clock.kind == "number":
        return "numbers"
    return f"dates in the time zone {clock.zone}" if clock.zone else "dates that name no time zone"


def _first_is_number(text: pa.Array) -> bool:
    known = text.drop_null()
    return not len(known) or bool(is_number_text(known[:1])[0])


def _texts(text: pa.Array, name: str, where: str, first_row: int, zone: str | None) -> tuple[str, pa.Array]:
    """The zone that all of them name, and timestamps."""
    text = text.cast(pa.string())
    zones = pc.struct_field(pc.extract_regex(text, _ZONE), "zone")
    dated = np.asarray(pc.match_substring_regex(text, _DATED).fill_null(True))
    # A date without a time of day ends in what looks like no zone: `-05` has two digits, a zone four.
    named = np.asarray(pc.fill_null(zones, "").to_numpy(zero_copy_only=False), dtype=np.str_)
    named = np.where(np.isin(named, ["z", "+00:00", "+0000", "-00:00"]), "Z", named)
    known = np.asarray(text.is_valid())
    of_all = np.unique(named[known]) if known.any() else np.array([""])
    if zone is not None:
        of_all = np.union1d(of_all, [zone]) if zone in ("", "Z") or zone[:1] in "+-" else of_all
    if len(of_all) > 1:
        rows = [int(np.argmax(known & (named == one))) for one in of_all if (known & (named == one)).any()]
        told = " and ".join(f"row {first_row + row} `{text[row].as_py()}`" for row in sorted(rows)[:2])
        expected = "dates of one time zone" if len(rows) > 1 else _kind(Clock("hours", "date", zone or ""))
        raise UserError(
            f"{where}, column `{name}`: found {told}, expected {expected}",
            hint="write all of them in UTC (`2026-03-29T01:00:00Z`), or all without a zone if they are of one",
        )
    try:
        if not dated.all():
            raise pa.ArrowInvalid("not a date")
        stamps = text.cast(pa.timestamp("us", "UTC" if of_all[0] else None))
    except pa.ArrowInvalid:
        row = _unreadable(text, dated, bool(of_all[0]))
        raise UserError(
            f"{where}, row {first_row + row}, column `{name}`: found `{text[row].as_py()}`, expected a date such as "
            "2026-11-24 06:30, or a number"
        ) from None
    return str(of_all[0]), stamps


def _hours(stamps: pa.Array) -> NDArray[np.float64]:
    microseconds = stamps.cast(pa.int64())
    hours: NDArray[np.float64] = np.asarray(microseconds.fill_null(0), np.float64) / HOUR
    return np.where(np.asarray(stamps.is_valid()), hours, np.nan)


def _unreadable(text: pa.Array, dated: NDArray[np.bool_], zoned: bool) -> int:
    """The first row that is no date, by halving: Arrow does not say."""
    if not dated.all():
        return int(np.argmin(dated))
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            text[low:middle].cast(pa.timestamp("us", "UTC" if zoned else None))
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low
