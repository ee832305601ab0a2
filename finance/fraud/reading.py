"""Single columns of a table of transactions as arrays, each checked: moments, amounts, names, outcomes, ids."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from finance.fraud.transactions import FRAUD, GOOD, NO_OUTCOME, UNIT, Transactions, Whole
from lepton_solutions.data.columns import as_number, as_text, plain_values
from lepton_solutions.data.times import NO_MOMENT, Clock, read_moments
from lepton_solutions.errors import UserError

MOST_IN_ALL = 9e12  # units of which the sum still fits as millionths into 64 bits
LONGEST_ID = 128  # letters; an array of text gives every row the room of the longest
OUTCOMES = {"0": GOOD, "false": GOOD, "1": FRAUD, "true": FRAUD}

Column: TypeAlias = pa.Array | pa.ChunkedArray


def moments(column: Column, *, name: str, where: str, clock: Clock) -> Whole:
    """Microseconds [n]. Raises UserError for what is missing, no time, or of another kind or zone than `clock`."""
    found = read_moments(column, name=name, where=where, clock=clock)[1]
    _reject_missing(found == NO_MOMENT, name, where, "a time")
    return found


def amounts(column: Column, *, name: str, where: str) -> Whole:
    """Millionths of a unit [n], rounded. Raises UserError for what is missing, no number, or too large to be added."""
    units = as_number(column, name=name, where=where)
    _reject_missing(np.isnan(units), name, where, "an amount")
    if np.abs(units).sum() > MOST_IN_ALL:
        row = int(np.argmax(np.abs(units)))
        raise UserError(
            f"{where}, column `{name}`: found amounts of {np.abs(units).sum():.4g} units in all, the largest in row "
            f"{row + 1}: {units[row]:.6g}; expected at most {MOST_IN_ALL:.4g}",
            hint="give them in a larger unit, such as thousands",
        )
    return np.rint(units * UNIT).astype(np.int64)


def levels_of(column: Column, *, name: str, where: str) -> tuple[Whole, NDArray[np.str_]]:
    """Codes [n] and what they stand for, in the order of the alphabet. Raises UserError where a name is missing."""
    code, texts = texts_of(column)
    _reject_missing(code < 0, name, where, "a name")
    return code, texts


def labels(column: Column, *, name: str, where: str) -> NDArray[np.int8]:
    """`FRAUD`, `GOOD`, or `NO_OUTCOME` where missing. Raises UserError for another value than 0 and 1."""
    code, texts = texts_of(column)
    strange = np.append(~np.isin(texts, list(OUTCOMES)), False)[code]
    if strange.any():
        row = int(np.argmax(strange))
        raise UserError(
            f"{where}, row {row + 1}, column `{name}`: found `{texts[code[row]]}`, expected 1 (a fraud), 0 (none), or "
            f"nothing where it is not known; {_others(strange)}"
        )
    means = np.array([*(OUTCOMES[text] for text in texts.tolist()), NO_OUTCOME], np.int8)
    return means[code]


def ids(column: Column, *, table: pa.Table, name: str, where: str) -> NDArray[np.str_]:
    """The name of each row. Raises UserError for one that is missing or there twice, with the rows; table: them all."""
    plain = plain_values(column)
    text = plain.cast(pa.string()) if pa.types.is_integer(plain.type) else as_text(plain)
    _reject_missing(np.asarray(text.is_null()), name, where, "an id")
    code = np.asarray(pc.dictionary_encode(plain if pa.types.is_integer(plain.type) else text).indices)
    count = np.bincount(code)
    if count.max(initial=1) > 1:
        first, again = np.flatnonzero(code == code[np.argmax(count[code] > 1)])[:2].tolist()
        same = table.slice(first, 1).equals(table.slice(again, 1))
        raise UserError(
            f"{where}, rows {first + 1} and {again + 1}, column `{name}`: both hold `{text[first].as_py()}`, expected "
            f"each id once; {_others(count[count > 1], what='ids')}",
            hint="the two rows are equal in every column: leave repeated rows out"
            if same
            else "the two rows differ: which of them happened?",
        )
    longest = pc.max(pc.utf8_length(text)).as_py()
    if longest is not None and longest > LONGEST_ID:
        row = pc.utf8_length(text).index(longest).as_py()
        raise UserError(
            f"{where}, row {row + 1}, column `{name}`: found {longest:,} letters, expected at most {LONGEST_ID}"
        )
    return _as_array(text)


def reject_repeated_rows(rows: Transactions, *, where: str) -> None:
    """Raises UserError where two rows, in the order of the table, are equal in everything that is read of them."""
    keys: list[NDArray[np.integer]] = [rows.label, rows.seen, *rows.entities.values(), rows.amount, rows.time]
    order = np.lexsort(keys)
    same = np.ones(max(len(order) - 1, 0), bool)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    near = np.unique(np.concatenate([np.flatnonzero(same), np.flatnonzero(same) + 1]))  # the few that may be equal
    held: dict[bytes, int] = {}
    found = []
    for row in np.sort(order[near]).tolist():
        whole = b"".join(column[row].tobytes() for column in (*keys, rows.extras.numeric, rows.extras.codes))
        if held.setdefault(whole, row) != row:
            found.append((held[whole], row))
    if found:
        first, again = found[0]
        raise UserError(
            f"{where}, rows {first + 1} and {again + 1}: found two equal transactions, expected each once; "
            f"{_others(np.ones(len(found), bool), what='repeated rows')}",
            hint="leave repeated rows out; if both happened, a column that tells them apart is data.id=COLUMN",
        )


def texts_of(column: Column) -> tuple[Whole, NDArray[np.str_]]:
    """Codes [n], -1 where missing, and the distinct values as text, sorted; looked at once a distinct value."""
    encoded = pc.dictionary_encode(plain_values(column))
    text = as_text(encoded.dictionary)
    known = np.asarray(text.is_valid())
    texts, code = np.unique(_as_array(text.drop_null()), return_inverse=True)
    of_value = np.full(len(text) + 1, -1)
    of_value[:-1][known] = code
    return of_value[np.asarray(encoded.indices.fill_null(len(text)))], texts


def numbers(first: int, stop: int) -> NDArray[np.str_]:
    """Whole numbers as text, no wider than the last one: NumPy gives each the room of the largest of 64 bits."""
    return np.arange(first, stop).astype(f"U{len(str(max(stop - 1, 0)))}")


def _as_array(text: pa.Array) -> NDArray[np.str_]:
    """Without missing values. Plain letters are laid out at once: ten times as fast as by way of Python's text."""
    if not len(text):
        return np.empty(0, "U1")
    ends = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    letters = np.frombuffer(text.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    if (letters > 127).any() or not len(letters):
        return np.asarray(text.to_numpy(zero_copy_only=False), np.str_)
    length = np.diff(ends)
    wide = np.zeros((len(text), length.max()), np.uint32)
    wide[np.arange(wide.shape[1]) < length[:, None]] = letters
    return wide.view(f"U{wide.shape[1]}").ravel()


def _reject_missing(missing: NDArray[np.bool_], name: str, where: str, expected: str) -> None:
    if missing.any():
        row = int(np.argmax(missing)) + 1
        raise UserError(f"{where}, row {row}, column `{name}`: found nothing, expected {expected}; {_others(missing)}")


def _others(which: NDArray[np.generic], *, what: str = "rows") -> str:
    count = int(np.count_nonzero(which))
    return f"{count:,} {what} are like it" if count > 1 else f"no other {what.removesuffix('s')} is like it"
