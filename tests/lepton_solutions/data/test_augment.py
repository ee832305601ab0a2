"""Images changed at random: by how much at most, in which direction, and what stays as it is."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from lepton_solutions.data import augment
from lepton_solutions.data.augment import augmented, changed, flip_axes
from lepton_solutions.data.batches import Batch
from lepton_solutions.errors import UserError


@dataclass(frozen=True)
class By:
    rotate: float = 0
    scale: float = 0
    shear: float = 0
    shift: float = 0
    flip: tuple[str, ...] = ()
    brightness: float = 0
    contrast: float = 0
    gamma: float = 0
    noise: float = 0
    cutout: float = 0


EVERY = By(15, 0.1, 0.1, 0.1, ("left_right",), 0.2, 0.3, 0.3, 0.05, 0.3)


@pytest.fixture
def at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every draw takes its largest value."""
    monkeypatch.setattr(augment, "_drawn", lambda like, bound, *shape: torch.full(shape, bound))


def pictures(n: int = 3, *space: int, channels: int = 1) -> torch.Tensor:
    return torch.rand(n, channels, *(space or (12, 12)), generator=torch.Generator().manual_seed(0)) * 255


@pytest.mark.parametrize("dims", [2, 3])
def test_nothing_asked_changes_nothing(dims: int) -> None:
    x = pictures(2, *([8] * dims))
    assert torch.allclose(changed(x, By(), 0.0, 255.0), x, atol=1e-4)


def test_bytes_come_back_as_float_in_their_own_units() -> None:
    x = pictures().to(torch.uint8)
    y = changed(x, EVERY, 0.0, 255.0)
    assert y.dtype == torch.float32
    assert y.shape == x.shape
    assert 60 < float(y.mean()) < 200


def test_units_do_not_matter() -> None:
    """The same draws on grey levels and on the same picture in Hounsfield units make the same picture."""
    x = pictures()
    by = replace(EVERY, noise=0.0)
    torch.manual_seed(0)
    grey = changed(x, by, 0.0, 255.0)
    torch.manual_seed(0)
    units = changed(x / 255 * 400 - 160, by, -160.0, 240.0)
    assert torch.allclose((units + 160) / 400, grey / 255, atol=1e-4)


@pytest.mark.usefixtures("at_the_bound")
def test_a_quarter_turn_moves_pixels_where_rot90_does() -> None:
    x = pictures()
    assert torch.allclose(changed(x, By(rotate=90), 0.0, 255.0), x.rot90(1, (2, 3)), atol=0.05)


@pytest.mark.usefixtures("at_the_bound")
def test_a_turn_is_one_in_pixels_also_where_sides_differ() -> None:
    """scipy turns the same picture about its centre; only places that both have are compared."""
    x = torch.from_numpy(ndimage.gaussian_filter(np.random.default_rng(0).random((24, 40)), 2).astype(np.float32))
    ours = changed(x.view(1, 1, 24, 40), By(rotate=20), 0.0, 1.0)[0, 0].numpy()
    theirs = ndimage.rotate(x.numpy(), 20, reshape=False, order=1, mode="nearest")
    inside = slice(8, 16), slice(12, 28)
    assert np.abs(ours[inside] - theirs[inside]).max() < 1e-4


@pytest.mark.usefixtures("at_the_bound")
def test_a_shift_is_a_share_of_the_side_and_repeats_the_edge() -> None:
    x = pictures(1, 10, 10)
    y = changed(x, By(shift=0.2), 0.0, 255.0)
    assert torch.allclose(y[..., :8, :8], x[..., 2:, 2:], atol=1e-3)
    assert torch.allclose(y[..., 9, :8], x[..., 9, 2:], atol=1e-3)


@pytest.mark.parametrize("dims", [2, 3])
def test_turns_keep_lengths_and_handedness_and_stay_within_the_bound(dims: int) -> None:
    turns = augment._turns(torch.zeros(200, 1, *([2] * dims)), 25.0, dims)
    unit = torch.eye(dims).expand_as(turns)
    assert torch.allclose(turns @ turns.transpose(1, 2), unit, atol=1e-5)
    assert torch.allclose(torch.linalg.det(turns), torch.ones(200), atol=1e-5)
    trace = turns.diagonal(dim1=1, dim2=2).sum(1)
    cosine = trace / 2 if dims == 2 else (trace - 1) / 2
    assert float(cosine.min()) >= np.cos(np.radians(25.0)) - 1e-5
    assert float(cosine.min()) < np.cos(np.radians(20.0))


def test_half_of_the_images_are_mirrored_each_whole() -> None:
    x = pictures(400, 4, 4)
    y = changed(x, By(flip=("left_right",)), 0.0, 255.0)
    same, mirrored = ((y - z).abs().amax((1, 2, 3)) < 1e-3 for z in (x, x.flip(-1)))
    assert bool((same ^ mirrored).all())
    assert 160 < int(mirrored.sum()) < 240


def test_axes_have_their_anatomical_names() -> None:
    assert flip_axes(["left_right", "up_down"], 2) == (-1, -2)
    assert flip_axes(["up_down", "front_back"], 3) == (-3, -2)
    with pytest.raises(UserError, match="front_back"):
        flip_axes(["front_back"], 2)


@pytest.mark.usefixtures("at_the_bound")
def test_brightness_contrast_and_gamma_by_their_formulas() -> None:
    x = pictures()
    assert torch.allclose(changed(x, By(brightness=0.1), 0.0, 255.0), x + 25.5, atol=1e-3)
    mean = x.mean((1, 2, 3), keepdim=True)
    assert torch.allclose(changed(x, By(contrast=0.5), 0.0, 255.0), mean + 1.5 * (x - mean), atol=1e-3)
    assert torch.allclose(changed(x, By(gamma=0.5), 0.0, 255.0), 255 * (x / 255) ** 2, atol=1e-2)


def test_a_box_is_cut_out_of_the_size_asked_for() -> None:
    x = pictures(100, 20, 20)
    y = changed(x, By(cutout=0.5), 0.0, 255.0)
    changes = (y != x).float() * ((y - x).abs() > 1e-3)
    assert 0 < float(changes.mean((1, 2, 3)).max()) <= 0.25 + 1e-6


def test_target_and_other_inputs_stay() -> None:
    x, y = pictures(4), torch.arange(4.0)
    batch = Batch((x, y), y, None, torch.arange(4), 4)
    found = augmented(batch, EVERY, 0.0, 255.0)
    assert found.target is y
    assert found.inputs[1] is y
    assert not torch.equal(found.inputs[0], x)


def test_the_same_state_draws_the_same_changes() -> None:
    x = pictures()
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(changed(x, EVERY, 0.0, 255.0))
    assert torch.equal(*drawn)
