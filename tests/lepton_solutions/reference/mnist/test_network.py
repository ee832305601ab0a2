"""The digits network, its task head, and images changed at random."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lepton_solutions.data.batches import Batch
from lepton_solutions.reference.mnist.network import DigitNet, augmented, distort, fit_head
from lepton_solutions.reference.mnist.settings import Augment
from lepton_solutions.reference.mnist.sources import mnist_5k

NOT_AT_ALL = Augment(rotate=0, scale=0, shear=0, shift=0)


@pytest.fixture(scope="module")
def images() -> tuple[torch.Tensor, torch.Tensor]:
    digits = mnist_5k()
    rows = np.arange(0, 5000, 10)
    return torch.from_numpy(digits.pixels[rows]), torch.from_numpy(digits.labels[rows])


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def network(hidden: int = 16) -> DigitNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DigitNet(hidden, mean=33.0, std=78.0).eval()


def test_it_is_784_128_10():
    assert sum(weights.numel() for weights in network(128).parameters()) == 784 * 128 + 128 + 128 * 10 + 10


def test_its_scores_are_those_of_the_formula(images):
    net, (pixels, _) = network(), images
    w, b, v, c = (weights.detach().double().numpy() for weights in net.parameters())
    x = (pixels.numpy().reshape(len(pixels), 784) - 33.0) / 78.0
    expected = np.maximum(x @ w.T + b, 0) @ v.T + c
    assert net(pixels).detach().numpy() == pytest.approx(expected, abs=1e-4)  # float32, sums of 784


def test_without_a_hidden_layer_it_is_softmax_regression(images):
    net, (pixels, _) = network(0), images
    weight, bias = net.parameters()
    expected = (pixels.flatten(1).double() - 33) / 78 @ weight.double().T + bias
    assert net(pixels).detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-4)


def test_a_task_head_is_the_softmax_regression_on_the_features_of_the_trunk(images):
    net, (pixels, labels) = network(), images
    fit_head(net, pixels, labels, penalty=1e-2, steps=500)
    features = net.features(pixels).detach().double().numpy()
    # scikit-learn: sum of losses + |w|^2 / (2 C); ours: mean of losses + penalty |w|^2.
    other = LogisticRegression(C=1 / (2 * 1e-2 * len(labels)), max_iter=5000, tol=1e-8).fit(features, labels.numpy())
    ours = net(pixels).softmax(1).detach().numpy()
    assert ours == pytest.approx(other.predict_proba(features), abs=2e-3)  # both stop before the very minimum


def test_fitting_the_head_leaves_the_trunk_alone(images):
    net, (pixels, labels) = network(), images
    before = [weights.clone() for weights in net.parameters()]
    fit_head(net, pixels, labels)
    after = list(net.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before[:2], after[:2], strict=True))
    assert not torch.equal(before[2], after[2])


def test_an_image_that_is_not_changed_is_the_same_image(images):
    pixels, _ = images
    assert torch.allclose(distort(pixels, NOT_AT_ALL), pixels.float(), atol=1e-3)  # of 255; interpolated in float32


def test_a_moved_image_has_its_ink_elsewhere_by_at_most_the_bound(images):
    pixels, _ = images
    moved = distort(pixels, NOT_AT_ALL.model_copy(update={"shift": 2.0}))
    distance = (centre(moved) - centre(pixels.float())).abs()
    assert distance.max() <= 2.01
    assert distance.max(0).values.min() > 1.5  # of 500 draws, in both directions
    assert moved.sum((1, 2)).numpy() == pytest.approx(
        pixels.float().sum((1, 2)).numpy(), rel=0.05
    )  # the ink stays, but for what leaves


def test_a_turned_image_keeps_its_ink_and_its_centre(images):
    pixels, _ = images
    turned = distort(pixels, NOT_AT_ALL.model_copy(update={"rotate": 45.0}))
    assert turned.sum((1, 2)).numpy() == pytest.approx(pixels.float().sum((1, 2)).numpy(), rel=0.1)
    # A turn keeps the distance of the centre of the ink from the middle of the image, (13.5, 13.5).
    before, after = (torch.linalg.norm(centre(each) - 13.5, dim=1) for each in (pixels.float(), turned))
    assert after.numpy() == pytest.approx(before.numpy(), abs=0.25)  # interpolation, and ink that leaves


@pytest.mark.parametrize("key", ["rotate", "scale", "shear", "shift"])
def test_each_kind_of_change_draws_for_every_image_and_follows_the_seed(images, key):
    same = images[0][:1].expand(8, 28, 28)
    by = NOT_AT_ALL.model_copy(update={key: {"rotate": 20.0, "shift": 2.0}.get(key, 0.3)})

    def drawn(seed: int) -> torch.Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return distort(same, by)

    assert len({image.numpy().tobytes() for image in drawn(0)}) == 8
    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    assert drawn(0).min() >= 0 and drawn(0).max() <= 255.01


def test_a_batch_keeps_its_labels_and_rows(images):
    pixels, labels = images
    batch = Batch((pixels[:5],), labels[:5], None, torch.arange(5), 5)
    changed = augmented(batch, NOT_AT_ALL.model_copy(update={"shift": 3.0}))
    assert torch.equal(changed.target, batch.target) and torch.equal(changed.rows, batch.rows)
    assert not torch.equal(changed.inputs[0], pixels[:5].float())


def centre(pixels: torch.Tensor) -> torch.Tensor:
    """[n, 2]: mean row and column of the ink."""
    along = torch.arange(28.0)
    ink = pixels.sum((1, 2))
    return torch.stack([(pixels.sum(2) * along).sum(1), (pixels.sum(1) * along).sum(1)], dim=1) / ink[:, None]
