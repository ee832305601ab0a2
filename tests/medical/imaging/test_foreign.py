"""Foreign images: those of another kind lie further away than any of the network's own."""

import numpy as np
import torch
from scipy.spatial.distance import mahalanobis
from stored_images import spots

from medical.imaging.foreign import Foreign, fit_foreign, statistics


def learned(n: int = 400) -> tuple[Foreign, np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    target = np.arange(n) % 2
    mixing = draw.normal(size=(5, 5))
    features = draw.normal(size=(n, 5)) @ mixing + 4 * target[:, None]
    share = torch.from_numpy(spots(n, (16, 16), target, seed=0) / 255).float()
    plain = statistics(share).double().numpy()
    return fit_foreign(features, plain, target, dims=2), features, share.numpy(), target


def test_the_features_part_is_the_mahalanobis_distance_to_the_nearest_class():
    foreign, features, _, target = learned()
    centres = [features[target == code].mean(0) for code in (0, 1)]
    apart = features - np.stack(centres)[target]
    precision = np.linalg.inv(apart.T @ apart / len(apart))
    point = features[7] + 3.0
    expected = min(mahalanobis(point, centre, precision) for centre in centres)
    whitened = (torch.from_numpy(point).float() - foreign.centres) @ foreign.whiten
    found = float(whitened.norm(dim=1).min())
    assert abs(found - expected) < 0.1 * expected  # its covariance is shrunk a little towards round


def test_images_of_another_kind_lie_further_away_than_any_own_one():
    foreign, features, share, _ = learned()
    known = torch.from_numpy(features).float()
    images = torch.from_numpy(share)
    own = foreign(images, known)
    assert 0.8 < float(own.median()) < 1.6
    others = {
        "inverted": 1 - images,
        "black": torch.zeros_like(images),
        "noise": torch.rand(images.shape, generator=torch.Generator().manual_seed(0)),
    }
    for name, image in others.items():
        assert float(foreign(image, known).min()) > float(own.max()), name


def test_a_volume_has_statistics_too():
    share = torch.rand(2, 1, 8, 10, 12)
    found = statistics(share)
    assert found.shape == (2, 4**3 + 3 + 4)
    assert bool(found.isfinite().all())


def test_colour_is_told_from_grey():
    grey = torch.rand(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert float(statistics(grey)[0, -1]) < 1e-6 < float(statistics(torch.rand(1, 3, 16, 16))[0, -1])
