"""What a model reads of a transaction: itself, and what its card, terminal or device did strictly before it.

    definition = Definition(("card", "terminal"), (DAY, 7 * DAY), delay=7 * DAY, pairs=(("card", "terminal"),))
    names(definition)                     # ("amount", "hour of day", ..., "card: count, 1 d", ...)

Two ways lead here: `histories` counts over all rows at once, `State` by row as they come. Both count in whole numbers,
microseconds and millionths, and leave every division to the functions below, so their answers agree in each bit.

A row at time t reads what was seen in [t - window, t): rows of the same instant never read one another. Outcomes are
known `delay` after a row was seen, so what concerns frauds reads [t - delay - window, t - delay). Times of day are in
UTC.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from finance.fraud.transactions import DAY, HOUR, MINUTE, NO_OUTCOME, SECOND, UNIT, Whole
from lepton_solutions.errors import UserError, did_you_mean

VERSION = 1  # of what the columns mean; a state or a model of another version is not read
OWN = ("amount", "hour of day", "weekend", "night")
SINCE_FRAUD = ("hours since known fraud", "hours since first known fraud", "good since known fraud")
OF_LAST = ("amount", "hours ago", "known fraud")  # of each of the last transactions
NEVER = -1  # microseconds since an entity was seen, a fraud of it or one of its last transactions, where it was not

Floats = NDArray[np.float64]


class DefinitionJson(TypedDict):
    version: int
    entities: list[str]
    windows: list[int]
    delay: int
    pairs: list[list[str]]
    last: NotRequired[int]


@dataclass(frozen=True)
class Definition:
    """Which histories are read, and how far back.

    entities: kinds of `Transactions.entities`, in order. windows: microseconds, ascending. delay: microseconds from
    when a row is seen until its outcome is known. pairs: (a, b) counts how many b were seen with this a, and says
    whether this a comes with this b for the first time. last: how many transactions of the first entity are read one by
    one, back from the row. Raises UserError for what cannot be counted.
    """

    entities: tuple[str, ...]
    windows: tuple[int, ...]
    delay: int
    pairs: tuple[tuple[str, str], ...] = ()
    last: int = 0

    def __post_init__(self) -> None:
        if len(set(self.entities)) < len(self.entities):
            raise UserError(f"entities: found {list(self.entities)}, expected each once")
        if not self.windows or self.windows[0] <= 0 or list(self.windows) != sorted(set(self.windows)):
            raise UserError(f"windows: found {list(self.windows)}, expected one or more, above 0, ascending")
        if self.delay < 0:
            raise UserError(f"delay: found {self.delay}, expected 0 or more microseconds")
        for pair in self.pairs:
            for kind in set(pair) - set(self.entities):
                raise UserError(f"pairs: `{kind}` is no entity; {did_you_mean(kind, self.entities)}")
            if pair[0] == pair[1] or self.pairs.count(pair) > 1:
                raise UserError(f"pairs: found {list(pair)}, expected two different entities, each pair once")
        if self.last < 0 or (self.last and not self.entities):
            raise UserError(f"last: found {self.last}, expected 0, or more transactions of an entity")

    @property
    def reach(self) -> int:
        """Microseconds before a row after which nothing matters to it any more."""
        return self.windows[-1] + self.delay

    @property
    def fingerprint(self) -> str:
        """The same for equal definitions only: SHA-256 of the canonical JSON."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> DefinitionJson:
        """As plain values for the files of a bundle."""
        saved: DefinitionJson = {
            "version": VERSION,
            "entities": list(self.entities),
            "windows": list(self.windows),
            "delay": self.delay,
            "pairs": [list(pair) for pair in self.pairs],
        }
        if self.last:  # where it is 0, states that never heard of it are counted the same
            saved["last"] = self.last
        return saved

    @classmethod
    def from_json(cls, saved: DefinitionJson) -> Definition:
        """The inverse of `to_json`. Raises UserError for a version that counts otherwise."""
        if saved["version"] != VERSION:
            raise UserError(f"features: found version {saved['version']} of the definition, expected {VERSION}")
        pairs = tuple((a, b) for a, b in saved["pairs"])
        return cls(tuple(saved["entities"]), tuple(saved["windows"]), saved["delay"], pairs, saved.get("last", 0))


def names(definition: Definition) -> tuple[str, ...]:
    """The columns in order, in words that a reason can use.

    >>> names(Definition(("card", "device"), (7 * DAY,), delay=DAY, pairs=(("card", "device"),)))[4:15]
    ('card: count, 7 d', 'card: sum, 7 d', 'card: mean, 7 d', 'card: known frauds, 7 d', \
'card: known fraud rate, 7 d', 'card: hours since last', 'card: amount over mean, 7 d', \
'card: hours since known fraud', 'card: hours since first known fraud', 'card: good since known fraud', \
'device: count, 7 d')
    """
    spans = [span(window) for window in definition.windows]
    told = list(OWN)
    for kind in definition.entities:
        for what in ("count", "sum", "mean", "known frauds", "known fraud rate"):
            told += [f"{kind}: {what}, {window}" for window in spans]
        told += [f"{kind}: hours since last", f"{kind}: amount over mean, {spans[-1]}"]
        told += [f"{kind}: {what}" for what in SINCE_FRAUD]
    for a, b in definition.pairs:
        told += [f"{a}: distinct {b}, {window}" for window in spans]
        told.append(f"{a} with {b}: first in {spans[-1]}")
    told += [f"{definition.entities[0]}: {what}, {i} before" for i in range(1, definition.last + 1) for what in OF_LAST]
    return tuple(told)


