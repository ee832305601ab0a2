"""Transactions given as dicts, read without a table where their values are plain; of one row a table takes longest.

`layout.transactions_of` says how a row is read and what is wrong with one. Here is what that comes to for values that
leave no question (`lepton_solutions.data.values`); of all others, mistakes included, a table has to be made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from finance.fraud.layout import Layout
from finance.fraud.reading import LONGEST_ID, MOST_IN_ALL, OUTCOMES
from finance.fraud.records import content_ids
from finance.fraud.transactions import NO_OUTCOME, UNIT, Transactions, Whole
from lepton_solutions.data.columns import FIRST_LEVEL, MISSING, UNSEEN, Rows
from lepton_solutions.data.values import Missing, NotPlain, plain_moments, plain_numbers, plain_texts


class PlainReader:
    """Reads by one layout, of which it keeps what would else be made for each row."""

    def __init__(self, layout: Layout) -> None:
        self._layout, self._missing = layout, Missing.of(layout.missing)
        self._numeric = [column.name for column in layout.columns.numeric]
        self._codes: dict[str, dict[str | None, int]] = {
            column.name: {None: MISSING, **{level: code for code, level in enumerate(column.levels, FIRST_LEVEL)}}
            for column in layout.columns.categories
        }

    def read(self, records: Sequence[Mapping[str, object]]) -> tuple[Transactions, Whole] | None:
        """One record or more, as `records.read_raw` has them; None where a table has to be made."""
        layout = self._layout
        may_lack = [layout.id, layout.known_at, layout.target, layout.action]
        names = [name for name in may_lack if name is not None and any(name in record for record in records)]
        names += [layout.time, layout.amount, *layout.entities.values(), *layout.columns.names]
        try:
            rows = self._rows({name: [record[name] for record in records] for name in names}, len(records))
        except (NotPlain, KeyError):  # KeyError: a record lacks a column
            return None
        place = np.argsort(rows.time, kind="stable")
        return (rows.take(place) if len(rows) > 1 else rows), place

    def _rows(self, columns: Mapping[str, Sequence[object]], count: int) -> Transactions:
        """In the order given. columns: by name, without those that no record has."""
        layout, missing = self._layout, self._missing

        def texts(name: str | None) -> list[str | None]:
            return plain_texts(columns[name], missing) if name is not None and name in columns else [None] * count

        time = seen = np.array(plain_moments(columns[layout.time], layout.clock, missing), np.int64)
        if layout.known_at is not None and layout.known_at in columns:
            seen = np.maximum(plain_moments(columns[layout.known_at], layout.clock, missing), time)
        units = plain_numbers(columns[layout.amount], missing)
        if not sum(map(abs, units)) <= MOST_IN_ALL:  # or one is missing
            raise NotPlain
        entities = {kind: _levels(_names(texts(name))) for kind, name in layout.entities.items()}
        declined = np.array([text in layout.declined for text in texts(layout.action)])
        label = [NO_OUTCOME if text is None else _outcome(text) for text in texts(layout.target)]
        rows = Transactions(
            id=np.array(_names(texts(layout.id)) if layout.id in columns else [], np.str_),
            time=time,
            seen=seen,
            amount=np.array([round(number * UNIT) for number in units], np.int64),
            entities={kind: codes for kind, (codes, _) in entities.items()},
            levels={kind: levels for kind, (_, levels) in entities.items()},
            label=np.where(declined, NO_OUTCOME, np.array(label, np.int8)),
            declined=declined,
            extras=self._extras(columns, count),
            columns=layout.columns,
        )
        return rows if layout.id in columns else replace(rows, id=content_ids(rows))

    def _extras(self, columns: Mapping[str, Sequence[object]], count: int) -> Rows:
        numeric = np.empty((count, len(self._numeric)), np.float32)
        codes = np.empty((count, len(self._codes)), np.int64)
        for place, name in enumerate(self._numeric):
            numeric[:, place] = plain_numbers(columns[name], self._missing)
        for place, (name, code_of) in enumerate(self._codes.items()):
            codes[:, place] = [code_of.get(text, UNSEEN) for text in plain_texts(columns[name], self._missing)]
        return Rows(numeric, codes)


def _names(texts: Sequence[str | None]) -> list[str]:
    known = [text for text in texts if text is not None and len(text) <= LONGEST_ID]
    if len(known) < len(texts):
        raise NotPlain
    return known


def _levels(names: Sequence[str]) -> tuple[Whole, NDArray[np.str_]]:
    """As of `reading.levels_of`."""
    levels = sorted({*names})
    code = {name: place for place, name in enumerate(levels)}
    return np.array([code[name] for name in names], np.int64), np.array(levels, np.str_)


def _outcome(text: str) -> int:
    if text not in OUTCOMES:
        raise NotPlain
    return OUTCOMES[text]
