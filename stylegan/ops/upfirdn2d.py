"""Upsample, FIR-filter and downsample an image in one linear step.

A signal is followed by up - 1 zeros a sample, padded (negative: cropped), convolved with the taps, and every
down-th sample is kept. The adjoint of such a step is one, too: swap up and down, reverse the taps, and pad what
the forward pass cut off. So the gradient is written with the function itself and exists at any order.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan.ops.taps import taps_of

Factors = int | Sequence[int]


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: Factors = 1,
    down: Factors = 1,
    padding: Factors = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Upsample by zeros, pad, filter, downsample.

    Args:
        x: [N,C,H,W], floating point.
        f: taps [kh,kw], or [k] for both axes in turn (see `setup_filter`); None = identity.
        up, down: factor, or [x, y].
        padding: pixels of the upsampled image: one number, [x, y], or [x_before, x_after, y_before, y_after];
            negative crops.
        flip_filter: False = convolution, True = correlation.
        gain: factor on the result, once in total.
    Returns: [N, C, (H·up_y + pads_y − kh) // down_y + 1, the same for W].
    Raises: ValueError where the padded image is smaller than the filter, or a factor is below 1.
    """
    up, down, pads = as_pair(up, "up"), as_pair(down, "down"), as_pads(padding)
    if f is None:
        f = x.new_ones(1, 1)
    if f.ndim == 1:
        # Two passes; each carries the square root of the gain.
        x = _check_and_apply(x, f, 3, (up[0], 1), (down[0], 1), (*pads[:2], 0, 0), flip_filter, gain**0.5)
        return _check_and_apply(x, f, 2, (1, up[1]), (1, down[1]), (0, 0, *pads[2:]), flip_filter, gain**0.5)
    return _check_and_apply(x, f, None, up, down, pads, flip_filter, gain)


