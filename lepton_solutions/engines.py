"""Run an exported model. One engine at present: ONNX Runtime."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

ENGINE = "onnxruntime-fp32"
CHUNK = 4096  # rows of one call: bounds the memory of the layers between, and keeps them in the cache


class Engine:
    """An ONNX file with one output, ready to answer for any number of rows.

    threads: processors for one call, 0 lets the runtime take them all.
    """

    def __init__(self, model: Path | bytes, *, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def answer(self, **inputs: np.ndarray) -> np.ndarray:
        """The output for inputs by name, each [rows, ...] with one row or more."""
        places = range(0, len(next(iter(inputs.values()))), CHUNK)
        chunks = ({name: array[start : start + CHUNK] for name, array in inputs.items()} for start in places)
        return np.concatenate([self._session.run(None, chunk)[0] for chunk in chunks])

    def logit(self, numeric: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Of a table: float32 [rows, numeric] and int64 [rows, categories] to log-odds, float64 [rows]."""
        if not len(numeric):
            return np.empty(0)
        return self.answer(numeric=numeric, codes=codes).astype(np.float64)


def latency_ms(call: Callable[[], object], *, calls: int = 300) -> dict[str, float]:
    """Milliseconds of a call, such as the answer for one row: median and 95th percentile."""
    taken = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    return {"p50": round(float(np.median(taken)), 4), "p95": round(float(np.quantile(taken, 0.95)), 4)}
