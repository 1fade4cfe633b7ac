"""Path length where it has a closed form: generators whose pictures are plain functions of w."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from stylegan.metrics import path_distances, slerp, trimmed_mean


class Plain(nn.Module):
    """w = z, the same for 2 layers; every pixel of an h x w picture is w's first number, or what `draw` makes."""

    def __init__(self, size=(8, 8), draw=None):
        super().__init__()
        self.size, self.draw, self.seen = size, draw, []

    def mapping(self, z, c):
        return z[:, None].expand(-1, 2, -1)

    def synthesis(self, ws, noise_mode, noise=None):
        self.seen.append((noise_mode, noise))
        if self.draw is not None:
            return self.draw(ws)
        return ws[:, 0, :1, None, None].expand(-1, 3, *self.size)


def mean_square(a, b):
    return (a - b).square().mean(dim=(1, 2, 3))


def latents(num=5, width=4):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(num, width, generator=generator, dtype=torch.float64) for _ in range(2))


def test_slerp_keeps_the_angle():
    """Unit length, and the angle from a grows evenly to that of b."""
    a, b = latents()
    a, b = 3 * a, 7 * b
    whole = torch.nn.functional.cosine_similarity(a, b).acos()
    for t in (0.0, 0.25, 1.0):
        middle = slerp(a, b, torch.full((5,), t))
        torch.testing.assert_close(middle.norm(dim=1), torch.ones(5, dtype=torch.float64))
        torch.testing.assert_close(
            (torch.nn.functional.normalize(a, dim=1) * middle).sum(dim=1).clamp(-1, 1).acos(), t * whole,
            rtol=1e-6, atol=1e-7,
        )  # fmt: skip
    torch.testing.assert_close(slerp(a, b, 1.0), torch.nn.functional.normalize(b, dim=1))


@pytest.mark.parametrize("sampling", ["full", "end"])
def test_a_straight_path_has_the_square_of_its_slope(sampling):
    z0, z1 = latents()
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    for epsilon in (1e-1, 1e-4):
        got = path_distances(
            Plain(), z0, z1, None, t, distance=mean_square, epsilon=epsilon, sampling=sampling
        )
        torch.testing.assert_close(got, (z1 - z0)[:, 0].square(), rtol=1e-6, atol=1e-9)


def test_a_bent_path_has_the_slope_where_it_is_sampled():
    """Pictures of w²: the slope at t is 2·w·(w1 − w0), so the ends and the middle differ."""
    z0, z1 = latents()
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    generator = Plain(draw=lambda ws: ws[:, 0, :1, None, None].square())
    for sampling, at in (("full", t), ("end", torch.zeros_like(t))):
        w = torch.lerp(z0[:, 0], z1[:, 0], at)
        got = path_distances(
            generator, z0, z1, None, t, distance=mean_square, epsilon=1e-6, sampling=sampling
        )
        torch.testing.assert_close(got, (2 * w * (z1 - z0)[:, 0]).square(), rtol=1e-3, atol=1e-4)


def test_in_z_the_path_is_the_great_circle():
    """Its speed is the angle, wherever it is: a picture that is all of z moves by it."""
    z0, z1 = latents()
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    generator = Plain(draw=lambda ws: ws[:, 0, :, None, None])
    got = path_distances(
        generator, z0, z1, None, t, distance=lambda a, b: (a - b).square().sum(dim=(1, 2, 3)), space="z",
        sampling="full",
    )  # fmt: skip
    angle = torch.nn.functional.cosine_similarity(z0, z1).acos()
    torch.testing.assert_close(got, angle.square(), rtol=1e-5, atol=1e-6)


def test_the_crop_is_the_middle_of_the_lower_image():
    z0, z1 = latents(1)
    seen = []
    place = torch.arange(16.0).reshape(1, 1, 16, 1) * 100 + torch.arange(32.0)
    path_distances(
        Plain(draw=lambda ws: place), z0, z1, None, torch.zeros(1),
        distance=lambda a, b: seen.append(a) or mean_square(a, b), crop=True,
    )  # fmt: skip
    torch.testing.assert_close(seen[0], place[:, :, 6:14, 8:24])


@pytest.mark.parametrize(("side", "expected"), [(256, 256), (384, 384), (512, 256), (1024, 256), (1280, 256)])
def test_large_images_are_averaged_over_whole_pixels(side, expected):
    z0, z1 = latents(1)
    seen = []
    fine = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    path_distances(
        Plain(draw=lambda ws: fine), z0, z1, None, torch.zeros(1),
        distance=lambda a, b: seen.append(a) or mean_square(a, b),
    )  # fmt: skip
    factor = side // expected
    cells = fine.reshape(1, 3, expected, factor, expected, factor).mean(dim=(3, 5))
    torch.testing.assert_close(seen[0], cells)


def test_both_images_have_one_noise():
    z0, z1 = latents()
    noise = {"b4.conv1": torch.randn(5, 1, 4, 4)}
    for given, mode in ((noise, "random"), (None, "const")):
        generator = Plain()
        path_distances(generator, z0, z1, None, torch.zeros(5), distance=mean_square, noise=given)
        assert len(generator.seen) == 2
        assert all(seen_mode == mode and seen is given for seen_mode, seen in generator.seen)


def test_the_trimmed_mean_drops_the_extremes():
    """Of 0..200 the 1st and 99th percentile are 2 and 198; an outlier beyond is not felt."""
    values = np.arange(201.0)
    assert trimmed_mean(values[::-1]) == np.arange(2, 199).mean()
    values[-1] = 1e12
    assert trimmed_mean(torch.from_numpy(values)) == np.arange(2, 199).mean()
    # Between two that occur, the outer one is kept.
    assert trimmed_mean([0.0, 1.0, 5.0]) == 2
    for bad, message in (([], "shape"), ([1.0, math.nan], "1 of 2 are not finite, first one 1")):
        with pytest.raises(ValueError, match=message):
            trimmed_mean(torch.tensor(bad))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "x"}, "space must be z or w, got 'x'"),
        ({"sampling": "start"}, "sampling must be full or end, got 'start'"),
        ({"epsilon": 0}, "epsilon must be above 0, got 0"),
    ],
)
def test_mistakes(options, message):
    z0, z1 = latents()
    with pytest.raises(ValueError, match=message):
        path_distances(Plain(), z0, z1, None, torch.zeros(5), distance=mean_square, **options)
    with pytest.raises(ValueError, match="N >= 1"):
        path_distances(Plain(), z0, z1[:3], None, torch.zeros(5), distance=mean_square)
    with pytest.raises(ValueError, match="one shape"):
        slerp(z0, z1[:3], 0.5)
