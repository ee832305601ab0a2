"""What a feature says, as an investigator would put it: a sentence for each kind of column in `features.names`.

    say = sentences(definition, clock)["terminal: known fraud rate, 21 d"]
    say(values, usual)  # "35 % of this terminal's payments of known outcome in 21 days were frauds (usually 0 %)"

values: all numeric columns of a row by name; usual: what this one is for good transactions, NaN where nothing was
known. Entities are called by their columns' names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan

from finance.fraud.features import OWN, Definition, names, span
from finance.fraud.transactions import DAY, FRAUD, HOUR, MINUTE, SECOND
from lepton_solutions.data.times import Clock

Values = Mapping[str, float]
Sentence = Callable[[Values, float], str]
Told = Callable[[float], str]

_UNITS = {"d": "day", "h": "hour", "min": "minute", "s": "second", "µs": "microsecond"}  # as `span` has them


def money(value: float) -> str:
    return f"{value:.2f}"


def number(value: float) -> str:
    """
    >>> number(123456.0), number(2.5)
    ('123456', '2.5')
    """
    return f"{value:.0f}" if value.is_integer() else f"{value:.4g}"


def share(value: float) -> str:
    """
    >>> share(0.351), share(0.0042), share(0.0)
    ('35 %', '0.42 %', '0 %')
    """
    return f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.2g} %"


def ratio(value: float) -> str:
    """
    >>> ratio(123.44), ratio(1.0), ratio(0.04)
    ('123.4', '1.0', '0.04')
    """
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


def duration(hours: float) -> str:
    """In the largest unit of which there are two.

    >>> duration(72.2), duration(47.0), duration(1.5), duration(0.01)
    ('3 days', '47 hours', '90 minutes', '36 seconds')
    """
    length = hours * HOUR
    unit = next((unit for unit in (DAY, HOUR, MINUTE) if length >= 2 * unit), SECOND)
    return _many(round(length / unit), _UNITS[span(unit).split()[1]])


def length_of(window: int) -> str:
    """
    >>> length_of(DAY), length_of(36 * HOUR)
    ('1 day', '36 hours')
    """
    count, unit = span(window).split()
    return _many(int(count), _UNITS[unit])


def counted(what: str) -> Told:
    """
    >>> counted("payment")(1.0), counted("country")(2.0), counted("known fraud")(0.0)
    ('1 payment', '2 countries', 'no known fraud')
    """
    return lambda value: _many(int(value), what) if value else f"no {what}"


NO_PAYMENT = "no payment of this {kind} in {window}"
NO_FRAUD = "no known fraud of this {kind} in {window}"


@dataclass(frozen=True)
class Phrase:
    """said: of an entity. told: how its value is put. usual: how what is usual is put, None where it would mislead: a
    time since a fraud is that of the few that had one. unknown: said where payments there are give no value.
    """

    said: str
    told: Told
    usual: Told | None = None
    unknown: str = NO_PAYMENT


OF_WINDOW = {
    "count": Phrase("{value} of this {kind} in {window}", counted("payment"), number),
    "sum": Phrase("payments of this {kind} in {window} add up to {value}", money, money),
    "mean": Phrase("the mean payment of this {kind} in {window} is {value}", money, money),
    "known frauds": Phrase("{value} of this {kind} in {window}", counted("known fraud"), number),
    "known fraud rate": Phrase(
        "{value} of this {kind}'s payments of known outcome in {window} were frauds", share, share,
        "no payment of this {kind} in {window} has a known outcome",
    ),
    "amount over mean": Phrase(
        "the amount, {amount}, is {value} times this {kind}'s mean of {window}", ratio, ratio,
        "the amount is {amount}, this {kind}'s mean of {window} is not above 0",
    ),
}  # fmt: skip
OF_ALL = {  # of the longest window
    "hours since last": Phrase("the last payment of this {kind} was {value} ago", duration, duration),
    "hours since known fraud": Phrase("the last known fraud of this {kind} was {value} ago", duration, None, NO_FRAUD),
    "hours since first known fraud": Phrase("known frauds of this {kind} go back {value}", duration, None, NO_FRAUD),
    "good since known fraud": Phrase(
        "{value} of this {kind} since its last known fraud", counted("good payment"), None, NO_FRAUD
    ),
}
TOLD = 3  # of the last payments
BESIDE_LONGEST = ("count", "sum", "mean")  # of a shorter window are told beside those of the longest


def sentences(definition: Definition, clock: Clock) -> dict[str, Sentence]:
    """By the name of a feature; of the last payments `last_payments` tells. clock: of the data; times of day are of UTC
    where its dates name a time zone.
    """
    *shorter, longest = definition.windows
    found: dict[str, Sentence] = {}
    for kind in definition.entities:
        for what, phrase in OF_WINDOW.items():
            whole = f"{kind}: {what}, {span(longest)}"
            found[whole] = _of_entity(whole, phrase, kind, longest)
            for window in shorter:
                name = f"{kind}: {what}, {span(window)}"
                found[name] = _of_entity(name, phrase, kind, window)
                if what in BESIDE_LONGEST:
                    found[name] = _beside(found[name], name, whole, phrase.told, length_of(longest))
        for what, phrase in OF_ALL.items():
            name = f"{kind}: {what}"
            found[name] = _of_entity(name, phrase, kind, longest)
    for a, b in definition.pairs:
        for window in definition.windows:
            name = f"{a}: distinct {b}, {span(window)}"
            found[name] = _partners(name, counted(b), f"with payments of this {a} in {length_of(window)}")
        name = f"{a} with {b}: first in {span(longest)}"
        found[name] = _first(name, f"first payment of this {a} with this {b} in {length_of(longest)}")
    means = [found[f"{kind}: mean, {span(longest)}"] for kind in definition.entities[:1]]  # of whoever is investigated
    amount, hour, weekend, night = OWN
    found |= {amount: _amount(means), weekend: _day_of_week}
    found |= dict.fromkeys((hour, night), _time_of_day(" UTC" if clock.zone else ""))
    return {name: found[name] for name in names(definition) if name in found}


def last_payments(definition: Definition, payments: Sequence[Sequence[float]]) -> str:
    """The latest of the last payments, each as `features.OF_LAST` has it, NaN where there are no more."""
    kind, window = definition.entities[0], length_of(definition.windows[-1])
    told = [
        f"{money(amount)} {duration(ago)} ago{', a known fraud' if known == FRAUD else ''}"
        for amount, ago, known in payments[:TOLD]
        if not isnan(ago)
    ]
    if not told:
        return NO_PAYMENT.format(kind=kind, window=window)
    return f"the last payments of this {kind}: {'; '.join(told)}"


def _of_entity(name: str, phrase: Phrase, kind: str, window: int) -> Sentence:
    words, count = {"kind": kind, "window": length_of(window)}, f"{kind}: count, {span(window)}"

    def say(values: Values, usual: float) -> str:
        value, amount = values[name], money(values[OWN[0]])
        if isnan(value):
            return (phrase.unknown if values[count] else NO_PAYMENT).format(amount=amount, **words)
        return phrase.said.format(value=phrase.told(value), amount=amount, **words) + _usually(phrase.usual, usual)

    return say


def _beside(sentence: Sentence, name: str, whole: str, told: Told, length: str) -> Sentence:
    """The same, and where there is a value that of the longest window."""

    def say(values: Values, usual: float) -> str:
        said = sentence(values, usual)
        return said if isnan(values[name]) else f"{said}, {told(values[whole])} in {length}"

    return say


def _partners(name: str, told: Told, rest: str) -> Sentence:
    return lambda values, usual: f"{told(values[name])} {rest}{_usually(number, usual)}"


def _first(name: str, first: str) -> Sentence:
    return lambda values, usual: first if values[name] else f"not the {first}"


def _amount(means: Sequence[Sentence]) -> Sentence:
    def say(values: Values, usual: float) -> str:
        said = f"the amount is {money(values[OWN[0]])}{_usually(money, usual)}"
        return ", ".join([said, *(mean(values, nan) for mean in means)])

    return say


def _day_of_week(values: Values, usual: float) -> str:
    return f"paid on {'a weekend' if values[OWN[2]] else 'a weekday'}"


def _time_of_day(zone: str) -> Sentence:
    def say(values: Values, usual: float) -> str:
        second = min(round(values[OWN[1]] * 3600), 86399)  # an hour as float32 is some milliseconds off
        time = f"{second // 3600:02d}:{second // 60 % 60:02d}"
        return f"paid at {time}{zone}, {'at night' if values[OWN[3]] else 'by day'}"

    return say


def _usually(told: Told | None, usual: float) -> str:
    return "" if told is None or isnan(usual) else f" (usually {told(usual)})"


def _many(count: int, what: str) -> str:
    if count == 1:
        return f"1 {what}"
    if what.endswith(("s", "x", "ch", "sh")):
        return f"{count} {what}es"
    return f"{count} {what[:-1]}ies" if what.endswith("y") and what[-2:-1] not in "aeiou" else f"{count} {what}s"
