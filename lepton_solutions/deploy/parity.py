"""Does the exported model answer as the trained one? On real rows, and on the rows that exports tend to get wrong."""

from collections.abc import Callable, Sequence
from typing import NotRequired, TypedDict

import numpy as np
import pyarrow as pa

from lepton_solutions.data.columns import Columns, Rows
from lepton_solutions.data.decision import Decision
from lepton_solutions.engines import Engine
from lepton_solutions.errors import UserError

# Largest difference of a probability that is no defect: float32 arithmetic against float64.
TOLERANCE = 1e-5
_UNSEEN = "\x00 no such level"


class Case(TypedDict):
    """One kind of rows answered by both models; `flipped` counts decisions that differ, but for those on the line."""

    case: str
    rows: int
    largest_difference: float
    largest_difference_of_distance: NotRequired[float]
    flipped: int


class Proof(TypedDict):
    """`parity` in `metrics.json`: over all cases, and each."""

    rows: int
    largest_difference: float
    flipped: int
    cases: list[Case]


def proof_of(cases: Sequence[Case]) -> Proof:
    """All cases together."""
    return Proof(
        rows=sum(case["rows"] for case in cases),
        largest_difference=max(case["largest_difference"] for case in cases),
        flipped=sum(case["flipped"] for case in cases),
        cases=list(cases),
    )


def refuse_a_difference(proof: Proof, *, tolerance: float) -> None:
    """Raises UserError for a flipped decision, and for a difference above the tolerance or that is no number."""
    for case in proof["cases"]:
        if case["flipped"] or not case["largest_difference"] <= tolerance:
            raise UserError(
                f"the exported model does not answer as the trained one, first on `{case['case']}`: largest difference "
                f"{case['largest_difference']:.2g}, {case['flipped']} answers flipped; nothing was released"
            )


def check_parity(
    rows: pa.Table, columns: Columns, decision: Decision, trained: Callable[[Rows], np.ndarray], engine: Engine
) -> Proof:
    """The largest difference of the probability and the number of flipped decisions, over all cases and in each.

    rows: as they were read, with the model's columns. trained: rows to log-odds [n]. Cases: the rows, single rows,
    every value missing, each column missing, categories with a level that training never saw.
    """
    first = rows.select(columns.names).slice(0, 200)
    nothing = {name: pa.nulls(len(first), pa.string()) for name in columns.names}
    tables = {"rows": rows.select(columns.names), "every value missing": pa.table(nothing)}
    for place, name in enumerate(columns.names):
        tables[f"`{name}` missing"] = first.set_column(place, name, nothing[name])
    if columns.categories:
        unseen = {column.name: pa.array([_UNSEEN] * len(first)) for column in columns.categories}
        tables["unseen categories"] = pa.table({name: unseen.get(name, first.column(name)) for name in columns.names})
    cases = [
        _compare(case, decision, trained(encoded), engine.logit(encoded.numeric, encoded.codes))
        for case, encoded in ((case, columns.encode(table)) for case, table in tables.items())
    ]
    some = columns.encode(first)
    alone = [engine.logit(some.numeric[i : i + 1], some.codes[i : i + 1]) for i in range(len(some))]
    cases.insert(1, _compare("single rows", decision, trained(some), np.concatenate(alone)))
    return proof_of(cases)


def _compare(case: str, decision: Decision, trained: np.ndarray, exported: np.ndarray) -> Case:
    before, after = decision.probability(trained), decision.probability(exported)
    flipped = (before >= decision.threshold) != (after >= decision.threshold)
    return {
        "case": case,
        "rows": len(before),
        "largest_difference": float(np.abs(before - after).max(initial=0)),
        # A row nearer to the cut-off than the tolerance has no decision to flip.
        "flipped": int((flipped & (np.abs(before - decision.threshold) > TOLERANCE)).sum()),
    }
