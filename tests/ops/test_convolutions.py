"""Resampling and modulated convolutions against their definitions, and their second derivatives."""

import pytest
import torch
import torch.nn.functional as F

from stylegan.ops import conv2d_resample, modulated_conv2d, setup_filter, upfirdn2d

TAPS = setup_filter([1, 3, 3, 1]).double()


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("up", [1, 2, 3, (2, 1), (1, 3), (4, 2)])
@pytest.mark.parametrize("down", [1, 2, (1, 2)])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("flip_weight", [True, False])
def test_conv2d_resample_is_filter_and_convolution(up, down, kernel, flip_weight):
    torch.manual_seed(0)
    x, w, f = randn(2, 4, 6, 8), randn(6, 2, kernel, kernel), TAPS
    pad = kernel // 2
    # Written out: zero-insert and filter, convolve, filter and drop; all paddings taken at once, as one signal.
    (ux, uy), (dx, dy) = (n if isinstance(n, tuple) else (n, n) for n in (up, down))
    pads = [pad] * 4
    if max(ux, uy) > 1:
        extra = [(4 + ux - 1) // 2, (4 - ux) // 2, (4 + uy - 1) // 2, (4 - uy) // 2]
        pads = [p + e for p, e in zip(pads, extra, strict=True)]
    if max(dx, dy) > 1:
        extra = [(4 - dx + 1) // 2, (4 - dx) // 2, (4 - dy + 1) // 2, (4 - dy) // 2]
        pads = [p + e for p, e in zip(pads, extra, strict=True)]
    y = upfirdn2d(x, f if max(ux, uy) > 1 else None, up=up, padding=pads, gain=ux * uy)
    y = F.conv2d(y, w if flip_weight else w.flip([2, 3]), groups=2)
    y = upfirdn2d(y, f, down=down) if max(dx, dy) > 1 else y
    out = conv2d_resample(x, w, f, up=up, down=down, padding=pad, groups=2, flip_weight=flip_weight)
    torch.testing.assert_close(out, y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("demodulate", [True, False])
def test_modulation_is_a_convolution_with_own_weights_a_sample(up, demodulate):
    torch.manual_seed(0)
    x, w, s, noise = randn(3, 4, 5, 5), randn(2, 4, 3, 3), randn(3, 4), randn(3, 1, 5 * up, 5 * up)
    out = modulated_conv2d(
        x, w, s, noise=noise, up=up, padding=1, resample_filter=TAPS, demodulate=demodulate
    )
    for i in range(3):
        own = w * s[i][None, :, None, None]
        if demodulate:
            own = own / (own.square().sum(dim=[1, 2, 3], keepdim=True) + 1e-8).sqrt()
        alone = conv2d_resample(x[i : i + 1], own, TAPS, up=up, padding=1) + noise[i : i + 1]
        torch.testing.assert_close(out[i : i + 1], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("resampling", [dict(), dict(up=2), dict(down=2)], ids=["same", "up", "down"])
def test_second_derivatives(resampling):
    torch.manual_seed(0)
    x = randn(2, 2, 4, 4).requires_grad_()
    w = randn(2, 2, 3, 3).requires_grad_()
    s = randn(2, 2).requires_grad_()

    def call(x, w, s):
        return modulated_conv2d(x, w, s, padding=1, resample_filter=TAPS, **resampling)

    assert torch.autograd.gradcheck(call, (x, w, s))
    assert torch.autograd.gradgradcheck(call, (x, w, s))
