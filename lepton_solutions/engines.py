"""Run an exported model. One engine at present: ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime

ENGINE = "onnxruntime-fp32"
CHUNK = 4096  # rows of one call: bounds the memory of the layers between, and keeps them in the cache


class Engine:
    """An ONNX file, ready to answer: float32 [rows, numeric] and int64 [rows, categories] to log-odds [rows].

    threads: processors for one call, 0 lets the runtime take them all.
    """

    def __init__(self, model: Path | bytes, *, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def logit(self, numeric: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """float64 [rows]."""
        answers = [np.empty(0)]
        for start in range(0, len(numeric), CHUNK):
            rows = slice(start, start + CHUNK)
            answers += self._session.run(["logit"], {"numeric": numeric[rows], "codes": codes[rows]})
        return np.concatenate(answers)
