"""Windows over series, against a loop."""

import pytest
import torch

from lepton_solutions.data.batches import Batch
from lepton_solutions.data.series import Windows, windows_at
from lepton_solutions.errors import UserError

LENGTHS = (1, 7, 3)
FIRST = torch.tensor([0] * 1 + [1] * 7 + [8] * 3)
FEATURES = torch.arange(22.0).view(11, 2)


def by_loop(end: int, window: int) -> torch.Tensor:
    rows = [max(end - back, int(FIRST[end])) for back in range(window - 1, -1, -1)]
    return torch.stack([FEATURES[row] for row in rows])


@pytest.mark.parametrize("window", [1, 3, 20])
def test_a_window_is_the_rows_up_to_its_end_with_the_first_repeated_before_them(window):
    ends = torch.tensor([0, 4, 10, 8, 7])
    found = windows_at(FEATURES, FIRST, ends, window)
    assert torch.equal(found, torch.stack([by_loop(int(end), window) for end in ends]))


def windows(**keys: object) -> Windows:
    ends = torch.arange(11)
    return Windows(FEATURES, FIRST, ends, ends.float(), window=3, **keys)  # type: ignore[arg-type]


def test_an_epoch_shows_every_row_once_with_its_own_target():
    batches = list(windows().epoch(4, torch.Generator().manual_seed(0)))
    assert len(batches) == windows().steps(4) == 3
    assert sorted(torch.cat([batch.target for batch in batches]).tolist()) == list(range(11))
    for batch in batches:
        for window, end in zip(batch.inputs[0], batch.target, strict=True):
            assert torch.equal(window, by_loop(int(end), 3))


def test_two_ranks_share_an_epoch_without_overlap():
    def seen(part: tuple[int, int]) -> list[float]:
        found = windows().epoch(4, torch.Generator().manual_seed(1), part=part)
        return [float(x) for batch in found for x in batch.target]

    assert sorted(seen((0, 2)) + seen((1, 2))) == list(range(11))


def test_an_epoch_that_is_resumed_goes_on_with_the_same_batches():
    whole = [batch.target for batch in windows().epoch(4, torch.Generator().manual_seed(2))]
    rest = [batch.target for batch in windows().epoch(4, torch.Generator().manual_seed(2), skip=1)]
    assert all(torch.equal(a, b) for a, b in zip(whole[1:], rest, strict=True))


def test_memory_is_that_of_the_rows_whatever_the_window():
    rows, features = 1000, 8
    first, ends = torch.zeros(rows, dtype=torch.int64), torch.arange(rows)

    def held(window: int) -> int:
        return Windows(torch.zeros(rows, features), first, ends, torch.zeros(rows), window=window).memory

    assert held(1) == held(500) == rows * (4 * features + 8 + 8 + 4 + 8)  # features, first, ends, target, order


def test_an_epoch_is_augmented_and_its_plain_copy_is_not():
    def louder(batch: Batch) -> Batch:
        return batch._replace(inputs=(batch.inputs[0] + 100,))

    made = windows(augment=louder)
    assert all((batch.inputs[0] >= 100).all() for batch in made.epoch(4, torch.Generator().manual_seed(0)))
    assert all((batch.inputs[0] < 100).all() for batch in made.plain().epoch(4, torch.Generator().manual_seed(0)))


def test_as_many_targets_as_rows_are_asked_for():
    with pytest.raises(UserError, match="found 3 rows to end at and 2 targets"):
        Windows(FEATURES, FIRST, torch.arange(3), torch.zeros(2), window=3)
