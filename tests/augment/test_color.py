"""Colour transforms: the closed form against the product of five matrices."""

import math

import numpy as np
import pytest
import torch

from stylegan.augment import AugmentPipe
from stylegan.augment.color import color_map, recolor
from stylegan.augment.options import COLOR


def random_parameters(n, seed=0):
    pipe = AugmentPipe(**dict.fromkeys(COLOR, 1))
    return pipe.parameters_of(pipe.draw(n, (3, 8, 8), torch.Generator().manual_seed(seed)), torch.float64)


def slow_matrix(p, n, channels):
    """4×4 matrices multiplied in the defined order; hue and saturation are for three channels only."""
    value = {name: getattr(p, name)[n].item() for name in COLOR}
    v = np.array([1, 1, 1, 0]) / math.sqrt(3)
    along = np.outer(v, v)
    brightness = np.eye(4)
    brightness[:3, 3] = value["brightness"]
    factors = [
        brightness,
        np.diag([2 ** value["contrast"]] * 3 + [1]),
        np.eye(4) - 2 * along * value["lumaflip"],
    ]
    if channels == 3:
        angle, (x, y, z) = value["hue"], v[:3]
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        hue = np.eye(4)
        hue[:3, :3] = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
        factors += [hue, along + 2 ** value["saturation"] * (np.eye(4) - along)]
    matrix = np.eye(4)
    for factor in factors:
        matrix = factor @ matrix
    return matrix


def test_closed_form_on_three_channels():
    p = random_parameters(32)
    matrix, offset = color_map(p, 3)
    for n in range(32):
        expected = torch.from_numpy(slow_matrix(p, n, 3))
        torch.testing.assert_close(matrix[n], expected[:3, :3], rtol=0, atol=1e-12)
        torch.testing.assert_close(offset[n], expected[:3, 3], rtol=0, atol=1e-12)


def test_one_channel_is_the_mean_of_the_rows():
    p = random_parameters(32)
    matrix, offset = color_map(p, 1)
    for n in range(32):
        row = slow_matrix(p, n, 1)[:3].mean(0)
        assert matrix[n].item() == pytest.approx(row[:3].sum(), abs=1e-12)
        assert offset[n].item() == pytest.approx(row[3], abs=1e-12)


def test_recolor_is_the_matrix_at_every_pixel():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 5, 6, generator=generator, dtype=torch.float64)
    matrix, offset = color_map(random_parameters(4), 3)
    expected = torch.einsum("nij,njhw->nihw", matrix, images) + offset[:, :, None, None]
    torch.testing.assert_close(recolor(images, matrix, offset), expected)


def test_positive_hue_turns_red_towards_green():
    pipe = AugmentPipe(hue=1)
    p = pipe.parameters_at(0.5 + 1 / 6, 1, torch.float64)  # a third of the half turn, twice: 60 degrees
    assert p.hue.item() == pytest.approx(math.pi / 3)
    red = torch.tensor([1.0, 0, 0], dtype=torch.float64).reshape(1, 3, 1, 1)
    turned = recolor(red, *color_map(p, 3)).flatten()
    assert turned.argmin() == 2 and turned[1] == pytest.approx(turned[0])


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("name", COLOR)
def test_alpha_is_no_colour(name, channels):
    images = torch.randn(3, channels, 8, 8, generator=torch.Generator().manual_seed(1))
    pipe = AugmentPipe(**{name: 1})
    out, colors = pipe(images, percentile=0.9), pipe(images[:, :-1], percentile=0.9)
    assert torch.equal(out, torch.cat([colors, images[:, -1:]], dim=1))
    changes = name not in ("hue", "saturation") or channels == 4  # grey has neither
    assert torch.equal(colors, images[:, :-1]) != changes


def test_planes_that_are_no_colours_keep_their_values():
    images = torch.randn(3, 5, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(AugmentPipe(**dict.fromkeys(COLOR, 1))(images, percentile=0.9), images)


def test_other_channel_counts_are_fine_without_colour():
    images = torch.randn(2, 4, 8, 8)
    pipe = AugmentPipe(xflip=1, imgfilter=1, noise=1, cutout=1)
    pipe.p = 0
    torch.testing.assert_close(pipe(images), images, rtol=0, atol=1e-5)
