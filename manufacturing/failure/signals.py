"""Networks over a vibration signal: its spectra as layers, a small convolution over them.

Both views go through convolutions whose steps are frequencies: what is learned of one harmonic serves the next.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lepton_solutions.errors import UserError
from manufacturing.failure.spectrum import EnvelopeSpectrum, PowerSpectrum

# Shares of the sampling rate. Lower than a tenth there is the machine's own turning, not the ringing of a bearing.
BANDS = ((0.05, 0.2), (0.2, 0.35), (0.35, 0.5), (0.05, 0.5))
BINS = 64  # of the power spectrum
LEAST = 256  # samples of a window
QUIET = 0.01  # of a mean of 1: what an envelope holds below it is rounding as much as signal
RANGES = 40  # of an envelope, that a simple model is told of
REACH = 0.04  # how far the envelope's spectrum is looked at, a share of the sampling rate


class Views(nn.Module):
    """signal [b, samples] to the envelope's spectra [b, bands, e] and the power spectrum [b, p]; logarithms."""

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.pool = max(1, samples // 4096)  # 4,096 samples of 400 a turn tell tenths of an order apart
        self.steps = int(REACH * samples) // self.pool
        self.envelope = EnvelopeSpectrum(samples, BANDS, self.steps * self.pool)
        self.power = PowerSpectrum(samples, min(BINS, samples // 2))

    def forward(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        amplitude = self.envelope(signal).unflatten(2, (self.steps, self.pool)).amax(3)
        return (amplitude + QUIET).log(), self.power(signal)


def summary_of_signal(windows: Tensor, channels: int) -> Tensor:
    """[n, columns] of windows [n, samples, features], for simple models: of each channel the strongest envelope in 40
    equal ranges of each band, the power spectrum, the kurtosis and the level.
    """
    views, found = Views(windows.shape[1]), []
    for channel in range(channels):
        signal = windows[:, :, channel]
        envelope, power = views(signal)
        centred = (signal - signal.mean(1, keepdim=True)).double()
        level = centred.square().mean(1).clamp_min(1e-30)
        strongest = nn.functional.adaptive_max_pool1d(envelope, RANGES).flatten(1)
        shape = torch.stack([centred.pow(4).mean(1) / level.square(), level.sqrt()], 1)
        found += [strongest, power, shape.float()]
    return torch.cat(found, 1)


class OverViews(nn.Module):
    """The views to [b, outputs]."""

    def __init__(self, steps: int, bins: int, outputs: int, *, width: int, dropout: float, power: bool = True) -> None:
        super().__init__()
        self.power = power
        self.norm = nn.BatchNorm1d(len(BANDS) * steps)
        self.over = nn.Sequential(
            nn.Conv1d(len(BANDS), width // 2, 7, padding=3), nn.ReLU(), nn.Conv1d(width // 2, 4, 1), nn.ReLU()
        )
        joined = 4 * steps + bins * power
        self.head = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(joined, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs)
        )

    def forward(self, envelope: Tensor, power: Tensor) -> Tensor:
        even = self.norm(envelope.flatten(1)).view_as(envelope)
        found = self.over(even).flatten(1)
        return self.head(torch.cat([found, power], dim=1) if self.power else found)


class SpectrumNetwork(nn.Module):
    """window [b, samples, features] to [b, outputs]; the first `channels` features are signals, of equal standing."""

    def __init__(self, channels: int, window: int, outputs: int, *, width: int, dropout: float) -> None:
        super().__init__()
        self.channels = channels
        self.views = Views(window)
        bins = self.views.power.bins
        self.heads = nn.ModuleList(
            OverViews(self.views.steps, bins, outputs, width=width, dropout=dropout) for _ in range(channels)
        )

    def forward(self, window: Tensor) -> Tensor:
        said = [head(*self.views(window[:, :, i])) for i, head in enumerate(self.heads)]
        return torch.stack(said).mean(0)


def new_spectrum(channels: int, window: int, outputs: int, width: int, dropout: float) -> SpectrumNetwork:
    """Raises UserError for a window too short to hold the envelope's spectrum."""
    if window < LEAST:
        raise UserError(
            f"inputs.window={window}: a spectrum needs {LEAST:,} samples or more", hint="inputs.window=4096"
        )
    return SpectrumNetwork(channels, window, outputs, width=width, dropout=dropout)
