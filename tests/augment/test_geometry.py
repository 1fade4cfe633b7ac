"""Geometric transforms against slow, plain numpy."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from scipy.signal import upfirdn

from stylegan.augment import AugmentPipe, geometry
from stylegan.augment.geometry import inverse_map, margins, warp
from stylegan.augment.options import GEOMETRY
from stylegan.augment.spectral import resampling_filter


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def random_images(n, c, h, w, seed=0):
    return torch.randn(n, c, h, w, generator=seeded(seed), dtype=torch.float64)


def random_parameters(n, seed, **options):
    pipe = AugmentPipe(**dict.fromkeys(GEOMETRY, 1), **options)
    return pipe.parameters_of(pipe.draw(n, (3, 8, 8), seeded(seed)), torch.float64)


def translation(x, y):
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def rotation(angle):
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def slow_map(p, n, h, w):
    value = {name: getattr(p, name)[n].tolist() for name in GEOMETRY}
    (s,), (a,) = value["scale"], value["aniso"]
    factors = [
        np.diag([1 - 2 * value["xflip"][0], 1, 1]),
        rotation(math.pi / 2 * value["rotate90"][0]),
        translation(-round(value["xint"][0] * w), -round(value["xint"][1] * h)),
        np.diag([2**-s, 2**-s, 1]),
        rotation(value["rotate"][0]),
        np.diag([2**-a, 2**a, 1]),
        rotation(value["rotate"][1]),
        translation(-value["xfrac"][0] * w, -value["xfrac"][1] * h),
    ]
    return np.linalg.multi_dot(factors)


def slow_margins(matrix, h, w):
    cx, cy = (w - 1) / 2, (h - 1) / 2
    corners = matrix @ np.array([[-cx, -cy, 1], [cx, -cy, 1], [-cx, cy, 1], [cx, cy, 1]]).T
    reach = [-corners[0].min() - cx, corners[0].max() - cx, -corners[1].min() - cy, corners[1].max() - cy]
    # The millionth absorbs what rounding adds to maps that land on whole pixels.
    return [
        min(max(math.ceil(r + 6 - 1e-6), 0), side - 1) for r, side in zip(reach, [w, w, h, h], strict=True)
    ]


def slow_warp(image, matrix):
    """One plane, step by step as the pipe is defined."""
    h, w = image.shape
    taps = resampling_filter().numpy()
    x0, x1, y0, y1 = slow_margins(matrix, h, w)
    padded = np.pad(image, ((y0, y1), (x0, x1)), mode="reflect")
    for axis in (0, 1):
        full = upfirdn(2 * taps, padded, up=2, axis=axis)
        padded = full.take(range(5, 5 + 2 * padded.shape[axis]), axis=axis)
    half, double = np.diag([0.5, 0.5, 1]), np.diag([2, 2, 1.0])
    fine = translation(-0.5, -0.5) @ double @ translation((x0 - x1) / 2, (y0 - y1) / 2) @ matrix
    fine = fine @ half @ translation(0.5, 0.5)
    out_h, out_w = 2 * h + 24, 2 * w + 24
    y, x = np.mgrid[:out_h, :out_w]
    x, y = x - (out_w - 1) / 2, y - (out_h - 1) / 2
    source_x, source_y, _ = np.tensordot(fine, np.stack([x, y, np.ones_like(x)]), 1)
    source = [source_y + (padded.shape[0] - 1) / 2, source_x + (padded.shape[1] - 1) / 2]
    sampled = map_coordinates(padded, source, order=1, mode="grid-constant", cval=0)
    for axis, side in ((0, h), (1, w)):
        picks = [sampled.take(range(k + 7, k + 7 + 2 * side, 2), axis=axis) for k in range(12)]
        sampled = sum(tap * pick for tap, pick in zip(taps, picks, strict=True))
    return sampled


@pytest.mark.parametrize("size", [(16, 16), (9, 20)])
def test_map_is_the_product_in_the_defined_order(size):
    p = random_parameters(24, seed=1)
    maps = inverse_map(p, *size)
    for n in range(24):
        expected = torch.from_numpy(slow_map(p, n, *size))
        torch.testing.assert_close(maps[n], expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [(16, 16), (9, 20)])
def test_margins_cover_the_mapped_corners(size):
    maps = inverse_map(random_parameters(64, seed=2, scale_std=1.0), *size)
    expected = [slow_margins(m.numpy(), *size) for m in maps]
    assert margins(maps, *size).tolist() == expected


@pytest.mark.parametrize("spread", [0.2, 1.2], ids=["usual", "strong"])
@pytest.mark.parametrize("size", [(12, 12), (9, 17)])
def test_warp_in_company_equals_the_slow_one_alone(size, spread):
    """Strong reductions read from beyond their own margins, where neighbours may have widened the padding."""
    images = random_images(12, 2, *size)
    maps = inverse_map(random_parameters(12, seed=3, scale_std=spread, aniso_std=spread), *size)
    out = warp(images, maps, resampling_filter())
    for n in range(12):
        expected = np.stack([slow_warp(plane, maps[n].numpy()) for plane in images[n].numpy()])
        torch.testing.assert_close(out[n], torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_padding_of_the_batch_alone_would_not_do(monkeypatch):
    images = random_images(12, 2, 12, 12)
    maps = inverse_map(random_parameters(12, seed=3, scale_std=1.2), 12, 12)
    out = warp(images, maps, resampling_filter())
    monkeypatch.setattr(geometry, "_inside", lambda *args: torch.ones((), dtype=torch.float64))
    assert (warp(images, maps, resampling_filter()) - out).abs().max() > 1e-5


def moved(images, **changes):
    """The images under parameters that are zero but for these."""
    zero = random_parameters(len(images), seed=0)._asdict()
    zero = {name: torch.zeros_like(value) for name, value in zero.items()}
    changes = {
        name: torch.tensor([value] * len(images), dtype=torch.float64) for name, value in changes.items()
    }
    parameters = type(random_parameters(1, 0))(**zero | changes)
    return warp(images, inverse_map(parameters, *images.shape[2:]), resampling_filter())


def assert_equal(actual, expected):
    # The published taps are orthogonal to about 12 digits.
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [(16, 16), (11, 11), (10, 16)])
def test_shifts_by_whole_pixels_are_exact(size):
    """Orthogonal filters up and down undo each other, up to the very edge."""
    h, w = size
    images = random_images(2, 3, h, w)
    assert_equal(moved(images), images)
    assert_equal(moved(images, rotate=[0.4, -0.4]), images)
    right_down = moved(images, xint=[3 / w, 2 / h])
    assert_equal(right_down[:, :, 2:, 3:], images[:, :, :-2, :-3])
    # What moves in is the reflection, edge not repeated.
    assert_equal(right_down[:, :, 2:, 2], images[:, :, :-2, 1])
    assert_equal(moved(images, xfrac=[3 / w, 2 / h]), right_down)


def test_turns_and_flips():
    """The filter is not quite symmetric, so that a mirrored image is a tenth of a pixel off."""
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 32, dtype=torch.float64)] * 2, indexing="ij")
    images = torch.exp(-4 * ((x - 0.4) ** 2 + (y + 0.1) ** 2))[None, None]
    expected = {
        "xflip": [images.flip(3)],
        # The inverse map turns by +90 degrees with y down, so the image turns counter-clockwise.
        "rotate90": [images.rot90(k, [2, 3]) for k in (1, 2, 3)],
    }
    for name, sequence in expected.items():
        for k, image in enumerate(sequence, start=1):
            assert (moved(images, **{name: [k]}) - image).abs().max() < 0.02
            assert (images - image).abs().max() > 0.5
    for k in (1, 2, 3):
        assert_equal(moved(images, rotate=[k * math.pi / 2, 0]), moved(images, rotate90=[k]))


def test_a_flat_image_stays_flat_inside():
    out = moved(torch.ones(1, 1, 24, 24, dtype=torch.float64), scale=[0.3], rotate=[0.5, 0.0], aniso=[0.2])
    assert_equal(out[..., 2:-2, 2:-2], torch.ones(1, 1, 20, 20, dtype=torch.float64))


def test_what_is_too_far_out_is_black():
    images = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    # Reflection offers 15 pixels around 16: a picture a sixth as large has black beyond.
    out = moved(images, scale=[-math.log2(6)])
    assert out[..., 0, :].abs().max() == 0 and out[..., 8, 8].item() == pytest.approx(1, abs=0.01)
