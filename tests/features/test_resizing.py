"""Sizes of pictures: TensorFlow 1's own way bit for bit, and a cubic filter that averages."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan.features.detector import bicubic, tf1_bilinear


@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 60))
def test_the_bilinear_one_is_torch_fidelitys_bit_for_bit(height, width, size):
    port = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255
    expected = port.interpolate_bilinear_2d_like_tensorflow1x(images, size=(size, size), align_corners=False)
    assert torch.equal(tf1_bilinear(images, size), expected)


def test_the_bilinear_one_takes_pixels_from_the_top_left():
    ramp = torch.arange(8.0)[None, None, None].expand(1, 1, 4, 8)
    assert tf1_bilinear(ramp, 4)[0, 0].tolist() == [[0, 2, 4, 6]] * 4
    assert tf1_bilinear(ramp, 16)[0, 0, 0].tolist() == [min(i / 2, 7) for i in range(16)]


@pytest.mark.parametrize("size", [8, 20, 64])
def test_the_cubic_one_averages_and_stays_in_range(size):
    checks = (torch.arange(40)[:, None] + torch.arange(40)) % 2 * 255.0
    resized = bicubic(checks.expand(1, 1, 40, 40), size)
    assert resized.shape == (1, 1, size, size) and resized.min() >= 0 and resized.max() <= 255
    if size < 40:
        assert (resized[..., 2:-2, 2:-2] - 127.5).abs().max() < 10, "no aliasing"
    flat = bicubic(torch.full((1, 1, 40, 30), 77.0), size)
    torch.testing.assert_close(flat, torch.full_like(flat, 77.0))
