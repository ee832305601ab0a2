"""Graphs: one face for every model, and averages of them."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from lepton_solutions.models.graphs import OPSET, assemble, average, chain, export_module, export_torch


class Sums(nn.Module):
    """2 * the sum of all inputs, with dropout on top."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.dropout = nn.Dropout(0.5)

    def forward(self, numeric: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.scale * (torch.nan_to_num(numeric).sum(1) + codes.sum(1)))


def run(model: onnx.ModelProto, numeric: np.ndarray, codes: np.ndarray) -> list[float]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logit"], {"numeric": numeric, "codes": codes})[0].tolist()


def inputs(n: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(n * p, dtype=np.float32).reshape(n, p), np.arange(n * q).reshape(n, q)


@pytest.mark.parametrize(("p", "q"), [(3, 2), (3, 0), (0, 2)])
@pytest.mark.parametrize("n", [1, 4])
def test_a_torch_module_exports_with_any_number_of_rows(p, q, n):
    numeric, codes = inputs(n, p, q)
    assert run(export_torch(Sums(), p=p, q=q), numeric, codes) == (2 * (numeric.sum(1) + codes.sum(1))).tolist()


def test_export_leaves_the_module_in_training_and_says_nothing(capfd):
    module = Sums().train()
    export_torch(module, p=2, q=1)
    assert module.training
    assert capfd.readouterr() == ("", "")


def test_the_same_module_gives_the_same_bytes_without_paths_of_this_machine():
    first, second = (export_torch(Sums(), p=2, q=1).SerializeToString() for _ in range(2))
    assert first == second
    assert b".py" not in first


class Scaled(nn.Module):
    """Images times the number beside each; `note` is not read."""

    def forward(self, image: torch.Tensor, factor: torch.Tensor, note: torch.Tensor) -> torch.Tensor:
        return image * factor.view(-1, 1, 1)


def test_any_module_exports_under_the_names_of_its_inputs():
    face = {"image": torch.zeros(2, 3, 4), "factor": torch.zeros(2, dtype=torch.int64), "note": torch.zeros(2, 1)}
    session = onnxruntime.InferenceSession(export_module(Scaled(), face, output="brighter").SerializeToString())
    assert [(i.name, i.shape, i.type) for i in session.get_inputs()] == [
        ("image", ["n", 3, 4], "tensor(float)"),
        ("factor", ["n"], "tensor(int64)"),
        ("note", ["n", 1], "tensor(float)"),
    ]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("brighter", ["n", 3, 4])]
    image = np.arange(60, dtype=np.float32).reshape(5, 3, 4)
    rows = {"image": image, "factor": np.arange(5), "note": np.zeros((5, 1), np.float32)}
    np.testing.assert_array_equal(session.run(None, rows)[0], image * np.arange(5).reshape(5, 1, 1))


@pytest.mark.parametrize("rows", [(1, 1), (2, 3)])
def test_examples_that_would_fix_the_number_of_rows_are_refused(rows):
    face = {"numeric": torch.zeros(rows[0], 2), "codes": torch.zeros(rows[1], 1, dtype=torch.int64)}
    with pytest.raises(ValueError, match="2 or more"):
        export_module(Sums(), face, output="logit")


def test_an_average_is_the_mean_of_the_graphs():
    numeric, codes = inputs(3, 2, 1)
    one = assemble(
        ["last = Constant <value_ints = [1]> ()", "logit = ReduceSum <keepdims = 0> (numeric, last)"], {}, p=2, q=1
    )
    merged = average([one, export_torch(Sums(), p=2, q=1), one])
    plain, other = numeric.sum(1), 2 * (numeric.sum(1) + codes.sum(1))
    assert run(merged, numeric, codes) == pytest.approx((2 * plain + other) / 3, rel=1e-6)
    assert {entry.domain: entry.version for entry in merged.opset_import}[""] == OPSET


def test_averages_of_averages_keep_their_names_apart():
    numeric, codes = inputs(3, 2, 1)
    one = export_torch(Sums(), p=2, q=1)
    nested = average([average([one, one]), one])
    assert run(nested, numeric, codes) == pytest.approx(run(one, numeric, codes), rel=1e-6)


def test_graphs_of_other_inputs_are_not_averaged():
    with pytest.raises(ValueError, match="same inputs"):
        average([export_torch(Sums(), p=2, q=1), export_torch(Sums(), p=3, q=1)])


class Both(nn.Module):
    """The mean over each image, and the image less its mean."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = image.flatten(1).mean(1)
        return mean, image - mean.view(-1, 1, 1)


def test_a_module_of_several_outputs_takes_images_of_any_size():
    model = export_module(
        Both(), {"image": torch.zeros(2, 5, 7)}, output=("mean", "rest"), free={"image": {1: "height", 2: "width"}}
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert session.get_inputs()[0].shape == ["n", "height", "width"]
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    mean, rest = session.run(["mean", "rest"], {"image": image})
    assert mean.tolist() == [5.5]
    np.testing.assert_array_equal(rest, image - 5.5)


class Fixed(nn.Module):
    """Asks for the number of rows as a plain number, which the exporter writes down as it is."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.reshape(len(image), -1).sum(1)


def test_a_module_that_fixes_a_free_size_is_refused():
    with pytest.raises(ValueError, match="image: the module works for 2 along axis 0 only"):
        export_module(Fixed(), {"image": torch.zeros(2, 5, 7)}, output="sum")


class Parts(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return 2 * x, x.sum(1, keepdim=True)


class Joined(nn.Module):
    def forward(self, doubled: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        return doubled - total


def test_a_chain_hands_each_graph_what_those_before_it_found():
    first = export_module(Parts(), {"x": torch.rand(2, 3)}, output=("doubled", "total"))
    last = export_module(Joined(), {"doubled": torch.rand(2, 3), "total": torch.rand(2, 1)}, output="found")
    session = onnxruntime.InferenceSession(chain([first, last]).SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(session.run(["found"], {"x": x})[0], 2 * x - x.sum(1, keepdims=True))


def test_a_chain_with_a_link_missing_is_refused():
    first = export_module(Parts(), {"x": torch.rand(2, 3)}, output=("doubled", "sum"))
    last = export_module(Joined(), {"doubled": torch.rand(2, 3), "total": torch.rand(2, 1)}, output="found")
    with pytest.raises(ValueError, match="nothing before it finds total"):
        chain([first, last])
