"""The input layer: features that can be computed by hand, the same in torch and in the exported graph."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.engines import Engine
from lepton_solutions.models.graphs import export_torch
from lepton_solutions.models.inputs import TableInputs

NAN = np.nan
COLUMNS = Columns((Column("age", "numeric"), Column("same", "numeric"), Column("job", "category", ("a", "b"))))


def rows(numeric: list[list[float]], codes: list[list[int]]) -> Rows:
    return Rows(np.array(numeric, dtype=np.float32), np.array(codes, dtype=np.int64))


TRAIN = rows([[0, 7], [1, 7], [2, 7], [3, 7], [4, 7], [NAN, 7]], [[2], [3], [2], [2], [3], [1]])


@pytest.fixture(scope="module")
def inputs() -> TableInputs:
    return TableInputs.fit(TRAIN, np.ones(6), COLUMNS, bins=4)


def features(inputs: TableInputs, numeric: list[float], codes: list[int]) -> list[float]:
    return inputs(torch.tensor([numeric]), torch.tensor([codes]))[0].tolist()


def bent(z: float) -> float:
    return z / np.sqrt(1 + (z / 3) ** 2)


def test_a_row_by_hand(inputs: TableInputs):
    # The median of age is 2, its quartiles 1 and 3, so its scale is 2 / 1.35; its edges are 0, 1, 2, 3, 4.
    z = bent((2.5 - 2) / (2 / 1.35))
    expected = [z, 0, *[1, 1, 0.5, 0], 0, *[0, 0, 0, 1]]  # age, same; places of age; age missing; codes of job
    assert features(inputs, [2.5, 7], [3]) == pytest.approx(expected, abs=1e-6)


def test_a_missing_number_takes_the_place_of_the_median_and_raises_its_flag(inputs: TableInputs):
    assert features(inputs, [NAN, NAN], [1]) == pytest.approx([0, 0, *[1, 1, 0, 0], 1, *[0, 1, 0, 0]])


def test_an_unseen_level_has_a_code_of_its_own(inputs: TableInputs):
    assert features(inputs, [2, 7], [0])[-4:] == [1, 0, 0, 0]


@pytest.mark.parametrize(("wild", "z", "places"), [(1e30, 3, [1] * 4), (-1e30, -3, [0] * 4)])
def test_a_wild_value_cannot_leave_its_bounds(inputs: TableInputs, wild: float, z: float, places: list[float]):
    found = features(inputs, [wild, 7], [2])
    assert found[0] == pytest.approx(z, abs=1e-5)
    assert found[2:6] == places


def test_features_counts_them(inputs: TableInputs):
    assert inputs.features == 2 + 4 + 1 + 4


def test_a_weight_counts_as_so_many_rows():
    generator = np.random.default_rng(0)
    values = Rows(generator.normal(size=(40, 2)).astype(np.float32), generator.integers(0, 4, (40, 1)))
    weight = generator.integers(1, 4, 40)
    repeated = values.take(np.repeat(np.arange(40), weight))
    one = TableInputs.fit(values, weight.astype(float), COLUMNS, bins=8)
    other = TableInputs.fit(repeated, np.ones(len(repeated)), COLUMNS, bins=8)
    for name, tensor in one.state_dict().items():
        np.testing.assert_array_equal(tensor, other.state_dict()[name])


def test_rows_without_weight_are_not_looked_at():
    wild = rows([[0, 7], [1, 7], [2, 7], [1e9, 7]], [[2]] * 4)
    with_it = TableInputs.fit(wild, np.array([1, 1, 1, 0]), COLUMNS, bins=4)
    without = TableInputs.fit(wild.take(slice(0, 3)), np.ones(3), COLUMNS, bins=4)
    np.testing.assert_array_equal(with_it.edges, without.edges)
    np.testing.assert_array_equal(with_it.center, without.center)


def test_a_column_without_a_known_value_gives_nothing():
    lost = TableInputs.fit(rows([[NAN, 7], [NAN, 7]], [[2], [2]]), np.ones(2), COLUMNS, bins=4)
    assert features(lost, [NAN, 7], [2])[:2] == [0, 0]
    assert np.isfinite(features(lost, [5, 7], [2])).all()


def test_the_layer_comes_back_from_its_tensors(inputs: TableInputs):
    again = TableInputs.from_tensors(inputs.state_dict())
    row = (torch.tensor([[1.5, NAN]]), torch.tensor([[2]]))
    assert torch.equal(again(*row), inputs(*row))


class Weighted(nn.Module):
    """Features times fixed weights: a graph with one number a row."""

    def __init__(self, inputs: TableInputs) -> None:
        super().__init__()
        self.inputs = inputs
        self.register_buffer("weights", torch.linspace(-1, 1, inputs.features))

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        return self.inputs(numeric, codes) @ self.weights


def layer(p: int, q: int) -> tuple[Weighted, Engine]:
    generator = np.random.default_rng(p + 10 * q)
    columns = [Column(f"x{i}", "numeric") for i in range(p)]
    columns += [Column(f"c{i}", "category", ("a", "b")) for i in range(q)]
    numeric = generator.normal(size=(50, p)).astype(np.float32)
    numeric[generator.random((50, p)) < 0.1] = NAN
    train = Rows(numeric, generator.integers(0, 4, (50, q)))
    module = Weighted(TableInputs.fit(train, np.ones(50), Columns(tuple(columns)), bins=8))
    return module, Engine(export_torch(module, p=p, q=q).SerializeToString())


LAYERS = {}


@pytest.mark.parametrize(("p", "q"), [(2, 2), (2, 0), (0, 2)])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_the_exported_graph_answers_as_torch_does(p: int, q: int, data: st.DataObject):
    module, engine = LAYERS.get((p, q)) or LAYERS.setdefault((p, q), layer(p, q))
    n = data.draw(st.integers(1, 5))
    number = st.one_of(st.just(NAN), st.floats(-1e6, 1e6, width=32))
    numeric = np.array([[data.draw(number) for _ in range(p)] for _ in range(n)], dtype=np.float32).reshape(n, p)
    codes = np.array([[data.draw(st.integers(0, 3)) for _ in range(q)] for _ in range(n)], dtype=np.int64).reshape(n, q)
    expected = module(torch.from_numpy(numeric), torch.from_numpy(codes)).numpy()
    # Both are float32; sums of some twenty features of size up to 3 may be ordered differently.
    np.testing.assert_allclose(engine.logit(numeric, codes), expected, rtol=1e-5, atol=1e-5)
