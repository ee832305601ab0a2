"""Views of a vibration signal for a network, as layers: its power spectrum, and the spectrum of its squared envelope.

A rolling element that passes a fault strikes the bearing; the strike rings at a resonance, and how often it returns
says which part is damaged. The squared envelope of the band around a resonance shows that rate (Randall and Antoni,
MSSP 25, 2011). The frequencies here are shares of the sampling rate: of a signal sampled at even steps of the shaft's
angle they are orders of its turning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FLOOR = 1e-4  # of a mean of 1: logarithms of next to nothing would drown what matters


class PowerSpectrum(nn.Module):
    """signal [b, samples] to [b, bins]: log power in equal bands up to half the sampling rate, against the mean band.

    Raises ValueError where there are more bins than frequencies.
    """

    taper: Tensor

    def __init__(self, samples: int, bins: int) -> None:
        super().__init__()
        if bins > samples // 2:
            raise ValueError(f"{bins} bins of {samples // 2} frequencies")
        self.bins, self.used = bins, samples // 2 // bins * bins
        self.register_buffer("taper", torch.hann_window(samples), persistent=False)

    def forward(self, signal: Tensor) -> Tensor:
        centred = signal - signal.mean(1, keepdim=True)
        power = _power(torch.fft.rfft(centred * self.taper))[:, 1 : self.used + 1]
        pooled = power.unflatten(1, (self.bins, -1)).mean(2)
        return (pooled / pooled.mean(1, keepdim=True).clamp_min(1e-30) + FLOOR).log()


class EnvelopeSpectrum(nn.Module):
    """signal [b, samples] to [b, bands, bins]: amplitudes of the squared envelope's spectrum in each band, against
    their mean. bins: the first frequencies above 0, in steps of the sampling rate / samples.

    bands: (low, high) as shares of the sampling rate, up to .5. Raises ValueError for a band with fewer frequencies
    than `bins`, the fastest envelope it can hold.
    """

    def __init__(self, samples: int, bands: Sequence[tuple[float, float]], bins: int) -> None:
        super().__init__()
        self.edges = [(int(low * samples), int(high * samples)) for low, high in bands]
        self.bins = bins
        for low, high in self.edges:
            if high - low < bins or high > samples // 2 + 1:
                raise ValueError(f"band of frequencies {low} to {high} of {samples} samples: {bins} bins are asked for")

    def forward(self, signal: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(signal - signal.mean(1, keepdim=True))
        return torch.stack([self._of_band(spectrum[:, low:high]) for low, high in self.edges], dim=1)

    def _of_band(self, band: Tensor) -> Tensor:
        # The one-sided band moved to zero is the analytic signal, slowed to what the band can hold; of at least twice
        # as many points, since the square has twice the band's width and would fold back. Of a power of two, because
        # ONNX Runtime loses digits on other lengths; more points do not move the frequencies. It pads no
        # complex ones.
        points = 2 ** math.ceil(math.log2(2 * band.shape[1]))
        parts = F.pad(torch.view_as_real(band), (0, 0, 0, points - band.shape[1]))
        padded = torch.view_as_complex(parts)
        envelope = _power(torch.fft.ifft(padded))
        amplitude = _power(torch.fft.rfft(envelope))[:, 1 : self.bins + 1].clamp_min(1e-30).sqrt()
        return amplitude / amplitude.mean(1, keepdim=True)


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square()
