"""The parity check sees what an export gets wrong, and only that."""

import numpy as np
import pyarrow as pa
import pytest

from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.decision import Decision
from lepton_solutions.deploy.parity import TOLERANCE, check_parity
from lepton_solutions.engines import Engine, latency_ms
from lepton_solutions.models.graphs import assemble

COLUMNS = Columns((Column("x", "numeric"), Column("kind", "category", ("a", "b"))))
DECISION = Decision(1.0, 0.0, 0.5, 0.5, 0.5, below="no", at_or_above="yes")
ROWS = pa.table({"x": np.linspace(-2, 2, 41), "kind": ["a", "b", None, "a", "b"] * 8 + ["a"]})
# x, or 0.25 where it is missing, plus what each code adds.
LINES = [
    "absent = IsNaN (numeric)",
    "x = Where (absent, fill, numeric)",
    "flat = ReduceSum <keepdims = 0> (x, last)",
    "code = ReduceSum <keepdims = 0> (codes, last)",
    "added = Gather (by_code, code)",
    "logit = Add (flat, added)",
]
BY_CODE = np.array([-1.0, 0.5, 1.0, 0.0], dtype=np.float32)


def engine(*, fill: float = 0.25, by_code: np.ndarray = BY_CODE) -> Engine:
    arrays = {"fill": np.array([fill], np.float32), "by_code": by_code.astype(np.float32), "last": np.array([1])}
    return Engine(assemble(LINES, arrays, p=1, q=1).SerializeToString())


def trained(rows: Rows) -> np.ndarray:
    x = np.where(np.isnan(rows.numeric[:, 0]), 0.25, rows.numeric[:, 0].astype(np.float64))
    return x + BY_CODE[rows.codes[:, 0]]


def wrong_in(found: dict) -> list[str]:
    return [case["case"] for case in found["cases"] if case["largest_difference"] > TOLERANCE]


def test_a_faithful_export_passes_in_every_case():
    found = check_parity(ROWS, COLUMNS, DECISION, trained, engine())
    assert found["flipped"] == 0 and found["largest_difference"] < 1e-6
    assert [case["case"] for case in found["cases"]] == [
        "rows", "single rows", "every value missing", "`x` missing", "`kind` missing", "unseen categories",
    ]  # fmt: skip
    assert found["rows"] == sum(case["rows"] for case in found["cases"]) == 6 * 41


def test_a_wrong_fill_shows_where_a_number_is_missing():
    found = check_parity(ROWS, COLUMNS, DECISION, trained, engine(fill=0.3))
    assert wrong_in(found) == ["every value missing", "`x` missing"]


def test_a_wrong_answer_to_unseen_categories_shows_there():
    found = check_parity(ROWS, COLUMNS, DECISION, trained, engine(by_code=np.add(BY_CODE, [0.1, 0, 0, 0])))
    assert wrong_in(found) == ["unseen categories"]


def test_the_largest_difference_is_that_of_the_probability():
    found = check_parity(ROWS, COLUMNS, DECISION, trained, engine(by_code=np.add(BY_CODE, [0, 0, 0, 0.2])))
    known = ROWS.filter(pa.compute.equal(ROWS.column("kind"), "b")).column("x").to_numpy()
    p, q = DECISION.probability(known), DECISION.probability(known + 0.2)
    assert found["largest_difference"] == pytest.approx(np.abs(p - q).max(), abs=1e-6)  # float32 in the graph


def test_a_flipped_decision_is_counted():
    shifted = np.add(BY_CODE, [0, 0, 0, 0.35])
    found = check_parity(ROWS, COLUMNS, DECISION, trained, engine(by_code=shifted))
    x = ROWS.filter(pa.compute.equal(ROWS.column("kind"), "b")).column("x").to_numpy()
    assert found["cases"][0]["flipped"] == ((x < 0) & (x + 0.35 >= 0)).sum() > 0


def test_a_row_on_the_cut_off_has_no_decision_to_flip():
    rows = pa.table({"x": [0.0], "kind": ["b"]})
    found = check_parity(rows, COLUMNS, DECISION, trained, engine(by_code=BY_CODE - [0, 0, 0, 1e-6]))
    assert found["cases"][0]["largest_difference"] > 0
    assert found["flipped"] == 0


def test_latency_is_a_median_and_a_tail_in_that_order():
    row = COLUMNS.encode(ROWS.slice(0, 1))
    ready = engine()
    found = latency_ms(lambda: ready.logit(row.numeric, row.codes), calls=20)
    assert 0 < found["p50"] <= found["p95"]
