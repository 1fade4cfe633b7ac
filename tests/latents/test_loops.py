"""Loops: the walk equals scipy's formula to the bit, all of them close, and each begins where it says."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import iv

from stylegan.latents.paths.loops import (
    Circle,
    NoiseLoop,
    Walk,
    frames_of_loop,
    loop_of_seed,
    noise_spectrum,
    walk_latents,
)
from stylegan.latents.seeds import latents_of


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
@pytest.mark.parametrize("cells", [None, 6])
@pytest.mark.parametrize(("frames", "smoothing"), [(90, 12.0), (10, 90.0), (31, 0.37)])
def test_a_walk_is_the_formula_to_the_bit(seed, cells, frames, smoothing):
    shape = (frames, 16) if cells is None else (frames, cells, 16)
    noise = np.random.RandomState(seed).randn(*shape)
    expected = gaussian_filter1d(noise, smoothing, axis=0, mode="wrap")
    # As the filter over all axes, which is the form of public tools.
    over_all = gaussian_filter(noise, [smoothing] + [0] * (noise.ndim - 1), mode="wrap")
    got = walk_latents(seed, frames, 16, smoothing_frames=smoothing, cells=cells)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(got, over_all)


def test_a_walk_is_the_wrapped_gaussian_and_not_another():
    """Against the definition: every frame a weighted mean of all, over as many rounds as the Gaussian reaches."""
    frames, sigma = 12, 2.0
    noise = np.random.RandomState(3).randn(frames, 4)
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    expected = [
        sum(w * noise[(i + k - reach) % frames] for k, w in enumerate(weights)) for i in range(frames)
    ]
    np.testing.assert_allclose(walk_latents(3, frames, 4, smoothing_frames=sigma), expected, atol=1e-12)


def test_a_walk_without_smoothing_is_the_noise():
    expected = np.random.RandomState(5).randn(4, 3)
    np.testing.assert_array_equal(walk_latents(5, 4, 3, smoothing_frames=0), expected)


@pytest.mark.parametrize("smoothing", [0.1249, 1e-3, 1e-200])
def test_the_narrowest_gaussians_change_nothing(smoothing):
    noise = np.random.RandomState(3).randn(9, 4)
    np.testing.assert_array_equal(walk_latents(3, 9, 4, smoothing_frames=smoothing), noise)
    if smoothing > 1e-100:  # beyond, scipy divides by 0
        np.testing.assert_array_equal(gaussian_filter1d(noise, smoothing, axis=0, mode="wrap"), noise)


def test_a_walk_of_many_numbers_is_filtered_alike():
    (walk,) = loop_of_seed("walk", 3, None, 130, length=20, smoothing_frames=2.0, diameter=1)
    expected = walk_latents(3, 20, 130, smoothing_frames=2.0).astype(np.float32)
    np.testing.assert_array_equal([walk.z(frame) for frame in range(20)], expected)


def test_a_walk_too_long_for_memory_is_refused():
    with pytest.raises(ValueError, match="duration_sec is too long for a walk: 1,000,000 frames of 6 cells"):
        walk_latents(0, 1_000_000, 512, smoothing_frames=90, cells=6)


def test_between_frames_a_walk_is_straight_and_it_wraps():
    z = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    walk = Walk(z)
    for position in (0, 4, 5, -1, 12):
        np.testing.assert_array_equal(walk.z(position), z[position % 5])
    np.testing.assert_allclose(walk.z(4.25), 0.75 * z[4] + 0.25 * z[0], atol=1e-6)
    np.testing.assert_array_equal(walk.z(-0.75), walk.z(4.25))


@pytest.mark.parametrize("kind", ["walk", "circle", "noise"])
def test_the_last_step_is_as_the_others(kind):
    (loop,) = loop_of_seed(kind, 1, None, 32, length=60, smoothing_frames=8, diameter=1)
    z = np.stack([loop.z(position) for position in range(60)])
    steps = np.linalg.norm(np.diff(np.concatenate([z, z[:1]]), axis=0), axis=1)
    assert steps[-1] < 1.5 * np.median(steps) and steps[-1] > 0
    np.testing.assert_array_equal(loop.z(60), z[0])
    # No frame twice: all steps are about as long.
    assert steps.min() > 0.3 * np.median(steps)


@pytest.mark.parametrize("kind", ["walk", "circle", "noise"])
def test_cells_of_one_seed_differ_and_are_those_of_its_numbers(kind):
    options = dict(length=20, smoothing_frames=3, diameter=0.8)
    cells = loop_of_seed(kind, 4, 3, 8, **options)
    z = [loop.z(7) for loop in cells]
    assert len(cells) == 3 and not np.array_equal(z[0], z[1]) and not np.array_equal(z[1], z[2])
    (alone,) = loop_of_seed(kind, 4, None, 8, **options)
    (one,) = loop_of_seed(kind, 4, 1, 8, **options)
    np.testing.assert_array_equal(alone.z(7), one.z(7))


def test_a_circle_begins_with_the_image_of_its_seed_and_passes_the_opposite():
    seed = latents_of([9], 16)[0].numpy()
    (circle,) = loop_of_seed("circle", 9, None, 16, length=40, smoothing_frames=0, diameter=1)
    np.testing.assert_array_equal(circle.z(0), seed)
    np.testing.assert_allclose(circle.z(20), -seed, atol=1e-6)
    a, b = np.random.RandomState(9).randn(2, 16)
    np.testing.assert_allclose(circle.z(10), b, atol=1e-6)
    small = Circle(a, b, diameter=0.25, length=40)
    np.testing.assert_allclose(small.z(20), 0.5 * a, atol=1e-6)
    np.testing.assert_array_equal(small.z(0), seed)


@pytest.mark.parametrize("diameter", [0.01, 1, 5, 40])
def test_noise_has_the_spectrum_of_its_correlation(diameter):
    """Against scipy's Fourier transform of exp(-d²/2), d the chord, and the Bessel functions by name."""
    angles = np.linspace(0, 2 * np.pi, 4096, endpoint=False)
    kernel = np.exp(-((diameter * np.sin(angles / 2)) ** 2) / 2)
    fourier = np.fft.rfft(kernel).real / len(angles)
    fourier[1:] *= 2
    spectrum = noise_spectrum(diameter)
    np.testing.assert_allclose(spectrum, fourier[: len(spectrum)], atol=1e-12)
    assert spectrum.sum() == pytest.approx(1, abs=1e-11)
    if diameter < 10:
        k = diameter**2 / 4
        assert spectrum[1] == pytest.approx(2 * np.exp(-k) * iv(1, k))


