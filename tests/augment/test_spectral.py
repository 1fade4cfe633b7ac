"""Wavelet filters and the image filter."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d

from stylegan.augment import AugmentPipe
from stylegan.augment.spectral import (
    BAND_POWER,
    SYM2,
    SYM6,
    amplify_bands,
    band_gains,
    filter_bank,
    resampling_filter,
)


@pytest.mark.parametrize("taps", [SYM2, SYM6], ids=["sym2", "sym6"])
def test_symlets_are_orthogonal_and_have_their_vanishing_moments(taps):
    taps = np.array(taps)
    for shift in range(0, taps.size, 2):
        overlap = (taps[shift:] * taps[: taps.size - shift]).sum()
        assert overlap == pytest.approx(1.0 if shift == 0 else 0.0, abs=1e-11)
    assert taps.sum() == pytest.approx(2**0.5, abs=1e-11)
    k = np.arange(taps.size) - (taps.size - 1) / 2
    signs = (-1.0) ** np.arange(taps.size)
    for power in range(taps.size // 2):
        # Relative to the size of the terms that cancel.
        assert abs((signs * k**power * taps).sum()) < 1e-9 * (abs(k) ** power * abs(taps)).sum()


def test_bank_splits_the_axis_into_octaves():
    bank = filter_bank()
    assert bank.shape == (4, 43) and bank.dtype == torch.float64
    delta = torch.zeros(43, dtype=torch.float64)
    delta[21] = 1
    torch.testing.assert_close(bank.sum(0), delta, rtol=0, atol=1e-12)
    torch.testing.assert_close(bank, bank.flip(1), rtol=0, atol=1e-12)
    # Amplitude in the middle of each octave, 0 = constant, 1 = alternating.
    response = torch.fft.rfft(bank, 256).abs()
    assert response[:, 0].tolist() == pytest.approx([1, 0, 0, 0], abs=1e-9)
    assert response[:, 128].tolist() == pytest.approx([0, 0, 0, 1], abs=1e-9)
    for band, frequency in enumerate((0.0625, 0.1875, 0.375, 0.75)):
        assert response[:, int(frequency * 128)].argmax() == band


def test_resampling_filter_keeps_brightness():
    assert resampling_filter().sum().item() == pytest.approx(1, abs=1e-14)


def test_gains_are_normalised_band_by_band():
    pipe = AugmentPipe(imgfilter=1)
    draws = pipe.draw(5, (3, 8, 8), torch.Generator().manual_seed(0))
    parameters = pipe.parameters_of(draws, torch.float64)
    expected = np.ones((5, 4))
    for n in range(5):
        for band in range(4):
            t = np.ones(4)
            t[band] = 2 ** parameters.imgfilter[n, band].item()
            expected[n] *= t / np.sqrt((np.array(BAND_POWER) * t**2).sum())
    torch.testing.assert_close(band_gains(parameters), torch.from_numpy(expected))


@pytest.mark.parametrize("size", [(32, 48), (24, 23), (9, 30), (8, 8), (2, 5)])
def test_filter_against_scipy(size):
    """Also on images smaller than the filter, where the reflection repeats."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    gains = torch.rand(2, 4, generator=generator, dtype=torch.float64) * 3
    out = amplify_bands(images, gains, filter_bank())
    for n in range(2):
        taps = (gains[n, :, None] * filter_bank()).sum(0).numpy()
        expected = convolve1d(images[n].numpy(), taps, axis=2, mode="mirror")
        expected = convolve1d(expected, taps, axis=1, mode="mirror")
        torch.testing.assert_close(out[n], torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_equal_gains_only_scale():
    images = torch.randn(1, 1, 24, 24, dtype=torch.float64)
    out = amplify_bands(images, torch.full((1, 4), 3.0, dtype=torch.float64), filter_bank())
    torch.testing.assert_close(out, 9 * images)