def span(length: int) -> str:
    """Microseconds in the largest unit that leaves no rest.

    >>> span(7 * DAY), span(36 * HOUR), span(90 * SECOND), span(5)
    ('7 d', '36 h', '90 s', '5 µs')
    """
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if length % unit == 0:
            return f"{length // unit} {name}"
    return f"{length} µs"


def entity_columns(definition: Definition, place: int) -> slice:
    """Where the columns of the entity at this place stand."""
    width = 5 * len(definition.windows) + 5
    return slice(len(OWN) + place * width, len(OWN) + (place + 1) * width)


def tally_width(definition: Definition) -> int:
    """How many whole numbers `entity_features` reads of an entity."""
    return 4 * len(definition.windows) + 4


def pair_columns(definition: Definition, place: int) -> slice:
    """Where the columns of the pair at this place stand."""
    first, width = entity_columns(definition, len(definition.entities)).start, len(definition.windows) + 1
    return slice(first + place * width, first + (place + 1) * width)


def last_columns(definition: Definition) -> slice:
    """Where the columns of the last transactions stand, `OF_LAST` of each, the latest first."""
    first = pair_columns(definition, len(definition.pairs)).start
    return slice(first, first + len(OF_LAST) * definition.last)


def own_features(time: Whole, amount: Whole) -> Floats:
    """[n, 4] of the transaction alone: units of money, hour of day with its fraction, Saturday or Sunday, night.

    time, amount: [n], as of `Transactions`. Night is until 7:00, as in the Fraud Detection Handbook.
    """
    hour = time % DAY / HOUR
    weekend = (time // DAY + 3) % 7 >= 5  # 1970 began on a Thursday
    return np.stack([amount / UNIT, hour, weekend, hour < 7], axis=1)


def entity_features(tallies: Whole, amount: Whole) -> Floats:
    """[n, 5 W + 5] of one entity, from whole numbers of W windows.

    tallies: [n, 4 W + 4]: rows seen, their amounts together, rows with a known outcome, frauds among them, for each
    window; the microseconds since the entity was seen, since its latest known fraud and since its first; and how many
    rows seen after the latest are known to be good. The last four look back the longest window, and are NEVER where
    nothing was there. amount: [n], of the rows themselves.
    A mean or rate of nothing is NaN, as are the hours since never. The amount over the mean of the longest window is
    NaN also where that mean is not above 0, as after refunds.
    """
    windows = tallies.shape[1] // 4 - 1
    count, paid, known, frauds = (tallies[:, i * windows : (i + 1) * windows] for i in range(4))
    since = tallies[:, -4:]
    found = np.full((len(tallies), 5 * windows + 5), np.nan)
    found[:, :windows] = count
    np.divide(paid, UNIT, out=found[:, windows : 2 * windows])
    mean = found[:, 2 * windows : 3 * windows]
    np.divide(found[:, windows : 2 * windows], count, out=mean, where=count > 0)
    found[:, 3 * windows : 4 * windows] = frauds
    np.divide(frauds, known, out=found[:, 4 * windows : 5 * windows], where=known > 0)
    np.divide(since[:, 0], HOUR, out=found[:, -5], where=since[:, 0] >= 0)
    np.divide(amount / UNIT, mean[:, -1], out=found[:, -4], where=mean[:, -1] > 0)
    np.divide(since[:, 1:3], HOUR, out=found[:, -3:-1], where=since[:, 1:3] >= 0)
    np.copyto(found[:, -1], since[:, 3], where=since[:, 3] >= 0)
    return found


def last_features(tallies: Whole) -> Floats:
    """[n, 3 L] of the last L transactions, `OF_LAST` of each: units of money, hours, 1 fraud or 0 good.

    tallies: [n, 3 L], of each transaction its amount, how many microseconds ago it was seen (NEVER where there is none)
    and its outcome (NO_OUTCOME where none is known yet). What is not there or not known is NaN.
    """
    amount, ago, outcome = (tallies[:, i :: len(OF_LAST)] for i in range(len(OF_LAST)))
    found = np.full(tallies.shape, np.nan)
    np.divide(amount, UNIT, out=found[:, ::3], where=ago != NEVER)
    np.divide(ago, HOUR, out=found[:, 1::3], where=ago != NEVER)
    np.copyto(found[:, 2::3], outcome, where=outcome != NO_OUTCOME)
    return found
