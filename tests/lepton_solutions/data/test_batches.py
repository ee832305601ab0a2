"""The order of a resident set, and what its batches hold."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lepton_solutions.data.batches import Batch, Resident, bounds, not_finite
from lepton_solutions.errors import UserError


def made(rows, **options):
    """Inputs, target and weight that all tell the number of their row."""
    number = torch.arange(rows)
    return Resident((number.float().unsqueeze(1), number * 3), number * 2, number.float() + 1, **options)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows_of(batches):
    return [batch.rows.tolist() for batch in batches]


@pytest.mark.parametrize(("rows", "batch_size"), [(800, 256), (7, 3), (5, 5), (5, 9)])
def test_an_epoch_is_a_permutation_cut_into_nearly_equal_batches(rows, batch_size):
    expected = torch.randperm(rows, generator=seeded()).tensor_split(math.ceil(rows / batch_size))
    found = list(made(rows).epoch(batch_size, seeded()))
    assert rows_of(found) == [part.tolist() for part in expected]
    assert [batch.size for batch in found] == [len(part) for part in expected]


def test_inputs_target_and_weight_of_a_batch_belong_to_its_rows():
    for batch in made(50).epoch(8, seeded()):
        assert torch.equal(batch.inputs[0][:, 0], batch.rows.float())
        assert torch.equal(batch.inputs[1], batch.rows * 3)
        assert torch.equal(batch.target, batch.rows * 2)
        assert torch.equal(batch.weight, batch.rows.float() + 1)


@given(rows=st.integers(1, 60), batch_size=st.integers(1, 60), skip=st.integers(0, 60), balanced=st.booleans())
def test_an_epoch_without_its_first_batches_is_the_tail_of_the_whole(rows, batch_size, skip, balanced):
    batches = Resident((torch.zeros(rows),), torch.arange(rows) % 3, balanced=balanced)
    whole, tail = seeded(1), seeded(1)
    assert rows_of(batches.epoch(batch_size, tail, skip=skip)) == rows_of(batches.epoch(batch_size, whole))[skip:]
    assert torch.equal(whole.get_state(), tail.get_state())


@given(rows=st.integers(2, 60), batch_size=st.integers(2, 60), world=st.integers(2, 4))
def test_the_parts_of_all_processes_are_the_whole_batch(rows, batch_size, world):
    parts = [made(rows).epoch(batch_size, seeded(), part=(rank, world)) for rank in range(world)]
    for whole, *shares in zip(made(rows).epoch(batch_size, seeded()), *parts, strict=True):
        for rank, share in enumerate(shares):
            assert share.rows.tolist() == whole.rows[rank::world].tolist()
            assert share.size == len(whole.rows)


@given(rows=st.integers(1, 10_000), data=st.data())
def test_the_bounds_of_batches_follow_on_each_other(rows, data):
    steps = data.draw(st.integers(1, rows))
    found = [bounds(rows, steps, step) for step in range(steps)]
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == rows
    assert max(stop - start for start, stop in found) - min(stop - start for start, stop in found) <= 1


def test_balanced_classes_come_equally_often_and_rows_inside_a_class_too():
    target = torch.tensor([0.0] * 90 + [1.0] * 9 + [7.0])
    batches = Resident((torch.zeros(100),), target, balanced=True)
    generator = seeded()
    drawn = torch.cat([batch.rows for _ in range(300) for batch in batches.epoch(16, generator)])
    assert len(drawn) == 30_000
    times = torch.bincount(drawn, minlength=100)
    assert times[:90].sum() == pytest.approx(10_000, abs=300)  # exact within one row an epoch
    assert times[99] == pytest.approx(10_000, abs=300)
    # Binomial with mean 10,000 / 9: five standard deviations.
    assert (times[90:99] - 10_000 / 9).abs().max() < 5 * math.sqrt(10_000 * (1 / 9) * (8 / 9))


@pytest.mark.parametrize("target", [torch.rand(6), torch.zeros(6, 2)])
def test_only_classes_can_be_balanced(target):
    with pytest.raises(UserError, match=r"fit\.balanced=true: found .*, expected one class a row"):
        Resident((torch.zeros(6),), target, balanced=True)


def test_augmentation_changes_the_batch_and_never_the_set():
    def blank(batch):
        return batch._replace(inputs=(batch.inputs[0].zero_(), batch.inputs[1]))

    batches = made(10, augment=blank)
    assert all(not batch.inputs[0].any() for batch in batches.epoch(4, seeded()))
    assert batches.inputs[0].any()
    assert not batches.sample(10).inputs[0].any()


def test_the_memory_counts_every_tensor_and_the_order():
    assert made(100).memory == 100 * (4 + 8 + 8 + 4 + 8)


def test_moving_a_set_keeps_its_order():
    batches = Resident((torch.zeros(20),), torch.arange(20) % 2, balanced=True)
    assert rows_of(batches.to("cpu").epoch(6, seeded())) == rows_of(batches.epoch(6, seeded()))


def test_lengths_that_differ_are_refused():
    with pytest.raises(UserError, match=r"same number of rows, found \[3, 4\]"):
        Resident((torch.zeros(3),), torch.zeros(4))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_is_found_with_its_place(value):
    inputs = (torch.zeros(10_000, dtype=torch.int64), torch.zeros(10_000, 2, 3))
    inputs[1][9_000, 1, 2] = value
    batch = Batch(inputs, torch.zeros(10_000), None, torch.arange(10_000) + 5, 10_000)
    found = not_finite(batch)
    assert found[:3] == (1, 9_005, (1, 2))
    assert str(found.value) == str(value)


def test_finite_values_whose_sum_overflows_are_fine():
    x = torch.full((4, 2), 3e38)
    assert not_finite(Batch((x,), torch.zeros(4), None, torch.arange(4), 4)) is None
