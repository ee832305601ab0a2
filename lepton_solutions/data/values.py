"""Values of Python read as a table's columns would be, where they are of the common kinds.

Arrow takes a dozen calls to read a column, and they take as long for one row as for a thousand: too long for a service
that answers row by row. Here the same is said of values that leave no question: numbers, text without blanks around it,
ISO times. Anything else, mistakes included, is `NotPlain`, and whoever asked makes a table of it. `columns.py` and
`times.py` hold the rules and the messages; this module agrees with them or stands aside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import nan
from types import NoneType
from typing import cast

from lepton_solutions.data.columns import MISSING_WORDS
from lepton_solutions.data.times import MOST_SECONDS, Clock

LARGEST = 2.0**53  # up to here every whole number is a double, and nothing is infinite in float32
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_WHOLE = re.compile(r"(-?[0-9]+)\.0+")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T]([01][0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(?P<zone>Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?"
)
_TRUTH = re.compile("true|false", re.IGNORECASE)
_UTC = {"+00:00": "Z", "-00:00": "Z"}
_EPOCH, _EPOCH_UTC = datetime(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)


class NotPlain(Exception):
    """Values that a table has to be made of."""


@dataclass(frozen=True)
class Missing:
    """Words that mean a missing value, and the numbers that they spell."""

    words: frozenset[str]
    numbers: frozenset[float]

    @classmethod
    def of(cls, further: Sequence[str] = ()) -> Missing:
        """`MISSING_WORDS` and these."""
        words = frozenset([*MISSING_WORDS, *further])
        return cls(words, frozenset(float(word) for word in words if _NUMBER.fullmatch(word)))


def plain_numbers(values: Sequence[object], missing: Missing) -> list[float]:
    """One column as `as_number` has it, NaN where missing.

    >>> plain_numbers(["12.5", "-1", None], Missing.of(["-1"]))
    [12.5, nan, nan]
    """
    kinds = _kinds(values)
    if kinds <= {int, float}:
        numbers = cast(Sequence[float | None], values)
        found = [nan if number is None or number in missing.numbers else number for number in numbers]
    elif kinds == {str}:
        found = [nan if text is None else _number(text, missing) for text in cast(Sequence[str | None], values)]
    elif kinds == {bool}:
        found = [nan if value is None else value for value in cast(Sequence[bool | None], values)]
    else:
        raise NotPlain
    if any(abs(number) > LARGEST for number in found):
        raise NotPlain
    return list(map(float, found))


def plain_texts(values: Sequence[object], missing: Missing) -> list[str | None]:
    """One column as `as_text` has it, None where missing.

    >>> plain_texts(["shop", "1.0", "TRUE", "NA"], Missing.of())
    ['shop', '1', 'true', None]
    """
    kinds = _kinds(values)
    if kinds == {str}:
        return [None if text is None else _text(text, missing) for text in cast(Sequence[str | None], values)]
    if kinds == {int}:
        whole = cast(Sequence[int | None], values)
        if any(number is not None and number.bit_length() > 63 for number in whole):
            raise NotPlain
        return [None if number is None or number in missing.numbers else str(number) for number in whole]
    if kinds == {bool}:
        return [None if value is None else str(value).lower() for value in values]
    if kinds:
        raise NotPlain
    return [None] * len(values)


def plain_moments(values: Sequence[object], clock: Clock, missing: Missing) -> list[int]:
    """One column as the moments of `read_moments` on this clock, of which none may be missing.

    >>> plain_moments(["1970-01-01T01:00:02+01:00"], Clock("microseconds", "date", "+01:00"), Missing.of())
    [2000000]
    """
    if clock.kind == "number":
        seconds = plain_numbers(values, missing)
        if not all(abs(second) <= MOST_SECONDS for second in seconds):
            raise NotPlain
        return [round(second * 1e6) for second in seconds]
    kinds = {*map(type, values)}
    if kinds == {datetime}:
        moments = cast(Sequence[datetime], values)
        if {moment.tzinfo for moment in moments} != {UTC if clock.zone else None}:
            raise NotPlain
    elif kinds == {str}:
        moments, zones = zip(*map(_dated, cast(Sequence[str], values)), strict=True)
        # Dates have to name the zone of the clock; where a Parquet column gave that a name, any one of their own.
        written = clock.zone in ("", "Z") or clock.zone[0] in "+-"
        if len({*zones}) > 1 or (zones[0] != clock.zone if written else not zones[0]):
            raise NotPlain
    else:
        raise NotPlain
    return [_microseconds(moment) for moment in moments]


def _kinds(values: Sequence[object]) -> set[type]:
    return {*map(type, values)} - {NoneType}


def _number(text: str, missing: Missing) -> float:
    if text in missing.words and text.strip() == text:
        return nan
    if not _NUMBER.fullmatch(text):
        raise NotPlain
    return float(text)


def _text(text: str, missing: Missing) -> str | None:
    # Blanks around a text are taken off, and what is not printable may be one.
    if not text.isprintable() or text.strip(" ") != text:
        raise NotPlain
    if text in missing.words:
        return None
    if whole := _WHOLE.fullmatch(text):
        return whole[1]
    return text.lower() if _TRUTH.fullmatch(text) else text


def _dated(text: str) -> tuple[datetime, str]:
    """And the zone that it names."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise NotPlain
    try:
        return datetime.fromisoformat(text), _UTC.get(match["zone"], match["zone"] or "")
    except ValueError:
        raise NotPlain from None


def _microseconds(moment: datetime) -> int:
    since = moment - (_EPOCH if moment.tzinfo is None else _EPOCH_UTC)
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
