"""A convolution at another resolution than its input, alias-free."""

import torch.nn.functional as F
from torch import Tensor

from stylegan.ops.convolution import convolve
from stylegan.ops.upfirdn2d import (
    Factors,
    as_pads,
    as_pair,
    downsampling_pads,
    upfirdn2d,
    upsampling_pads,
)


def conv2d_resample(
    x: Tensor,
    w: Tensor,
    f: Tensor | None = None,
    up: Factors = 1,
    down: Factors = 1,
    padding: Factors = 0,
    groups: int = 1,
    flip_weight: bool = True,
    flip_filter: bool = False,
    bias: Tensor | None = None,
    weight_gain: float = 1.0,
) -> Tensor:
    """Upsample by `up`, convolve, downsample by `down`, with the low-pass filter `f` around.

    Args:
        x: [N,C,H,W].
        w: [C_out, C / groups, kh, kw].
        f: taps of the low-pass filter (`setup_filter`); None = none.
        up, down: factor, or [x, y].
        padding: of the upsampled image, forms as in `upfirdn2d`.
        flip_weight: True = correlation, as torch's convolution; False = convolution.
        flip_filter: the same for `f`.
        bias: [C_out], added to the result; None = none.
        weight_gain: factor on w, which is taken to the precision of x.
    Returns: [N, C_out, H·up_y/down_y, W·up_x/down_x] where the padding is half the kernel.
    """
    kh, kw = w.shape[2:]
    up, down = as_pair(up, "up"), as_pair(down, "down")
    upsamples, downsamples = max(up) > 1, max(down) > 1
    gain = up[0] * up[1]
    pads = _aligned(as_pads(padding), f, up, down)

    how = dict(groups=groups, flip_weight=flip_weight, gain=weight_gain)
    if (kh, kw) == (1, 1) and not upsamples and downsamples:
        # A 1×1 convolution commutes with the filter: drop the pixels first.
        x = upfirdn2d(x, f, down=down, padding=pads, flip_filter=flip_filter)
        return _convolve(x, w, bias, **how)
    if downsamples and not upsamples:
        x = upfirdn2d(x, f, padding=pads, flip_filter=flip_filter)
        return _convolve(x, w, bias, stride=(down[1], down[0]), **how)
    if not upsamples and pads[0] == pads[1] >= 0 and pads[2] == pads[3] >= 0:
        return _convolve(x, w, bias, padding=(pads[2], pads[0]), **how)
    if (kh, kw) == (1, 1) and upsamples and not downsamples:
        x = _convolve(x, w, **how)
        x = upfirdn2d(x, f, up=up, padding=pads, flip_filter=flip_filter, gain=gain)
    elif upsamples and kw >= up[0] and kh >= up[1]:
        # Convolution and filter commute: convolve the zero-inserted image (a transposed convolution, which skips
        # the zeros) and filter afterwards. It covers kernel − 1 pixels of padding before and kernel − up after.
        x = _convolve_up(x, w, up=up, **how)
        px0, px1, py0, py1 = pads
        rest = (px0 - (kw - 1), px1 - (kw - up[0]), py0 - (kh - 1), py1 - (kh - up[1]))
        x = upfirdn2d(x, f, padding=rest, flip_filter=flip_filter, gain=gain)
    else:
        x = upfirdn2d(x, f if upsamples else None, up=up, padding=pads, flip_filter=flip_filter, gain=gain)
        x = _convolve(x, w, **how)
    if downsamples:
        x = upfirdn2d(x, f, down=down, flip_filter=flip_filter)
    return x if bias is None else x + bias.to(x.dtype)[:, None, None]


def _aligned(pads, f, up, down):
    """The padding of the zero-inserted image that keeps the result aligned with its source."""
    if max(up) > 1:
        pads = upsampling_pads(f, up, pads)
    return downsampling_pads(f, down, pads) if max(down) > 1 else pads


def _convolve(x, w, bias=None, *, groups, flip_weight, gain, stride=(1, 1), padding=(0, 0)):
    if not flip_weight and w.shape[2:] != (1, 1):
        w = w.flip([2, 3])
    if groups == 1:
        return convolve(x, w, bias, stride=stride, padding=padding, gain=gain)
    bias = None if bias is None else bias.to(x.dtype)
    return F.conv2d(x, w.to(x.dtype) * gain, bias, stride=stride, padding=padding, groups=groups)


def _convolve_up(x, w, *, up, groups, flip_weight, gain):
    if flip_weight:
        w = w.flip([2, 3])
    if groups == 1:
        return convolve(x, w, stride=(up[1], up[0]), transposed=True, gain=gain)
    w = w.to(x.dtype) * gain
    out_channels, group_channels, kh, kw = w.shape
    # conv_transpose2d wants [C_in, C_out / groups, kh, kw].
    w = w.reshape(groups, out_channels // groups, group_channels, kh, kw).transpose(1, 2)
    w = w.reshape(groups * group_channels, out_channels // groups, kh, kw)
    return F.conv_transpose2d(x, w, stride=(up[1], up[0]), groups=groups)
