"""The grey levels of the train part: range, mean and spread. Read in pieces, as a part may exceed memory."""

from __future__ import annotations

import numpy as np

from medical.imaging.decoding import Form
from medical.imaging.settings import Images

_CHUNK = 64 * 2**20  # bytes of pixels that are looked at in one go
_SAMPLED = 2_000_000  # pixels of the train part that tell its range
_RANGE = (0.1, 99.9)  # per cent: a metal clip in one image must not squeeze all others into a few grey levels


def chunks(n: int, row_bytes: int) -> list[tuple[int, int]]:
    """Ranges of rows of about 64 MB."""
    step = max(1, _CHUNK // max(1, row_bytes))
    return [(start, min(n, start + step)) for start in range(0, n, step)]


def window(data: Images, form: Form, train: np.ndarray) -> tuple[float, float]:
    """Low and high in raw units."""
    if isinstance(data.window, tuple):
        return data.window
    if form.kind == "bytes" or form.file_window:
        return 0.0, 255.0
    each = int(np.prod(train.shape[1:]))
    rows = np.unique(np.linspace(0, len(train) - 1, max(1, min(len(train), _SAMPLED // each + 1))).astype(int))
    step = max(1, len(rows) * each // _SAMPLED)
    sample = np.concatenate([train[row].ravel()[::step] for row in rows])
    low, high = (float(value) for value in np.percentile(sample, _RANGE))
    return (low, high) if low < high else (low, low + 1.0)


def moments(train: np.ndarray, low: float, high: float) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the windowed train pixels, 0 to 1, one a channel."""
    count, total, squares = 0, np.zeros(train.shape[1]), np.zeros(train.shape[1])
    for start, stop in chunks(len(train), 8 * train[:1].size):
        share = np.clip((train[start:stop].astype(np.float64) - low) / (high - low), 0, 1)
        axes = (0, *range(2, share.ndim))
        total += share.sum(axis=axes)
        squares += (share**2).sum(axis=axes)
        count += share.size // share.shape[1]
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))  # a constant channel is left as it is, not blown up
    return mean.tolist(), std.tolist()
