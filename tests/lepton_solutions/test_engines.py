"""The engine answers as the graph's arithmetic says, row by row, however many rows come at once."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lepton_solutions.engines import CHUNK, Engine


@pytest.fixture(scope="module")
def model() -> bytes:
    """logit = first number + 10 * first code."""
    inputs = [
        helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["n", 2]),
        helper.make_tensor_value_info("codes", TensorProto.INT64, ["n", 1]),
    ]
    constants = [
        numpy_helper.from_array(np.array([[1.0], [0.0]], np.float32), "pick"),
        numpy_helper.from_array(np.array([10.0], np.float32), "ten"),
        numpy_helper.from_array(np.array([-1]), "flat"),
    ]
    nodes = [
        helper.make_node("MatMul", ["numeric", "pick"], ["first"]),
        helper.make_node("Cast", ["codes"], ["code"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["code", "ten"], ["tens"]),
        helper.make_node("Add", ["first", "tens"], ["column"]),
        helper.make_node("Reshape", ["column", "flat"], ["logit"]),
    ]
    output = helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph(nodes, "toy", inputs, [output], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("rows", [0, 1, 5, CHUNK, CHUNK + 1, 2 * CHUNK + 7])
def test_every_row_is_answered_in_its_place(model: bytes, rows: int):
    numeric = np.stack([np.arange(rows), np.zeros(rows)], axis=1).astype(np.float32)
    codes = (np.arange(rows) % 3)[:, None].astype(np.int64)
    answer = Engine(model).logit(numeric, codes)
    assert answer.dtype == np.float64
    np.testing.assert_array_equal(answer, numeric[:, 0] + 10 * codes[:, 0])


def test_a_file_and_its_bytes_are_the_same_engine(model: bytes, tmp_path: Path):
    file = tmp_path / "model.onnx"
    file.write_bytes(model)
    one = (np.array([[3.0, 0.0]], np.float32), np.array([[2]]))
    assert Engine(file, threads=1).logit(*one).tolist() == Engine(model).logit(*one).tolist() == [23.0]


@pytest.fixture(scope="module")
def pair() -> bytes:
    """twice = 2 x and its total over a row, of images of one channel."""
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, "h", "w"])
    nodes = [
        helper.make_node("Add", ["x", "x"], ["twice"]),
        helper.make_node("ReduceSum", ["twice", "axes"], ["total"], keepdims=0),
    ]
    outputs = [
        helper.make_tensor_value_info("twice", TensorProto.FLOAT, ["n", 1, "h", "w"]),
        helper.make_tensor_value_info("total", TensorProto.FLOAT, ["n"]),
    ]
    axes = numpy_helper.from_array(np.array([1, 2, 3]), "axes")
    made = helper.make_model(
        helper.make_graph(nodes, "pair", [picture], outputs, [axes]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    return bytes(made.SerializeToString())


def test_every_output_comes_back_by_its_name_however_large_the_images(pair: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lepton_solutions.engines.CHUNK_BYTES", 3 * 4 * 20)  # three images a call
    images = np.arange(7 * 20, dtype=np.float32).reshape(7, 1, 4, 5)
    found = Engine(pair).answers(x=images)
    np.testing.assert_array_equal(found["twice"], 2 * images)
    np.testing.assert_array_equal(found["total"], 2 * images.sum(axis=(1, 2, 3)))
    assert Engine(pair).inputs == ("x",)
