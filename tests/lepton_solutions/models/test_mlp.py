"""The tabular MLP: repeatable to the bit, the same after saving, the same alone as in a batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fit_settings import fit_settings

from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.decision import sigmoid
from lepton_solutions.engines import Engine
from lepton_solutions.models.mlp import Ensemble, TabularMLP
from lepton_solutions.settings import Fit
from lepton_solutions.settings import TabularMLP as Shape
from lepton_solutions.training.tabular import fit_mlp

SHAPE = Shape(members=3, width=8, bins=4, dropout=0.2, input_dropout=0.1)
FIT = fit_settings(epochs=4, batch_size=32, learning_rate=0.02, weight_decay=0.1, label_smoothing=0.05)


def sample(p: int = 2, q: int = 1, n: int = 200) -> tuple[Rows, np.ndarray, Columns]:
    """Missing numbers, every code, and a target that the first input decides."""
    generator = np.random.default_rng(0)
    numeric = generator.normal(size=(n, p)).astype(np.float32)
    codes = generator.integers(0, 4, (n, q))
    target = ((numeric[:, 0] if p else codes[:, 0] - 1.5) > 0).astype(np.int8)
    numeric[generator.random((n, p)) < 0.05] = np.nan
    columns = [Column(f"x{i}", "numeric") for i in range(p)]
    columns += [Column(f"c{i}", "category", ("a", "b")) for i in range(q)]
    return Rows(numeric, codes), target, Columns(tuple(columns))


def trained(seed: int = 0, p: int = 2, q: int = 1, shape: Shape = SHAPE, settings: Fit = FIT) -> TabularMLP:
    rows, target, columns = sample(p, q)
    weight = np.ones(len(target))
    return fit_mlp(rows, target, weight, columns=columns, shape=shape, settings=settings, seed=seed)


@pytest.fixture(scope="module")
def model() -> TabularMLP:
    return trained()


def same_weights(one: TabularMLP, other: TabularMLP) -> bool:
    others = other.net.state_dict()
    return all(torch.equal(torch.nan_to_num(t), torch.nan_to_num(others[n])) for n, t in one.net.state_dict().items())


def test_the_same_seed_gives_the_same_weights_bit_for_bit(model: TabularMLP):
    torch.rand(7)  # what others drew before does not matter
    assert same_weights(model, trained())


def test_another_seed_gives_others(model: TabularMLP):
    assert not same_weights(model, trained(seed=1))


def test_training_leaves_the_random_state_of_the_process_alone():
    before = torch.get_rng_state()
    trained()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_saved_model_answers_the_same(model: TabularMLP, tmp_path: Path):
    model.save(tmp_path / "mlp")
    assert [file.name for file in (tmp_path / "mlp").iterdir()] == ["weights.safetensors"]
    rows, *_ = sample()
    np.testing.assert_array_equal(TabularMLP.load(tmp_path / "mlp").logit(rows), model.logit(rows))


def test_a_row_alone_is_answered_as_among_others(model: TabularMLP):
    rows, *_ = sample()
    alone = np.concatenate([model.logit(rows.take(slice(i, i + 1))) for i in range(20)])
    # Computed in float64: what is left is the order of sums.
    np.testing.assert_allclose(alone, model.logit(rows)[:20], rtol=0, atol=1e-12)


def test_more_rows_than_are_computed_at_once_keep_their_order(model: TabularMLP):
    rows, *_ = sample()
    many = rows.take(np.tile(np.arange(200), 50))
    np.testing.assert_allclose(model.logit(many), np.tile(model.logit(rows), 50), rtol=0, atol=1e-12)


def test_no_rows_are_no_answers(model: TabularMLP):
    rows, *_ = sample()
    assert model.logit(rows.take(slice(0, 0))).shape == (0,)


@pytest.mark.parametrize(("p", "q"), [(2, 1), (2, 0), (0, 1)])
def test_numbers_alone_and_categories_alone_are_learned_and_exported(p: int, q: int):
    model = trained(p=p, q=q, settings=FIT.model_copy(update={"epochs": 30}))
    rows, target, _ = sample(p, q)
    logit = model.logit(rows)
    known = ~np.isnan(rows.numeric).any(1)
    assert ((logit > 0) == (target == 1))[known].mean() > 0.9
    exported = Engine(model.graph().SerializeToString()).logit(rows.numeric, rows.codes)
    np.testing.assert_allclose(sigmoid(exported), sigmoid(logit), rtol=0, atol=1e-6)  # float32 against float64


def test_the_forward_pass_is_the_mean_of_the_members_that_are_trained():
    ensemble = Ensemble(
        5, members=4, width=8, dropout=0, input_dropout=0, prior=0.3, generator=torch.Generator().manual_seed(0)
    )
    features = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ensemble.eval()(features), ensemble.train()(features).mean(1))


def test_members_differ_from_the_start():
    ensemble = Ensemble(
        5, members=4, width=8, dropout=0, input_dropout=0, prior=0.5, generator=torch.Generator().manual_seed(0)
    )
    first, *others = ensemble.train()(torch.ones(1, 5))[0].tolist()
    assert all(first != other for other in others)


def test_a_member_knows_the_base_rate_before_it_has_learned_anything():
    ensemble = Ensemble(3, members=2, width=4, dropout=0, input_dropout=0, prior=0.2)
    assert torch.sigmoid(ensemble.eval()(torch.zeros(1, 3))).item() == pytest.approx(0.2, abs=1e-6)


def test_rows_without_weight_teach_nothing():
    """A column that decides the target only in rows of weight 0 stays without influence on the order."""
    rows, target, columns = sample()
    wrong = rows.numeric[:, 0] > 0.5
    spoilt = np.where(wrong, 1 - target, target).astype(np.int8)
    fits = {"columns": columns, "shape": SHAPE, "settings": FIT.model_copy(update={"epochs": 30}), "seed": 0}
    ignored = fit_mlp(rows, spoilt, np.where(wrong, 0.0, 1.0), **fits).logit(rows)
    learned = fit_mlp(rows, spoilt, np.ones(200), **fits).logit(rows)
    assert ignored[wrong].mean() > learned[wrong].mean()
