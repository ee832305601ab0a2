"""Raw rows as the step layer reads them, and what in them training never saw."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from machine_model import predictor

from lepton_solutions.errors import UserError
from manufacturing.failure.records import Inputs, Regimes


def test_numbers_texts_and_a_table_say_the_same():
    inputs = predictor().inputs
    rows = [{"hour": 1, "heat": 0.1, "vibration": None, "load": 3}, {"hour": 2, "heat": 1, "vibration": 2, "load": 0.7}]
    texts = [{key: "NA" if value is None else str(value) for key, value in row.items()} for row in rows]
    for given in (texts, pa.Table.from_pylist(rows), pa.Table.from_pylist(rows).to_batches()[0]):
        np.testing.assert_array_equal(inputs.records(given).values, inputs.records(rows).values)
        np.testing.assert_array_equal(inputs.records(given).time, [1, 2])


@pytest.mark.parametrize("bad", ["hot", float("inf")])
def test_a_value_that_is_no_number_is_named_by_row_and_column(bad):
    rows = [{"hour": 1, "heat": 0.1, "vibration": 1.0, "load": 3}, {"hour": 2, "heat": bad, "vibration": 2, "load": 1}]
    with pytest.raises(UserError, match="row 2, column `heat`"):
        predictor().inputs.records(rows)


def test_a_column_that_the_network_reads_nothing_of_may_be_absent():
    inputs = predictor().inputs
    idle = replace(inputs, seen=(None, *inputs.seen[1:]))
    values = idle.records([{"hour": 1, "vibration": 1.0, "load": 3.0}]).values
    np.testing.assert_array_equal(values, [[np.nan, 1, 3]])


def test_a_level_that_training_never_saw_is_flagged():
    inputs = predictor(categories=True).inputs
    records = inputs.records([{"hour": 1, "heat": 0.1, "kind": kind} for kind in ("L", "X", None)])
    assert inputs.unusual(records.values) == [[], ["`kind`: a value never seen in training"], []]


def test_a_regime_is_new_where_no_row_of_training_was_so_far_from_every_centre():
    inputs = replace(predictor().inputs, regimes=Regimes((0, 2), ((0.1, 0.1), (0.9, 0.5)), (1.0, 0.5), 0.2))
    values = np.array([[0.1, 0.5, 0.2], [0.5, 0.5, 0.3], [0.9, np.nan, 0.5]], np.float32)
    assert inputs.regimes is not None
    # By hand: (0, .1 / .5), (.4, .2 / .5), (0, 0) from the nearest centre.
    np.testing.assert_allclose(inputs.regimes.distance(values), [0.2, np.hypot(0.4, 0.4), 0], atol=1e-6)
    assert [bool(told) for told in inputs.unusual(values)] == [False, True, False]


def test_inputs_come_back_from_json_as_they_were():
    inputs = replace(predictor().inputs, regimes=Regimes((0,), ((0.1,),), (1.0,), 0.2), first=(0.0, 1.5))
    assert Inputs.from_json(json.loads(json.dumps(inputs.to_json(), allow_nan=False))) == inputs
