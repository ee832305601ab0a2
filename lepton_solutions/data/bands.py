"""The groups of a column for tables that report by group: its values, or bands of a number that has many."""

from itertools import pairwise

import numpy as np
import pyarrow as pa

from lepton_solutions.data.columns import as_number, as_text, is_number_text

MOST_VALUES = 10  # distinct numbers shown one by one; more are put into four bands of equal size


def bands(column: pa.ChunkedArray, *, name: str) -> list[tuple[str, np.ndarray]]:
    """Label and mask [n] of each group, in order; missing values belong to none.

    >>> [(label, mask.tolist()) for label, mask in bands(pa.chunked_array([["a", "b", None]]), name="sex")]
    [('a', [True, False, False]), ('b', [False, True, False])]
    """
    text = as_text(column)
    known = text.drop_null()
    values = known.unique().to_pylist()
    if len(values) <= MOST_VALUES or not is_number_text(known).all():
        found = np.asarray(text.to_numpy(zero_copy_only=False), dtype=object)
        numbers = bool(is_number_text(known).all())
        return [(value, found == value) for value in sorted(values, key=float if numbers else None)]
    number = as_number(column, name=name)
    edges = np.unique(np.nanquantile(number, [0.25, 0.5, 0.75]))
    place = np.where(np.isnan(number), -1, np.searchsorted(edges, number, side="right"))
    ends = pairwise([-np.inf, *edges, np.inf])
    return [(_between(low, high), place == i) for i, (low, high) in enumerate(ends)]


def _between(low: float, high: float) -> str:
    if low == -np.inf:
        return f"below {high:g}"
    return f"{low:g} or more" if high == np.inf else f"{low:g} to below {high:g}"