def filter2d(
    x: Tensor, f: Tensor, padding: Factors = 0, flip_filter: bool = False, gain: float = 1
) -> Tensor:
    """Filter [N,C,H,W] to the same size (plus `padding`); zeros outside. Arguments as in `upfirdn2d`."""
    kw, kh = _widths(f)
    px0, px1, py0, py1 = as_pads(padding)
    pads = (px0 + kw // 2, px1 + (kw - 1) // 2, py0 + kh // 2, py1 + (kh - 1) // 2)
    return upfirdn2d(x, f, padding=pads, flip_filter=flip_filter, gain=gain)


def upsample2d(
    x: Tensor, f: Tensor, up: Factors = 2, padding: Factors = 0, flip_filter: bool = False, gain: float = 1
) -> Tensor:
    """Upsample [N,C,H,W] by `up`, brightness kept; `padding` refers to the upsampled image."""
    up_x, up_y = as_pair(up, "up")
    pads = upsampling_pads(f, (up_x, up_y), as_pads(padding))
    return upfirdn2d(x, f, up=(up_x, up_y), padding=pads, flip_filter=flip_filter, gain=gain * up_x * up_y)


def downsample2d(
    x: Tensor, f: Tensor, down: Factors = 2, padding: Factors = 0, flip_filter: bool = False, gain: float = 1
) -> Tensor:
    """Downsample [N,C,H,W] by `down`; `padding` refers to the input."""
    down_xy = as_pair(down, "down")
    pads = downsampling_pads(f, down_xy, as_pads(padding))
    return upfirdn2d(x, f, down=down_xy, padding=pads, flip_filter=flip_filter, gain=gain)


def upsampling_pads(f: Tensor | None, up: tuple[int, int], pads: Sequence[int]) -> tuple[int, int, int, int]:
    """`pads` plus what keeps an upsampled image aligned with its source."""
    (kw, kh), (ux, uy) = _widths(f), up
    px0, px1, py0, py1 = pads
    return (
        px0 + (kw + ux - 1) // 2,
        px1 + (kw - ux) // 2,
        py0 + (kh + uy - 1) // 2,
        py1 + (kh - uy) // 2,
    )


def downsampling_pads(
    f: Tensor | None, down: tuple[int, int], pads: Sequence[int]
) -> tuple[int, int, int, int]:
    """`pads` plus what keeps a downsampled image aligned with its source."""
    (kw, kh), (dx, dy) = _widths(f), down
    px0, px1, py0, py1 = pads
    return (
        px0 + (kw - dx + 1) // 2,
        px1 + (kw - dx) // 2,
        py0 + (kh - dy + 1) // 2,
        py1 + (kh - dy) // 2,
    )


class _UpFirDn(torch.autograd.Function):
    """One 2-D pass. Linear in x, so that backward is the same function with other numbers."""

    @staticmethod
    def forward(x, f, axis, up, down, pads, flip_filter, gain):
        return _resample(x, f, axis, up, down, pads, flip_filter, gain)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, f, ctx.axis, ctx.up, ctx.down, ctx.pads, ctx.flip_filter, ctx.gain = inputs
        ctx.save_for_backward(f)
        ctx.size_in, ctx.size_out = x.shape[2:], output.shape[2:]

    @staticmethod
    def backward(ctx, grad):
        (f,) = ctx.saved_tensors
        pads = _adjoint_pads(ctx, _shape(f, ctx.axis))
        grad = _UpFirDn.apply(grad, f, ctx.axis, ctx.down, ctx.up, pads, not ctx.flip_filter, ctx.gain)
        return grad, None, None, None, None, None, None, None


def _adjoint_pads(ctx, taps: Sequence[int]) -> tuple[int, int, int, int]:
    pads = []
    for axis in (1, 0):
        xy = 1 - axis
        up, down, before = ctx.up[xy], ctx.down[xy], ctx.pads[2 * xy]
        pads += [
            taps[axis] - before - 1,
            ctx.size_in[axis] * up - ctx.size_out[axis] * down + before - up + 1,
        ]
    return tuple(pads)


def _check_and_apply(x, f, axis, up, down, pads, flip_filter, gain):
    taps = _shape(f, axis)
    for side, xy in ((3, 0), (2, 1)):
        size = x.shape[side] * up[xy] + pads[2 * xy] + pads[2 * xy + 1]
        if size < taps[side - 2]:
            raise ValueError(
                f"an image of {list(x.shape[2:])} px upsampled by {list(up)} and padded by {list(pads)} "
                f"is smaller than the filter {list(taps)}; pad more or use fewer taps"
            )
    if f.numel() == 1 and up == down == (1, 1) and not any(pads):
        return x * taps_of(f, axis=axis, flip=False, gain=gain, like=x).reshape(())
    return _UpFirDn.apply(x, f, axis, up, down, pads, flip_filter, gain)


def _shape(f: Tensor, axis: int | None) -> tuple[int, int]:
    """(kh, kw) of taps [kh,kw], or of [k] along an axis of the image."""
    return tuple(f.shape) if axis is None else (f.numel(), 1) if axis == 2 else (1, f.numel())


def _resample(x, f, axis, up, down, pads, flip_filter, gain):
    # A convolution of torch's is a correlation; a transposed one scatters, which is turned once more.
    scatters = up != (1, 1) and x.device.type != "cuda"
    wide = scatters and lacks_fast_transposed(x)
    taps = taps_of(f, axis=axis, flip=flip_filter == scatters, gain=gain, like=x, wide=wide)
    if x.device.type == "cuda":
        return _in_planes(x, taps, up, down, pads)
    if x.device.type == "cpu":
        # A depthwise convolution on a CPU is many times faster in this layout.
        x = x.contiguous(memory_format=torch.channels_last)
    if not scatters:
        return _filter_down(x, taps, down, pads)
    y = _filter_up(x.float(), taps, up, pads).to(x.dtype) if wide else _filter_up(x, taps, up, pads)
    return y if down == (1, 1) else y[:, :, :: down[1], :: down[0]]


def _in_planes(x, taps, up, down, pads):
    """One plane after the other, with the zeros inserted.

    cuDNN's depthwise convolutions with the channels nearest in memory, and its transposed ones, take longer than
    torch's own kernel for planes and both changes of the layout.
    """
    layout = torch.channels_last if _is_channels_last(x) else torch.contiguous_format
    x = x.contiguous()
    if up != (1, 1):
        n, c, h, w = x.shape
        zeros = x.new_zeros(n, c, h, up[1], w, up[0])
        zeros[:, :, :, 0, :, 0] = x
        x = zeros.reshape(n, c, h * up[1], w * up[0])
    x = F.pad(x, pads) if any(pads) else x
    y = F.conv2d(x, _depthwise(taps, x.shape[1]), stride=(down[1], down[0]), groups=x.shape[1])
    return y.contiguous(memory_format=layout)


def _is_channels_last(x: Tensor) -> bool:
    """Whether the channels are nearest in memory; of planes of one pixel, or a single channel, both are true."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def lacks_fast_transposed(x: Tensor) -> bool:
    """In bfloat16 oneDNN's transposed depthwise convolution takes 70 times as long as in float32."""
    return x.device.type == "cpu" and x.dtype == torch.bfloat16


def _filter_down(x, taps, down, pads):
    px0, px1, py0, py1 = pads
    if px0 != px1 or py0 != py1 or px0 < 0 or py0 < 0:
        x, px0, py0 = F.pad(x, pads), 0, 0
    weight = _depthwise(taps, x.shape[1])
    return F.conv2d(x, weight, stride=(down[1], down[0]), padding=(py0, px0), groups=x.shape[1])


def _filter_up(x, taps, up, pads):
    """Zero insertion and filter as one transposed convolution: the inserted zeros are never touched."""
    crop, extra, rest = [], [], []
    for xy, count in ((0, taps.shape[1]), (1, taps.shape[0])):
        before, after = pads[2 * xy] - (count - 1), pads[2 * xy + 1] - (count - 1)
        uneven = up[xy] - 1 + after - before
        if before <= 0 and 0 <= uneven < up[xy]:
            # The cut-off rows are asked of the convolution itself.
            crop.append(-before), extra.append(uneven), rest.extend([0, 0])
        else:
            crop.append(0), extra.append(up[xy] - 1), rest.extend([before, after])
    y = F.conv_transpose2d(
        x,
        _depthwise(taps, x.shape[1]),
        stride=(up[1], up[0]),
        padding=(crop[1], crop[0]),
        output_padding=(extra[1], extra[0]),
        groups=x.shape[1],
    )
    return F.pad(y, rest) if any(rest) else y


def _depthwise(taps: Tensor, channels: int) -> Tensor:
    return taps.expand(channels, 1, *taps.shape)


def _widths(f: Tensor | None) -> tuple[int, int]:
    return (1, 1) if f is None else (f.shape[-1], f.shape[0])


def as_pair(value: Factors, name: str) -> tuple[int, int]:
    """A factor as (x, y). Raises: ValueError below 1."""
    x, y = (value, value) if isinstance(value, int) else value
    if x < 1 or y < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(x), int(y)


def as_pads(padding: Factors) -> tuple[int, int, int, int]:
    """Padding as (x_before, x_after, y_before, y_after). Raises: ValueError for another count of numbers."""
    if isinstance(padding, int):
        return (padding,) * 4
    values = tuple(int(p) for p in padding)
    if len(values) == 2:
        return (values[0], values[0], values[1], values[1])
    if len(values) == 4:
        return values
    raise ValueError(
        f"padding is one number, [x, y] or [x_before, x_after, y_before, y_after], got {padding}"
    )
