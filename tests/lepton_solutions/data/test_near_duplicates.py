import numpy as np
import pytest
from scipy import ndimage

from lepton_solutions.data.near_duplicates import near_duplicates

MIDDLE = np.array([63.5, 63.5])


def textures(count: int, seed: int) -> np.ndarray:
    """[count, 128, 128]: noise of four grain sizes, of which a thumbnail shows the middle."""
    draw = np.random.default_rng(seed)
    return np.stack(
        [ndimage.gaussian_filter(draw.normal(size=(128, 128)), (1.5, 2.2, 3.2)[i % 3]) for i in range(count)]
    )


def thumbnail(texture: np.ndarray, linear: np.ndarray | None = None, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """What a camera that is turned, tilted and moved sees of the middle, by SciPy's cubic splines."""
    grid = np.stack(np.meshgrid(np.arange(64) - 31.5, np.arange(64) - 31.5, indexing="ij"))
    place = np.einsum("ab,bij->aij", np.eye(2) if linear is None else linear, grid) + (MIDDLE + shift)[:, None, None]
    seen = ndimage.map_coordinates(texture, place, order=3)
    return np.clip(128 + 45 * (seen - seen.mean()) / seen.std(), 0, 255).astype(np.uint8)


def turn(degrees: float, *, zoom: float = 1.0, shear: float = 0.0, mirrored: bool = False) -> np.ndarray:
    angle = np.radians(degrees)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [[1, shear], [0, 1]]
    return linear @ np.diag([1, -1 if mirrored else 1]) * zoom


@pytest.fixture(scope="module")
def others() -> np.ndarray:
    return np.stack([thumbnail(texture) for texture in textures(150, seed=1)])


@pytest.mark.parametrize(
    ("linear", "shift"),
    [
        (turn(90), (0, 0)),
        (turn(180, mirrored=True), (0, 0)),
        (turn(23), (0, 0)),
        (turn(-50, zoom=0.7), (0, 0)),
        (turn(160, zoom=0.8, mirrored=True), (0, 0)),
        (turn(10, shear=0.25), (0, 0)),
        (turn(0), (2, -2)),
        (turn(40, zoom=0.85), (-1, 2)),
    ],
    ids=["quarter", "mirror", "turn", "turn and zoom", "mirror and zoom", "shear", "shift", "all"],
)
def test_an_altered_copy_is_found_and_nothing_else(others: np.ndarray, linear: np.ndarray, shift: tuple[int, int]):
    texture = textures(3, seed=2)[2 if any(shift) else 0]  # how far a copy may be shifted depends on its grain
    copies = near_duplicates(np.stack([*others, thumbnail(texture), thumbnail(texture, linear, shift)]))
    assert copies.pairs.tolist() == [[150, 151]]
    assert copies.groups[150] == copies.groups[151]
    assert len(np.unique(copies.groups)) == 151


def test_brightness_contrast_noise_and_size_do_not_hide_a_copy(others: np.ndarray):
    seen = thumbnail(textures(1, seed=2)[0]).astype(float)
    noise = np.random.default_rng(0).normal(0, 8, seen.shape)
    small = ndimage.zoom(ndimage.zoom(seen, 0.5, order=1), 2, order=1)
    altered = [0.5 * seen + 90, 255 * (seen / 255) ** 0.7, seen + noise, small]
    pictures = [*others, seen, *altered]
    copies = near_duplicates(np.clip(np.stack(pictures), 0, 255).astype(np.uint8))
    assert len(set(copies.groups[150:])) == 1
    assert len(np.unique(copies.groups)) == 151


def test_pictures_that_are_all_alike_need_a_better_agreement():
    # One anatomy, seen in every picture, and what is each one's own: without its own measure the set would be one copy.
    body = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(128, 128)), 4)
    own = textures(200, seed=3)
    pictures = np.stack([thumbnail(3 * body / body.std() + one / one.std()) for one in own])
    apart = near_duplicates(pictures)
    assert len(apart.pairs) == 0 and apart.limit > 0.9
    again = near_duplicates(np.concatenate([pictures, pictures[:1, ::-1]]))  # turned upside down
    assert again.pairs.tolist() == [[0, 200]]


def test_pictures_without_contrast_are_nobodys_copies():
    flat = np.stack([np.full((64, 64), level, np.uint8) for level in (0, 0, 7, 200)])
    assert near_duplicates(flat).groups.tolist() == [0, 1, 2, 3]
    assert near_duplicates(flat[:0]).groups.tolist() == []
    assert near_duplicates(flat[:1]).groups.tolist() == [0]


def test_two_pictures_are_enough():
    one, other = (thumbnail(texture) for texture in textures(2, seed=4))
    assert near_duplicates(np.stack([one, other])).groups.tolist() == [0, 1]
    assert near_duplicates(np.stack([one, np.rot90(one)])).groups.tolist() == [0, 0]


def test_the_answer_does_not_depend_on_chance(others: np.ndarray):
    pictures = np.concatenate([others, np.rot90(others[:9], axes=(1, 2))])
    first, second = near_duplicates(pictures), near_duplicates(pictures)
    assert np.array_equal(first.agreement, second.agreement)
    assert first.pairs.tolist() == [[number, 150 + number] for number in range(9)]