def test_noise_of_a_small_diameter_stays_at_the_seed():
    seed = latents_of([2], 16)[0].numpy()
    (loop,) = loop_of_seed("noise", 2, None, 16, length=30, smoothing_frames=0, diameter=0.01)
    for position in (0, 7, 15):
        np.testing.assert_allclose(loop.z(position), seed, atol=0.05)


def test_noise_has_unit_variance_and_the_stated_correlation():
    coefficients = np.random.default_rng(0).standard_normal((2 * len(noise_spectrum(2)) - 1, 20_000))
    loop = NoiseLoop(coefficients, diameter=2, length=12)
    z = np.stack([loop.z(position) for position in range(12)])
    np.testing.assert_allclose(z.std(axis=1), 1, atol=0.02)
    for step in (1, 3, 6):
        chord = 2 * np.sin(np.pi * step / 12)
        assert np.corrcoef(z[0], z[step])[0, 1] == pytest.approx(np.exp(-(chord**2) / 2), abs=0.02)


@pytest.mark.parametrize(
    ("duration", "fps", "slowdown", "frames"),
    [(30, 30, 1, (900, 900)), (30, 30, 2, (900, 1800)), (2.5, 25, 1.5, (63, 95)), (0.1, 29.97, 1, (3, 3))],
)
def test_frames_of_a_loop(duration, fps, slowdown, frames):
    assert frames_of_loop(duration, fps, slowdown) == frames
