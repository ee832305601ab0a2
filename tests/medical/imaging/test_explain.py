from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from imaging_run import settings, toy_network, toy_store, write_run
from scipy.stats import spearmanr

from lepton_solutions.cli import main
from lepton_solutions.data.splits import TEST
from lepton_solutions.errors import UserError
from medical.imaging.explain import Case, cases, cut, evidence, picked, points_at, shuffled
from medical.imaging.maps import Maps, chance_of_hitting, enlarged, likeness, pointing_game
from medical.imaging.networks import Form, ImageNetwork

SIDE, RADIUS = 20, 3.0  # pixels


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def discs(n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of noise with two small bright dots, and in every other one a lesion: a fainter, larger disc.

    Images [n, 1, h, w], labels, and row, column and radius of the lesions; those of label 0 were not drawn.
    """
    g = np.random.default_rng(seed)
    label = np.arange(n) % 2
    lesions = np.column_stack([g.uniform(3, SIDE - 4, (n, 2)), np.full(n, RADIUS)]).astype(np.float32)
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), -1)

    def disc(centre: np.ndarray, radius: float) -> np.ndarray:
        return np.linalg.norm(grid[None] - centre[:, None, None], axis=-1) <= radius

    pixels = g.normal(100, 20, (n, SIDE, SIDE)) + 50 * disc(lesions[:, :2], RADIUS) * label[:, None, None]
    for _ in range(2):
        pixels = np.where(disc(g.integers(1, SIDE - 1, (n, 2)), 1.0), 230, pixels)
    return pixels[:, None].clip(0, 255).astype(np.float32), label, lesions


@pytest.fixture(scope="module")
def trained() -> ImageNetwork:
    """A network of three convolutions that tells images with a lesion from those without, after two seconds."""
    pixels, label, _ = discs(400, seed=1)
    x, y = torch.from_numpy(pixels), torch.from_numpy(label).float()
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 16, 3, stride=2, padding=1),
              torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 3, padding=1), torch.nn.ReLU()]  # fmt: skip
    form = Form("small", 8, 0.0, "binary", 1, 1, (SIDE, SIDE), 0.0, 255.0)
    network = ImageNetwork(torch.nn.Sequential(*layers), 16, form, mean=torch.tensor([0.4]), std=torch.tensor([0.1]))
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(200):
        rows = torch.randint(len(x), (32,), generator=generator)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(x[rows]), y[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.2
    return network.eval()


def test_the_map_of_a_trained_network_points_at_the_lesion_and_no_longer_under_shuffled_weights(trained: ImageNetwork):
    pixels, label, lesions = discs(200, seed=2)
    sick = label == 1
    found = points_at(trained, pixels[sick], lesions[sick], "binary")
    assert found.hits.mean() >= 0.9
    blind = [points_at(shuffled(trained, seed), pixels[sick], lesions[sick], "binary").hits.mean() for seed in range(5)]
    assert np.mean(blind) < 2 * found.chance.mean()  # .07 of lesions by the shuffled, .13 blindly


def test_under_shuffled_weights_the_maps_are_other_ones(trained: ImageNetwork):
    pixels = discs(80, seed=3)[0][1::2]  # with a lesion; without one the map is often 0 everywhere
    ours = evidence(trained, pixels, "binary", 1)
    others = [likeness(ours, evidence(shuffled(trained, seed), pixels, "binary", 1)).mean() for seed in range(5)]
    assert likeness(ours, ours) == pytest.approx(1.0)
    assert abs(np.mean(others)) < 0.2  # correlations of -.2 to .1 were seen


def test_shuffling_keeps_every_weight_and_the_network_itself(trained: ImageNetwork):
    before = [weight.clone() for weight in trained.parameters()]
    other = shuffled(trained, 0)
    for old, weight, moved in zip(before, trained.parameters(), other.parameters(), strict=True):
        assert torch.equal(old, weight)
        assert torch.equal(moved.flatten().sort().values, old.flatten().sort().values)


def test_the_pointing_game_asks_for_the_maximum_within_the_radius():
    maps = np.zeros((3, 9, 9))
    maps[0, 4, 4] = maps[1, 4, 7] = maps[2, 0, 0] = 1.0
    lesions = np.array([[4.0, 4.0, 2.0]] * 3)
    assert pointing_game(maps, lesions).tolist() == [True, False, False]
    assert pointing_game(maps, lesions, tolerance=1.0).tolist() == [True, True, False]


def test_pointing_blindly_hits_by_the_share_of_pixels_that_count():
    (flat,) = chance_of_hitting(np.array([[50.0, 50.0, 20.0]]), (101, 101))
    assert flat == pytest.approx(np.pi * 20**2 / 101**2, rel=0.01)  # the disc in pixels
    (solid,) = chance_of_hitting(np.array([[20.0, 20.0, 20.0, 9.0]]), (41, 41, 41), tolerance=1.0)
    assert solid == pytest.approx(4 / 3 * np.pi * 10**3 / 41**3, rel=0.02)


def test_maps_are_spread_as_pytorch_does():
    maps = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    wide = torch.nn.functional.interpolate(torch.from_numpy(maps)[:, None], size=(12, 20), mode="bilinear")[:, 0]
    np.testing.assert_allclose(enlarged(maps, (12, 20)), wide.numpy(), atol=1e-5)  # sums in another order


def test_likeness_is_spearmans_correlation():
    g = np.random.default_rng(0)
    one, other = g.normal(size=(2, 5, 6)), g.normal(size=(2, 5, 6)).round(0)  # with ties
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one, other, strict=True)]
    assert likeness(one, other) == pytest.approx(expected)
    assert likeness(one, np.zeros_like(one)).tolist() == [0.0, 0.0]


def case(unit: int, truth: int, said: int, certainty: float) -> Case:
    return Case(unit, 1, truth, said, certainty, (0, truth))


def test_wrong_calls_are_the_most_certain_ones_of_every_class():
    missed = [case(i, 1, 0, 0.9 - i / 100) for i in range(20)]
    alarm = [case(100, 0, 1, 0.6)]
    found = picked([*missed, *alarm], each=4)
    assert [one.unit for one in found] == [0, 1, 2, 100]


def test_right_calls_reach_from_the_most_to_the_least_certain():
    found = picked([case(i, 1, 1, 0.5 + i / 100) for i in range(41)], each=5)
    assert [one.unit for one in found] == [40, 30, 20, 10, 0]


def test_a_volume_is_cut_at_its_lesion_and_without_one_at_the_maps_maximum():
    pixels = np.arange(8 * 4 * 4, dtype=np.float32).reshape(1, 8, 4, 4)
    heat = np.zeros((4, 2, 2), np.float32)
    heat[3, 1, 0] = 1.0
    nowhere = np.full(4, np.nan, np.float32)
    assert cut(pixels, heat, np.array([2.2, 1.0, 3.0, 1.5], np.float32)).place == 2
    assert cut(pixels, heat, np.array([2.2, 1.0, 3.0, 1.5], np.float32)).lesion.tolist() == [1.0, 3.0, 1.5]
    hottest = cut(pixels, heat, nowhere)
    assert hottest.place in (6, 7)  # the last of four cells covers both
    np.testing.assert_array_equal(hottest.pixels, pixels[:, hottest.place])


@pytest.mark.parametrize(
    ("task", "dims"), [("binary", 2), ("multiclass", 2), ("multilabel", 2), ("ordinal", 3), ("binary", 3)]
)
def test_shown_calls_are_those_of_the_predictions(task: str, dims: int, tmp_path: Path):
    store = toy_store(task, dims=dims, side=12, patients=120)
    network = toy_network(store)
    write_run(tmp_path, store, settings(), network=network)
    predictions, maps = pq.read_table(tmp_path / "predictions.parquet"), Maps.read(tmp_path / "explained.npz")
    known = {(one.unit, one.label): one for one in cases(predictions, task, store.facts.labels)}
    assert {True, False} == set(maps.right.tolist())
    for row in range(len(maps.unit)):
        one = known[int(maps.unit[row]), int(maps.label[row])]
        assert (one.truth, one.said) == (maps.truth[row], maps.said[row])
        assert one.certainty == maps.probability[row]
    wrong = predictions.column("wrong").to_pylist()
    assert all(wrong[unit] for unit in maps.unit[~maps.right])
    assert (maps.place >= 0).all() == (dims == 3)
    assert maps.picture.shape[1:] == (12, 12, 3)
    lesions = store.lesions(TEST)
    assert len(maps.hits) == (0 if lesions is None else np.isfinite(lesions[:, 0]).sum())


def test_a_patient_is_shown_by_the_image_that_speaks_most_for_the_call(tmp_path: Path):
    store = toy_store("binary", side=12, patients=120)
    network = toy_network(store)
    write_run(tmp_path, store, settings(), network=network)
    predictions, maps = pq.read_table(tmp_path / "predictions.parquet"), Maps.read(tmp_path / "explained.npz")
    with torch.inference_mode():
        logit = network(torch.from_numpy(np.array(store.pixels(TEST)))).numpy()
    for row, unit in enumerate(maps.unit.tolist()):
        own = predictions.column("images")[unit].as_py()
        best = own[int(np.argmax(logit[own] if maps.said[row] else -logit[own]))]
        window = ((np.array(store.pixels(TEST)[best, 0]) + 160) / 400).clip(0, 1) * 255
        np.testing.assert_allclose(maps.picture[row, ..., 0], window, atol=0.51)  # rounded to bytes


def test_a_file_that_holds_no_maps_is_named(tmp_path: Path):
    (tmp_path / "explained.npz").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"explained\.npz: no maps"):
        Maps.read(tmp_path / "explained.npz")
    with pytest.raises(UserError, match="no such file"):
        Maps.read(tmp_path / "absent.npz")


def test_maps_are_read_as_they_were_written(tmp_path: Path):
    store = toy_store("binary", side=12, patients=80)
    write_run(tmp_path, store, settings())
    maps = Maps.read(tmp_path / "explained.npz")
    replace(maps).write(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "explained.npz").read_bytes()


@pytest.mark.slow
def test_a_run_on_the_default_phantoms_points_at_nine_lesions_in_ten(tmp_path: Path):
    with pytest.raises(SystemExit) as ended:
        main(["run", "medical/imaging", f"run.dir={tmp_path / 'run'}"])
    assert ended.value.code == 0
    maps = Maps.read(tmp_path / "run" / "explained.npz")
    assert maps.hits.mean() >= 0.9
    assert maps.hits_shuffled.mean() < 0.5
