"""Fleets of a few lives whose every figure can be counted by hand."""

from collections.abc import Sequence

import numpy as np

from manufacturing.failure.fleet import NOT_GIVEN, Fleet


def fleet(
    lives: Sequence[tuple[int, float | None]], *, unit: Sequence[str] | None = None, label: Sequence[int] | None = None
) -> Fleet:
    """lives: rows, read at 0, 1, 2, ..., and when it failed (None: alive, seen until its last row)."""
    rows = [n for n, _ in lives]
    starts = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
    time = np.concatenate([np.arange(n, dtype=np.float64) for n in rows])
    failed = np.array([np.nan if end is None else end for _, end in lives])
    return Fleet(
        name="by hand",
        question="rul",
        sensors=("wear",),
        values=time[:, None].astype(np.float32),
        time=time,
        starts=starts,
        unit=np.array([f"machine {place}" for place in range(len(rows))] if unit is None else unit),
        failed_at=failed,
        seen_until=np.fmax(failed, time[starts[1:] - 1]),
        part=np.full(len(rows), NOT_GIVEN, np.int8),
        clock="hours",
        label=None if label is None else np.array(label, np.int64),
        labels=() if label is None else ("fine", "broken"),
    )
