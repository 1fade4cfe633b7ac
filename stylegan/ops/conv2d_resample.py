"""A convolution at another resolution than its input, alias-free."""

import torch.nn.functional as F
from torch import Tensor

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
    Returns: [N, C_out, H·up_y/down_y, W·up_x/down_x] where the padding is half the kernel.
    """
    kh, kw = w.shape[2:]
    up, down = as_pair(up, "up"), as_pair(down, "down")
    upsamples, downsamples = max(up) > 1, max(down) > 1
    gain = up[0] * up[1]
    pads = as_pads(padding)
    if upsamples:
        pads = upsampling_pads(f, up, pads)
    if downsamples:
        pads = downsampling_pads(f, down, pads)

    if (kh, kw) == (1, 1) and not upsamples and downsamples:
        # A 1×1 convolution commutes with the filter: drop the pixels first.
        x = upfirdn2d(x, f, down=down, padding=pads, flip_filter=flip_filter)
        return _convolve(x, w, groups=groups, flip_weight=flip_weight)
    if (kh, kw) == (1, 1) and upsamples and not downsamples:
        x = _convolve(x, w, groups=groups, flip_weight=flip_weight)
        return upfirdn2d(x, f, up=up, padding=pads, flip_filter=flip_filter, gain=gain)
    if upsamples and kw >= up[0] and kh >= up[1]:
        # Convolution and filter commute: convolve the zero-inserted image (a transposed convolution, which skips
        # the zeros) and filter afterwards. It covers kernel − 1 pixels of padding before and kernel − up after.
        x = _convolve_up(x, w, up=up, groups=groups, flip_weight=flip_weight)
        px0, px1, py0, py1 = pads
        rest = (px0 - (kw - 1), px1 - (kw - up[0]), py0 - (kh - 1), py1 - (kh - up[1]))
        x = upfirdn2d(x, f, padding=rest, flip_filter=flip_filter, gain=gain)
        return upfirdn2d(x, f, down=down, flip_filter=flip_filter) if downsamples else x
    if downsamples and not upsamples:
        x = upfirdn2d(x, f, padding=pads, flip_filter=flip_filter)
        return _convolve(x, w, stride=(down[1], down[0]), groups=groups, flip_weight=flip_weight)
    if not upsamples and pads[0] == pads[1] >= 0 and pads[2] == pads[3] >= 0:
        return _convolve(x, w, padding=(pads[2], pads[0]), groups=groups, flip_weight=flip_weight)
    x = upfirdn2d(x, f if upsamples else None, up=up, padding=pads, flip_filter=flip_filter, gain=gain)
    x = _convolve(x, w, groups=groups, flip_weight=flip_weight)
    return upfirdn2d(x, f, down=down, flip_filter=flip_filter) if downsamples else x


def _convolve(x, w, *, groups, flip_weight, stride=1, padding=0):
    if not flip_weight and w.shape[2:] != (1, 1):
        w = w.flip([2, 3])
    return F.conv2d(x, w, stride=stride, padding=padding, groups=groups)


def _convolve_up(x, w, *, up, groups, flip_weight):
    if flip_weight:
        w = w.flip([2, 3])
    out_channels, group_channels, kh, kw = w.shape
    # conv_transpose2d wants [C_in, C_out / groups, kh, kw].
    w = w.reshape(groups, out_channels // groups, group_channels, kh, kw).transpose(1, 2)
    w = w.reshape(groups * group_channels, out_channels // groups, kh, kw)
    return F.conv_transpose2d(x, w, stride=(up[1], up[0]), groups=groups)
