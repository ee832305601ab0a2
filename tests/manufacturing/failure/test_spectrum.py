"""The views of a vibration signal against scipy, and the records of CWRU."""

import gzip

import numpy as np
import pytest
import torch
from scipy.io import savemat
from scipy.signal import hilbert

from lepton_solutions.errors import UserError
from manufacturing.failure.cwru import TURN, Record, by_angle, read_record
from manufacturing.failure.signals import new_spectrum
from manufacturing.failure.spectrum import EnvelopeSpectrum, PowerSpectrum


@pytest.fixture
def signal():
    return np.random.default_rng(0).normal(size=(3, 512))


def test_the_envelope_is_that_of_the_analytic_signal_of_the_band(signal):
    found = EnvelopeSpectrum(512, [(0.125, 0.375)], 100)(torch.from_numpy(signal))[:, 0].numpy()
    bins = np.fft.fft(signal - signal.mean(1, keepdims=True))
    inside = np.zeros(512)
    inside[64:192] = 1
    inside[-191:-63] = 1  # the same frequencies below 0: 64 to 191
    band = np.fft.ifft(bins * inside).real
    amplitude = np.abs(np.fft.fft(np.abs(hilbert(band)) ** 2))[:, 1:101]
    np.testing.assert_allclose(found, amplitude / amplitude.mean(1, keepdims=True), rtol=1e-9)


def test_strikes_that_return_show_their_rate_in_the_envelope_only():
    t = np.arange(4096)
    ringing = np.sin(2 * np.pi * 0.3 * t) * np.exp(-(t % 128) / 20)  # strikes every 128 samples: 32 a window
    found = EnvelopeSpectrum(4096, [(0.2, 0.4)], 60)(torch.from_numpy(ringing)[None])[0, 0]
    assert int(found.argmax()) + 1 == 32
    power = PowerSpectrum(4096, 64)(torch.from_numpy(ringing)[None])[0]
    assert int(power.argmax()) == int(0.3 / 0.5 * 64)


def test_the_views_do_not_depend_on_the_level(signal):
    for view in (EnvelopeSpectrum(512, [(0.125, 0.375)], 50), PowerSpectrum(512, 16)):
        torch.testing.assert_close(view(torch.from_numpy(signal)), view(torch.from_numpy(1000 * signal + 5)))


def test_a_band_that_is_too_narrow_is_refused():
    with pytest.raises(ValueError, match="100 bins are asked for"):
        EnvelopeSpectrum(512, [(0.1, 0.2)], 100)


def test_a_window_that_is_too_short_is_answered_with_one_that_is_not():
    with pytest.raises(UserError, match=r"inputs\.window=40"):
        new_spectrum(1, 40, 3, 16, 0.0)


def test_the_network_reads_the_signals_and_not_what_stands_beside_them():
    network = new_spectrum(1, 512, 3, 16, 0.0).eval()
    window = torch.randn(2, 512, 3, generator=torch.Generator().manual_seed(0))
    other = window.clone()
    other[:, :, 1:] = 0
    assert network(window).shape == (2, 3)
    torch.testing.assert_close(network(window), network(other))


def test_order_tracking_brings_two_speeds_to_one_rate():
    # A tone of 3 a turn at 1,800 and at 1,500 rpm; half a second of 12,000 samples a second.
    peaks = []
    for rpm in (1800, 1500):
        t = np.arange(12_000) / 12_000
        record = Record(1, None, None, 0, rpm, np.sin(2 * np.pi * 3 * rpm / 60 * t).astype(np.float32))
        turned = by_angle(record)[: 10 * TURN]
        peaks.append(int(np.abs(np.fft.rfft(turned)).argmax()))
    assert peaks == [30, 30]


def written(tmp_path, **content):
    savemat(tmp_path / "105.mat", content)
    packed = tmp_path / "105.mat.gz"
    packed.write_bytes(gzip.compress((tmp_path / "105.mat").read_bytes()))
    return packed


def test_a_record_is_read_plain_and_compressed(tmp_path):
    content = {"X105_DE_time": np.arange(13_000.0)[:, None], "X105RPM": np.array([[1797]])}
    packed = written(tmp_path, **content)
    for file in (packed, tmp_path / "105.mat"):
        record = read_record(file, place="inner", size="0.007", load=0)
        assert (len(record.signal), record.rpm, record.bearing) == (13_000, 1797, "inner 0.007")


@pytest.mark.parametrize("keep", [0, 100, 128, 200, 1000])
def test_a_damaged_record_is_named(tmp_path, keep):
    packed = written(tmp_path, X105_DE_time=np.arange(13_000.0))
    plain = tmp_path / "105.mat"
    plain.write_bytes(plain.read_bytes()[:keep])
    packed.write_bytes(packed.read_bytes()[:keep])
    for file in (plain, packed):
        with pytest.raises(UserError, match=r"105\.mat"):
            read_record(file, place="inner", size="0.007", load=0)


def test_a_record_of_another_number_says_what_it_holds(tmp_path):
    file = written(tmp_path, X106_DE_time=np.arange(13_000.0))
    with pytest.raises(UserError, match=r"holds no `X105_DE_time`.*X106_DE_time"):
        read_record(file, place="inner", size="0.007", load=0)
