import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from lepton_solutions.errors import UserError
from medical.imaging.pooling import MEAN, Pooling, fitted, unit_targets

SHAPES = {"binary": (), "multiclass": (3,), "multilabel": (2,), "ordinal": (3,)}


def outputs(task: str, n: int = 60, *, seed: int = 0) -> np.ndarray:
    z = np.random.default_rng(seed).normal(0, 2, size=(n, *SHAPES[task]))
    return -np.sort(-z, axis=1) if task == "ordinal" else z  # the chance of being above falls with the level


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("task", SHAPES)
@pytest.mark.parametrize("pooling", [MEAN, Pooling("max"), Pooling("attention", (0.5, -0.3))], ids=lambda p: p.kind)
def test_a_unit_of_one_image_says_what_its_image_says(task, pooling):
    z = outputs(task)
    found = pooling.pooled(task, z, np.arange(60)[::-1])
    expected = softmax(z[::-1]) if task == "multiclass" else z[::-1]
    assert (softmax(found) if task == "multiclass" else found) == pytest.approx(expected)


@pytest.mark.parametrize("task", SHAPES)
def test_the_order_of_the_images_does_not_matter(task):
    z, units = outputs(task), np.random.default_rng(1).integers(0, 20, size=60)
    shuffled = np.random.default_rng(2).permutation(60)
    for pooling in (MEAN, Pooling("max"), Pooling("attention", (0.5, 0.3))):
        assert pooling.pooled(task, z[shuffled], units[shuffled]) == pytest.approx(pooling.pooled(task, z, units))


def test_mean_and_maximum_are_what_they_are_called_and_units_come_in_the_order_of_their_codes():
    z, units = np.array([1.0, 3.0, -2.0, 5.0]), np.array([9, 9, 4, 4])
    assert MEAN.pooled("binary", z, units).tolist() == [1.5, 2.0]
    assert Pooling("max").pooled("binary", z, units).tolist() == [5.0, 3.0]


def test_attention_runs_from_the_mean_to_the_maximum():
    z, units = outputs("binary"), np.repeat(np.arange(12), 5)
    assert Pooling("attention", (0, 0)).pooled("binary", z, units) == pytest.approx(MEAN.pooled("binary", z, units))
    strong = Pooling("attention", (200, 0)).pooled("binary", z, units)
    assert strong == pytest.approx(Pooling("max").pooled("binary", z, units))


@pytest.mark.parametrize("pooling", [MEAN, Pooling("max"), Pooling("attention", (1.5, -0.7))], ids=lambda p: p.kind)
def test_pooled_levels_stay_in_order(pooling):
    found = pooling.pooled("ordinal", outputs("ordinal"), np.repeat(np.arange(12), 5))
    assert (np.diff(found, axis=1) <= 1e-12).all()


def test_a_constant_added_to_the_logits_of_an_image_says_nothing():
    z, units = outputs("multiclass"), np.repeat(np.arange(12), 5)
    moved = z + np.arange(60)[:, None]
    for pooling in (MEAN, Pooling("max"), Pooling("attention", (0.4, 0.2))):
        assert pooling.pooled("multiclass", moved, units) == pytest.approx(pooling.pooled("multiclass", z, units))


def lesion_in_one_image(units: int, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ten images a patient; of the ill one image shows it, all others are noise."""
    g = np.random.default_rng(seed)
    y = np.arange(units) % 2
    z = g.normal(0, 1, size=(units, 10)) - 1
    z[y == 1, 0] += 4
    return z.ravel(), np.repeat(y, 10), np.repeat(np.arange(units), 10)


def test_attention_learns_to_look_at_the_image_that_shows_it_and_holds_on_new_patients():
    z, y, units = lesion_in_one_image(200, seed=0)
    learned = fitted("attention", task="binary", logit=z, target=y, units=units)
    z, y, units = lesion_in_one_image(400, seed=1)
    truth = unit_targets(y, units, "binary")[1]
    area = {p.kind: roc_auc_score(truth, p.pooled("binary", z, units)) for p in (MEAN, Pooling("max"), learned)}
    assert area["attention"] > area["mean"] + 0.1
    assert area["attention"] > area["max"] - 0.01


@pytest.mark.parametrize("task", SHAPES)
def test_attention_is_never_less_likely_than_the_mean_on_what_it_learned(task):
    g = np.random.default_rng(0)
    units = np.repeat(np.arange(60), 4)
    if task == "multilabel":
        y = np.repeat(g.integers(0, 2, size=(60, 2)), 4, axis=0).astype(float)
        z = g.normal(2 * y - 1, 2)
        y[::5] = np.nan
    else:
        y = np.repeat(g.integers(0, 3 if task != "binary" else 2, size=60), 4)
        if task == "binary":
            z = g.normal(2 * y - 1, 2)
        elif task == "multiclass":
            z = g.normal(2 * np.eye(3)[y], 2)
        else:
            z = (y[:, None] > np.arange(2)) * 3 - 1.5 + g.normal(0, 2, size=(240, 1))
    learned = fitted("attention", task=task, logit=z, target=y, units=units)
    assert np.isfinite(learned.gate).all()
    if task == "binary":
        truth = unit_targets(y, units, task)[1]

        def loss(pooling: Pooling) -> float:
            from lepton_solutions.training.calibrate import platt

            found = pooling.pooled(task, z, units)
            slope, intercept = platt(found, truth.astype(float), np.ones(60))
            return log_loss(truth, 1 / (1 + np.exp(-slope * found - intercept)))

        assert loss(learned) <= loss(MEAN) + 0.01


def test_mean_and_maximum_learn_nothing():
    nothing = np.zeros(0)
    assert fitted("max", task="binary", logit=nothing, target=nothing, units=nothing) == Pooling("max")


def test_a_patient_is_as_ill_as_the_most_severe_image():
    units = np.array([3, 3, 1, 1, 2])
    assert unit_targets(np.array([0, 1, 0, -1, -1]), units, "binary")[1].tolist() == [0, -1, 1]
    assert unit_targets(np.array([0, 2, 1, 0, 3]), units, "ordinal")[1].tolist() == [1, 3, 2]
    several = np.array([[0, 1], [1, np.nan], [np.nan, 0], [np.nan, np.nan], [np.nan, np.nan]])
    found = unit_targets(several, units, "multilabel")[1]
    assert found == pytest.approx(np.array([[np.nan, 0], [np.nan, np.nan], [1, 1]]), nan_ok=True)


def test_a_patient_with_images_of_two_classes_is_refused():
    assert unit_targets(np.array([2, -1, 0]), np.array([0, 0, 1]), "multiclass")[1].tolist() == [2, 0]
    with pytest.raises(UserError, match=r"images of several classes, the first of them the images at rows 0, 1"):
        unit_targets(np.array([2, 1, 0]), np.array([0, 0, 1]), "multiclass")
