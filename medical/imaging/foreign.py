"""Does an image look like those the network learned from? A distance, so that an X-ray sent to an ultrasound network is
refused instead of diagnosed.

Two Mahalanobis distances in one: of the pooled features from the nearest class of the train part (Lee et al. 2018),
which sees what the network knows, and of plain statistics of the image, which sees what the network has learned to
overlook. The square of each is divided by its number of dimensions: images of the train part lie about 1 away.

Measured with a small network of eight epochs and a limit that 1 % of validation images pass: one of BreastMNIST refuses
99.7 % of chest X-rays and 99.4 % of its own images inverted (statistics alone 98 and 96 %); one of PneumoniaMNIST all
breast ultrasounds (features alone 86 %) and 88 % of histology tiles; each refuses 3 % of its own test images.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lepton_solutions.models.resample import resize

TILES = 4  # a side of the thumbnail among the statistics
LEAST = 0.01  # standard deviation of a statistic, share of the window; of a feature, share of the features' own
MOST = 20_000  # images that a covariance is learned from


def statistics(share: Tensor) -> Tensor:
    """Plain figures of images [n, c, *space] of 0 to 1: [n, s].

    A thumbnail of tiles, spread, steps between neighbours along each axis, how much lies at either end of the window,
    and how far the channels differ.
    """
    dims, flat = share.dim() - 2, share.flatten(1)
    grey = share.mean(1, keepdim=True)
    tiles = resize(grey, [TILES] * dims).flatten(1)
    steps = [
        (share.narrow(axis, 1, share.shape[axis] - 1) - share.narrow(axis, 0, share.shape[axis] - 1)).abs().flatten(1)
        for axis in range(2, share.dim())
    ]
    figures = [
        (flat - flat.mean(1, keepdim=True)).square().mean(1).sqrt(),
        *[step.mean(1) for step in steps],
        (flat <= 0).float().mean(1),
        (flat >= 1).float().mean(1),
        (share - grey).abs().flatten(1).mean(1),
    ]
    return torch.cat([tiles, torch.stack(figures, 1)], 1)


class Foreign(nn.Module):
    """The distance [n], from images as shares of the window and their pooled features [n, f]. Made by `fit_foreign`."""

    centres: Tensor  # [classes, f]
    whiten: Tensor  # [f, f]
    centre: Tensor  # [s], of the statistics
    whiten_statistics: Tensor  # [s, s]

    def __init__(self, classes: int, features: int, dims: int) -> None:
        super().__init__()
        plain = TILES**dims + dims + 4
        self.register_buffer("centres", torch.zeros(classes, features))
        self.register_buffer("whiten", torch.eye(features))
        self.register_buffer("centre", torch.zeros(plain))
        self.register_buffer("whiten_statistics", torch.eye(plain))

    def forward(self, share: Tensor, features: Tensor) -> Tensor:
        # One class at a time: all differences at once would be [n, classes, f], and only the smallest counts.
        known = features @ self.whiten
        apart = [(known - centre).square().mean(1) for centre in (self.centres @ self.whiten).unbind(0)]
        plain = ((statistics(share) - self.centre) @ self.whiten_statistics).square().mean(1)
        return (torch.stack(apart).amin(0) + plain).sqrt()


def fit_foreign(features: np.ndarray, plain: np.ndarray, target: np.ndarray, dims: int) -> Foreign:
    """Learn it from the train part. features: [n, f]. plain: its `statistics`, [n, s]. target: class [n], -1 unknown,
    or [n, labels], which makes one class of all.
    """
    codes = np.zeros(len(features), np.int64) if target.ndim == 2 else target
    known = codes >= 0
    features, plain, codes = features[known], plain[known], codes[known]
    classes = np.unique(codes)
    centres = np.stack([features[codes == code].mean(0) for code in classes])
    found = Foreign(len(classes), features.shape[1], dims)
    apart = features - centres[np.searchsorted(classes, codes)]
    whiten = _whitening(apart, least=LEAST * float(np.sqrt(np.square(apart).mean())) + 1e-12)
    found.centres.copy_(torch.from_numpy(centres))
    found.whiten.copy_(torch.from_numpy(whiten))
    found.centre.copy_(torch.from_numpy(plain.mean(0)))
    found.whiten_statistics.copy_(torch.from_numpy(_whitening(plain - plain.mean(0), least=LEAST)))
    return found


def _whitening(apart: np.ndarray, *, least: float) -> np.ndarray:
    """W with the length of x W the Mahalanobis distance of x. Shrunk (Ledoit and Wolf 2004): there may be fewer images
    than features. least: standard deviation that no column falls below."""
    from sklearn.covariance import ledoit_wolf

    scale = np.maximum(apart.std(0), least)
    covariance, _ = ledoit_wolf(apart / scale, assume_centered=True)
    covariance = covariance + 1e-3 * np.eye(len(covariance))
    return np.linalg.cholesky(np.linalg.inv(covariance)) / scale[:, None]
