"""Run an exported model. One engine at present: ONNX Runtime."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnxruntime

ENGINE = "onnxruntime-fp32"
CHUNK = 4096  # rows of one call: bounds the memory of the layers between, and keeps them in the cache
CHUNK_BYTES = (
    16 * 2**20
)  # of the largest input of one call where rows are images: the layers between take many times it


class Engine:
    """An ONNX file, ready to answer for any number of rows.

    threads: processors for one call, 0 lets the runtime take them all.
    """

    def __init__(self, model: Path | bytes, *, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def answer(self, **inputs: np.ndarray) -> np.ndarray:
        """The first output for inputs by name, each [rows, ...] with one row or more."""
        return np.concatenate([self._session.run(None, chunk)[0] for chunk in _chunks(inputs, CHUNK)])

    def answers(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Every output by its name, for inputs by name, each [rows, ...] with one row or more."""
        heaviest = max(array[:1].nbytes for array in inputs.values())
        rows = min(CHUNK, max(1, CHUNK_BYTES // max(heaviest, 1)))
        parts = [self._session.run(None, chunk) for chunk in _chunks(inputs, rows)]
        names = [output.name for output in self._session.get_outputs()]
        return {name: np.concatenate([part[place] for part in parts]) for place, name in enumerate(names)}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what the model reads."""
        return tuple(entry.name for entry in self._session.get_inputs())

    def logit(self, numeric: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Of a table: float32 [rows, numeric] and int64 [rows, categories] to log-odds, float64 [rows]."""
        if not len(numeric):
            return np.empty(0)
        return self.answer(numeric=numeric, codes=codes).astype(np.float64)


def _chunks(inputs: Mapping[str, np.ndarray], rows: int) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(next(iter(inputs.values()))), rows):
        yield {name: array[start : start + rows] for name, array in inputs.items()}


def latency_ms(call: Callable[[], object], *, calls: int = 300) -> dict[str, float]:
    """Milliseconds of a call, such as the answer for one row: median and 95th percentile."""
    taken = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    return {"p50": round(float(np.median(taken)), 4), "p95": round(float(np.quantile(taken, 0.95)), 4)}
