"""What is kept in memory of one card, terminal or device: when it was seen, and running sums at those times.

Three numbers of 8 bytes for each transaction, and two more for each pair that counts partners. A row goes in at the
place of its time, usually the end; a window is two places found by bisection and the difference of two sums.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from finance.fraud.features import NEVER, Definition
from finance.fraud.transactions import FRAUD, GOOD, NO_OUTCOME, Whole

_NOT_BEFORE = -(2**62)  # microseconds: earlier than any window begins
_KNOWN = 1 << 32  # in `known`, a row with an outcome; a fraud counts 1 more, so both sums are one number
_WORTH = {GOOD: _KNOWN, FRAUD: _KNOWN + 1}
_OUTCOME = {0: NO_OUTCOME, **{worth: outcome for outcome, worth in _WORTH.items()}}


def code_of(name: str) -> int:
    """64 bits that stand for a name. Of the partners of a million cards, two of the same card are taken for one with
    a probability of about 1e-7, at a thousand partners each.
    """
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


class Past:
    """The transactions of one entity, by `seen`. code: of its name, for those that meet it.

    For each pair that begins with this kind: the codes of the partners met, and when each was met the time before.
    """

    __slots__ = ("_known", "_met", "_paid", "_seen", "code")

    def __init__(self, name: str, pairs: int) -> None:
        self.code = code_of(name)
        self._seen, self._paid, self._known = array("q"), array("q", [0]), array("q", [0])
        self._met = tuple((array("q"), array("q")) for _ in range(pairs))

    @property
    def newest(self) -> int:
        """The last time at which it was seen."""
        return self._seen[-1] if self._seen else _NOT_BEFORE

    @property
    def size(self) -> int:
        """Bytes of memory."""
        kept = [self._seen, self._paid, self._known, *(column for pair in self._met for column in pair)]
        met = sys.getsizeof(self._met) if self._met else 0  # the empty tuple is there once
        return sys.getsizeof(self) + sys.getsizeof(self.code) + met + sum(sys.getsizeof(column) for column in kept)

    def tally(self, definition: Definition, time: int) -> list[int]:
        """4 W + 4 whole numbers of what was seen before `time`, as `entity_features` reads them."""
        seen, paid, known = self._seen, self._paid, self._known
        end = bisect_left(seen, time)
        starts = [bisect_left(seen, time - window, 0, end) for window in definition.windows]
        until = time - definition.delay
        known_end = bisect_left(seen, until, 0, end)
        outcomes = [
            known[known_end] - known[bisect_left(seen, until - window, 0, known_end)] for window in definition.windows
        ]
        return [
            *[end - start for start in starts],
            *[paid[end] - paid[start] for start in starts],
            *[outcome // _KNOWN for outcome in outcomes],
            *[outcome % _KNOWN for outcome in outcomes],
            time - seen[end - 1] if end > starts[-1] else NEVER,
            *self._tally_frauds(definition, time, known_end),
        ]

    def _tally_frauds(self, definition: Definition, time: int, end: int) -> list[int]:
        """Microseconds since the latest known fraud and the first, and good rows since. end: where what is known is."""
        seen, known = self._seen, self._known
        start = bisect_left(seen, time - definition.delay - definition.windows[-1], 0, end)
        before, after = known[start] % _KNOWN, known[end] % _KNOWN
        if before == after:
            return [NEVER] * 3
        # A fraud stands before the sum that first counts it.
        latest = seen[bisect_left(known, after, start, end, key=_frauds) - 1]
        first = seen[bisect_right(known, before, start, end, key=_frauds) - 1]
        since = known[end] - known[bisect_right(seen, latest, start, end)]
        return [time - latest, time - first, since // _KNOWN]

    def tally_partners(self, definition: Definition, time: int, pair: int, partner: int) -> list[int]:
        """W + 1 whole numbers of what was met before `time`: distinct partners, and 1 where this one is not among
        those of the longest window. pair: which of those that begin with this kind. partner: its code.
        """
        partners, before = self._met[pair]
        end = bisect_left(self._seen, time)
        longest = bisect_left(self._seen, time - definition.windows[-1], 0, end)
        if end == longest:
            return [0] * len(definition.windows) + [1]
        met_before, found = np.frombuffer(before, np.int64), []
        for window in definition.windows:
            start = bisect_left(self._seen, time - window, longest, end)
            # One of each partner was not met before in this window.
            found.append(int(np.count_nonzero(met_before[start:end] < time - window)))
        found.append(int(_last(partners, partner, end) < longest))
        return found

    def tally_last(self, definition: Definition, time: int) -> list[int]:
        """3 L whole numbers of the last transactions seen before `time`, as `last_features` reads them."""
        seen, paid, known = self._seen, self._paid, self._known
        end = bisect_left(seen, time)
        start = max(bisect_left(seen, time - definition.windows[-1], 0, end), end - definition.last)
        if start < end:  # all of the earliest instant, since of one instant they are taken by amount and outcome
            start = bisect_left(seen, seen[start], 0, end)
        told = [(seen[i], paid[i + 1] - paid[i], known[i + 1] - known[i]) for i in range(start, end)]
        until, found = time - definition.delay, list[int]()
        for at, amount, worth in sorted(told, reverse=True)[: definition.last]:
            found += [amount, time - at, _OUTCOME[worth] if at < until else NO_OUTCOME]
        return found + [0, NEVER, NO_OUTCOME] * (definition.last - len(found) // 3)

    def insert(self, seen: int, amount: int, outcome: int, partners: Sequence[int]) -> None:
        """Take in a transaction, wherever its time is. partners: the code of each pair's other entity."""
        place, worth = bisect_right(self._seen, seen), _WORTH.get(outcome, 0)
        middle = place < len(self._seen)
        for (codes, before), code in zip(self._met, partners, strict=True):
            last = _last(codes, code, place)
            if middle:
                later = np.flatnonzero(_view(codes)[place:] == code)
                if len(later):
                    before[place + int(later[0])] = seen
            codes.insert(place, code)
            before.insert(place, self._seen[last] if last >= 0 else _NOT_BEFORE)
        self._seen.insert(place, seen)
        self._paid.insert(place + 1, self._paid[place] + amount)
        self._known.insert(place + 1, self._known[place] + worth)
        if middle:
            _view(self._paid)[place + 2 :] += amount
            _view(self._known)[place + 2 :] += worth

    def relabel(self, seen: int, amount: int, before: int, after: int) -> None:
        """A transaction of this amount, seen then, has another outcome. Which of several alike does not matter to any
        answer. One that is forgotten changes nothing.
        """
        paid, known = self._paid, self._known
        for place in range(bisect_left(self._seen, seen), bisect_right(self._seen, seen)):
            alike = paid[place + 1] - paid[place] == amount
            if alike and known[place + 1] - known[place] == _WORTH.get(before, 0):
                _view(known)[place + 1 :] += _WORTH.get(after, 0) - _WORTH.get(before, 0)
                return

    def trim(self, oldest: int) -> None:
        """Forget what was seen before, once it is a quarter of all."""
        if not self._seen or self._seen[0] >= oldest:
            return
        gone = bisect_left(self._seen, oldest)
        if 4 * gone >= len(self._seen):
            self._seen, self._paid, self._known = self._seen[gone:], self._paid[gone:], self._known[gone:]
            self._met = tuple((codes[gone:], before[gone:]) for codes, before in self._met)
            for sums in (self._paid, self._known):
                view = _view(sums)
                view -= view[0]


def _frauds(known: int) -> int:
    return known % _KNOWN


def _view(values: array[int]) -> Whole:
    return np.frombuffer(values, np.int64)


def _last(codes: array[int], code: int, stop: int) -> int:
    """The last place before `stop` that holds this code, or -1."""
    if not stop:  # numpy has no view of nothing
        return -1
    places = np.flatnonzero(_view(codes)[:stop] == code)
    return int(places[-1]) if len(places) else -1
