"""The predictor: opens a bundle and turns raw records into probabilities and decisions.

    from lepton_solutions import Predictor
    Predictor.open("runs/finance/credit/...").decide([{"duration": 12, "amount": 1500, ...}])

Imports numpy, pyarrow and ONNX Runtime; never torch, pandas or scikit-learn. The same `Columns.encode` and the same
`Decision` run here and in training.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from lepton_solutions import bundle
from lepton_solutions.data.columns import Columns, Rows, clean
from lepton_solutions.data.decision import Decision
from lepton_solutions.engines import Engine
from lepton_solutions.errors import UserError


@dataclass(frozen=True)
class Predictor:
    """A verified bundle, ready to answer.

    id: the column that names a row, where the bundle knows one. missing: further texts that mean a missing value.
    """

    pipeline: str
    columns: Columns
    decision: Decision
    engine: Engine
    id: str | None
    missing: tuple[str, ...]

    @classmethod
    def open(cls, path: str | Path, *, threads: int = 0) -> "Predictor":
        """Open a bundle, or the run folder that holds one. Raises UserError when a file is missing or was changed."""
        folder = bundle.find(Path(path))
        pipeline = bundle.verify(folder)
        inputs = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
        return cls(
            pipeline=pipeline,
            columns=Columns.from_json(inputs["columns"]),
            decision=Decision.from_json(json.loads((folder / "decision.json").read_text(encoding="utf-8"))),
            engine=Engine(folder / "model.onnx", threads=threads),
            id=inputs["id"],
            missing=tuple(inputs["missing"]),
        )

    def probability(self, rows: Rows) -> np.ndarray:
        """Calibrated probability of the positive class, float64 [rows]."""
        return self.decision.probability(self.engine.logit(rows.numeric, rows.codes))

    def decide(self, records: pa.Table | pa.RecordBatch | Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
        """Per record its `probability` and `decision`, in the order given.

        Records are dicts by column name or an arrow table; a missing value is None or NaN, an unseen category is
        scored as such, further keys are ignored. Raises UserError for an absent column or text where a number belongs.
        """
        table = records if isinstance(records, pa.Table | pa.RecordBatch) else self._table(records)
        probability = self.probability(self.columns.encode(table, where="the records"))
        return [
            {"probability": value, "decision": word}
            for value, word in zip(probability.tolist(), self.decision.words(probability), strict=True)
        ]

    def _table(self, records: Sequence[Mapping[str, object]]) -> pa.Table:
        if not records:
            return pa.table({column.name: pa.array([], pa.string()) for column in self.columns.columns})
        table = table_of(records, self.missing)
        absent = [column.name for column in self.columns.columns if column.name not in table.column_names]
        if len(absent) == len(self.columns.columns):
            raise UserError(f"the records hold none of the model's columns, such as `{absent[0]}`")
        return table


def table_of(records: Sequence[Mapping[str, object]], missing: Sequence[str] = ()) -> pa.Table:
    """Records as a table, a column for each key; a key that a record lacks is missing there.

    missing: the words that mean missing in a file, besides `MISSING_WORDS`; they mean it here too.
    """
    arrays = {}
    for name in dict.fromkeys(key for record in records for key in record):
        values = [record.get(name) for record in records]
        try:
            arrays[name] = pa.array(values, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # numbers and texts, or more than 64 bits: as texts
            gone = [value is None or value != value for value in values]
            arrays[name] = pa.array([None if no else str(value) for value, no in zip(values, gone, strict=True)])
    table = pa.table(arrays)
    return pa.Table.from_batches(list(clean(table.to_batches(), missing)), schema=None if len(table) else table.schema)
