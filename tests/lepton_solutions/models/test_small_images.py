"""The trunk for small images: shapes, what a map is, and that it learns what it should."""

import pytest
import torch
from torch import nn

from lepton_solutions.models.small_images import Block, small_trunk


@pytest.mark.parametrize(
    ("channels", "dims", "space", "expected"),
    [
        (1, 2, (28, 28), (7, 7)),
        (3, 2, (40, 24), (10, 6)),
        (1, 3, (28, 28, 28), (4, 4, 4)),
        (2, 3, (16, 8, 8), (2, 1, 1)),
    ],
)
def test_a_map_has_the_stated_features_and_size(
    channels: int, dims: int, space: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    trunk = small_trunk(channels, dims, 8).eval()  # type: ignore[arg-type]
    assert trunk(torch.zeros(2, channels, *space)).shape == (2, trunk.features, *expected)


def test_a_block_starts_as_the_identity_of_what_it_passes_on() -> None:
    block = Block(8, 8, dims=2, stride=1).eval()
    x = torch.rand(2, 8, 6, 6)
    assert torch.allclose(block(x), x)


def test_every_weight_takes_part() -> None:
    trunk = small_trunk(1, 2, 8)
    for module in trunk.modules():
        if isinstance(module, Block):
            nn.init.ones_(module.second_norm.weight)  # a block that is the identity hides its own weights
    trunk(torch.randn(4, 1, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in trunk.parameters())


def test_it_learns_where_a_spot_is_bright_from_few_images() -> None:
    """Bright against dark spots anywhere in noise: no mean of the picture tells them apart as surely."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 1, 16, 16, generator=generator)
    target = torch.arange(64) % 2
    place = torch.randint(2, 12, (64, 2), generator=generator).tolist()
    for image, label, (row, column) in zip(x, target.tolist(), place, strict=True):
        image[0, row : row + 3, column : column + 3] += 4.0 if label else -4.0
    torch.manual_seed(0)
    trunk = small_trunk(1, 2, 8)
    head = nn.Linear(trunk.features, 1)
    optimiser = torch.optim.AdamW([*trunk.parameters(), *head.parameters()], lr=0.01)
    for _ in range(30):
        loss = nn.functional.binary_cross_entropy_with_logits(head(trunk(x).mean((2, 3))).squeeze(1), target.float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1
