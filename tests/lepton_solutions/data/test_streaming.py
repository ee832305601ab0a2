"""Streams: the seed alone decides the order, every row comes once, and a killed reader costs no more than time."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch
from failing_readers import Deadly, Faulty
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_solutions.data.batches import Resident
from lepton_solutions.data.readers import MappedRows, Piece
from lepton_solutions.data.streaming import Stream
from lepton_solutions.errors import UserError

ROW = 20  # bytes of a row of `Numbers` with its number


class Numbers:
    """Rows that tell their own number; in ranges of up to `span`."""

    def __init__(self, rows, span=5, target=None, weight=None):
        self.rows, self.span, self.target, self.weight = rows, span, target, weight
        self.row_bytes, self.reading_bytes = ROW - 8, 0

    def cuts(self, most):
        return np.append(np.arange(0, self.rows, min(self.span, most)), self.rows)

    def read(self, start, stop):
        return Piece((np.arange(start, stop, dtype=np.float32)[:, None],), *self.labels(start, stop))

    def labels(self, start, stop):
        target = np.arange(start, stop) if self.target is None else self.target[start:stop]
        return target, None if self.weight is None else self.weight[start:stop]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows_of(batches):
    return [batch.rows.tolist() for batch in batches]


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    np.save(folder / "inputs.npy", np.arange(3_000, dtype=np.float32).reshape(1_000, 3))
    np.save(folder / "target.npy", np.arange(1_000) % 4)
    return MappedRows((folder / "inputs.npy",), folder / "target.npy")


def stream(arrays, workers, **options):
    return Stream(arrays, workers=workers, block_bytes=200 * 28, **options)  # five blocks of 200 rows


@given(rows=st.integers(1, 80), batch_size=st.integers(1, 90), block=st.integers(1, 40), span=st.integers(1, 9))
@settings(deadline=None)
def test_every_row_comes_once_in_the_batch_sizes_of_a_resident_set(rows, batch_size, block, span):
    found = list(Stream(Numbers(rows, span), workers=0, block_bytes=block * ROW).epoch(batch_size, seeded()))
    resident = Resident((torch.zeros(rows),), torch.zeros(rows)).epoch(batch_size, seeded())
    assert [len(batch.rows) for batch in found] == [batch.size for batch in found] == [b.size for b in resident]
    assert sorted(torch.cat([batch.rows for batch in found]).tolist()) == list(range(rows))
    for batch in found:
        assert batch.inputs[0][:, 0].tolist() == batch.target.tolist() == batch.rows.tolist()


@given(rows=st.integers(1, 80), batch_size=st.integers(1, 40), skip=st.integers(0, 80), balanced=st.booleans())
@settings(deadline=None)
def test_an_epoch_without_its_first_batches_is_the_tail_of_the_whole(rows, batch_size, skip, balanced):
    source = Numbers(rows, target=np.arange(rows) % 3)
    batches = Stream(source, workers=0, balanced=balanced, block_bytes=10 * ROW)
    whole, tail = seeded(1), seeded(1)
    assert rows_of(batches.epoch(batch_size, tail, skip=skip)) == rows_of(batches.epoch(batch_size, whole))[skip:]
    assert torch.equal(whole.get_state(), tail.get_state())


@given(rows=st.integers(2, 80), batch_size=st.integers(2, 40), world=st.integers(2, 4))
@settings(deadline=None)
def test_the_parts_of_all_processes_are_the_whole_batch(rows, batch_size, world):
    batches = Stream(Numbers(rows), workers=0, block_bytes=10 * ROW)
    parts = [batches.epoch(batch_size, seeded(), part=(rank, world)) for rank in range(world)]
    for whole, *shares in zip(batches.epoch(batch_size, seeded()), *parts, strict=True):
        for rank, share in enumerate(shares):
            assert share.rows.tolist() == whole.rows[rank::world].tolist()
            assert share.size == len(whole.rows)


def test_blocks_that_are_skipped_are_not_read(arrays):
    read = []

    class Watched(Numbers):
        def read(self, start, stop):
            read.append(stop - start)
            return super().read(start, stop)

    batches = Stream(Watched(100), workers=0, block_bytes=20 * ROW)
    assert len(list(batches.epoch(10, seeded(), skip=7))) == 3
    assert sum(read) == 40  # two of five blocks: batches 7, 8 and 9 begin in the fourth


def test_the_seed_decides_the_order_and_not_the_number_of_processes(arrays):
    here, one, two = (rows_of(stream(arrays, workers).epoch(64, seeded())) for workers in (0, 1, 2))
    assert here == one == two
    assert here != rows_of(stream(arrays, 0).epoch(64, seeded(1)))


def test_a_block_holds_rows_from_all_over_the_set(arrays):
    first = torch.cat([batch.rows for batch in stream(arrays, 0).epoch(50, seeded())][:4])  # the first block
    assert torch.histc(first.float(), 5, 0, 1_000).min() > 10  # of 200 rows, from every fifth of the set
    assert first.diff().abs().float().mean() == pytest.approx(1_000 / 3, rel=0.15)  # as of independent draws


def test_a_process_that_is_killed_is_named_and_the_order_goes_on(arrays, caplog):
    expected = rows_of(stream(arrays, 0).epoch(20, seeded()))
    batches = stream(arrays, 2)
    epoch = batches.epoch(20, seeded())
    found = [next(epoch).rows.tolist()]
    with caplog.at_level(logging.WARNING):
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        found += rows_of(epoch)
    assert found == expected
    assert batches.workers == 1
    assert "was killed, most likely by the system for want of memory: 2 of them need" in caplog.text
    assert "going on with 1, in the same order" in caplog.text


def test_without_any_process_left_this_one_reads(arrays, caplog):
    batches = stream(Deadly(arrays.inputs, arrays.target), 2)
    with caplog.at_level(logging.WARNING):
        found = rows_of(batches.epoch(64, seeded()))
    assert found == rows_of(stream(arrays, 0).epoch(64, seeded()))
    assert "going on with none: this process reads" in caplog.text


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_the_data_is_told_the_same_from_another_process(arrays, workers):
    with pytest.raises(UserError, match=r"^scan\.png: cannot be read\n\nhint: look at it$"):
        list(stream(Faulty(arrays.inputs, arrays.target), workers).epoch(64, seeded()))


def test_an_epoch_that_is_given_up_leaves_no_process_and_no_file_behind(arrays):
    me = psutil.Process()
    for _ in range(2):  # what starts the processes stays, with its own files
        epoch = stream(arrays, 2).epoch(64, seeded())
        next(epoch)
        epoch.close()
        files = me.num_fds()
        deadline = time.monotonic() + 30
        while multiprocessing.active_children() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not multiprocessing.active_children()
    assert me.num_fds() <= files


UNGUARDED = """
import sys, torch
from pathlib import Path
from lepton_solutions.data.readers import MappedRows
from lepton_solutions.data.streaming import Stream
rows = MappedRows((Path(sys.argv[1]),), Path(sys.argv[2]))
print(len(list(Stream(rows, workers=1, block_bytes=5600).epoch(100, torch.Generator()))))
"""


def test_a_script_without_a_guard_is_told_so(arrays, tmp_path):
    (tmp_path / "train.py").write_text(UNGUARDED)
    command = [sys.executable, tmp_path / "train.py", arrays.inputs[0], arrays.target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == ""
    assert 'hint: put what a script does under `if __name__ == "__main__":`' in done.stderr


SCRIPT = """
if __name__ == "__main__":
    import multiprocessing, os, signal, sys, torch
    from pathlib import Path
    from lepton_solutions.data.readers import MappedRows
    from lepton_solutions.data.streaming import Stream

    rows = MappedRows((Path(sys.argv[1]),), Path(sys.argv[2]))
    epoch = Stream(rows, workers=2, block_bytes=5600).epoch(10, torch.Generator())
    next(epoch)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_reading_processes_end_when_their_parent_is_killed(arrays, tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "train.py", arrays.inputs[0], arrays.target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    children = [int(pid) for pid in done.stdout.split()]
    assert len(children) == 2, done.stderr
    deadline = time.monotonic() + 30
    while any(map(psutil.pid_exists, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, children))


def test_balanced_classes_come_equally_often_also_where_the_rare_ones_stand_together():
    target = np.repeat([0, 1, 5], [900, 80, 20])  # in order, as folders of images are
    batches = Stream(Numbers(1_000, span=20, target=target), workers=0, balanced=True, block_bytes=200 * ROW)
    generator = seeded()
    drawn = torch.cat([batch.rows for _ in range(60) for batch in batches.epoch(64, generator)]).numpy()
    assert len(drawn) == 60_000
    times = np.bincount(target[drawn], minlength=6)[[0, 1, 5]]
    assert times == pytest.approx([20_000] * 3, rel=0.02)  # ranges of one class each: exact but for rounding
    within = np.bincount(drawn, minlength=1_000)[980:]
    # Each row of the rarest class is drawn 1,000 times on average: five standard deviations of a Poisson count.
    assert np.abs(within - 1_000).max() < 5 * 1_000**0.5


def test_weights_have_mean_one_and_stay_with_their_rows():
    weight = np.random.default_rng(0).gamma(1.0, size=100).astype(np.float32)
    found = list(Stream(Numbers(100, weight=weight), workers=0, block_bytes=20 * ROW).epoch(7, seeded()))
    rows, weights = torch.cat([batch.rows for batch in found]), torch.cat([batch.weight for batch in found])
    assert weights.mean().item() == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(weights, torch.from_numpy(weight / weight.mean())[rows])


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_a_weight_that_is_none_is_named_with_its_row(value):
    weight = np.ones(100, dtype=np.float32)
    weight[37] = value
    with pytest.raises(UserError, match=rf"row 37: found weight {value}, expected 0 or more"):
        Stream(Numbers(100, weight=weight))


def test_only_classes_can_be_balanced():
    with pytest.raises(UserError, match=r"fit\.balanced=true: found fractions"):
        Stream(Numbers(100, target=np.linspace(0, 1, 100)), balanced=True)


def test_augmentation_and_the_sample_see_whole_batches():
    def twice(batch):
        return batch._replace(inputs=tuple(2 * x for x in batch.inputs))

    batches = Stream(Numbers(30), workers=0, augment=twice, block_bytes=20 * ROW)
    for batch in batches.epoch(7, seeded()):
        assert torch.equal(batch.inputs[0][:, 0], 2.0 * batch.rows)
    sample = batches.to("cpu").sample(4)
    assert (sample.rows.tolist(), sample.inputs[0][:, 0].tolist()) == ([0, 1, 2, 3], [0, 2, 4, 6])


def test_the_need_grows_with_processes_and_not_with_rows():
    needs = [Stream(Numbers(rows), workers=workers).memory for rows in (10**5, 10**6) for workers in (0, 1, 2)]
    assert needs[:3] == needs[3:]
    assert needs[0] < needs[1] < needs[2]
