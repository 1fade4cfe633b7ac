"""Weights of a convolution in the order that a CPU's kernels read them in, for weights that serve many calls.

oneDNN sorts weights that come in an order of torch's at every call. For small images or few of them, that takes as long
as the convolution itself. The results are the same bits, except of a single small picture, which torch by itself does
not give to oneDNN. (Seen on x86.)
"""

import torch
from torch import Tensor

# What torch's own compiler calls for weights that stay as they are; no public function takes sorted ones.
_NAMES = (
    "_convolution_pointwise",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_weight",
    "_reorder_convolution_transpose_weight",
    "_is_mkldnn_bf16_supported",
)

_Pair = tuple[int, int]


def pack(w: Tensor, *, stride: _Pair, padding: _Pair, transposed: bool) -> Tensor | None:
    """Weights for `convolve_packed` with the same stride, padding and direction; None where there are no such kernels.

    Args: w: [C_out, C, kh, kw], float32 or bfloat16, in both directions.
    Returns: a tensor of the same shape, of which nothing but its shape and precision can be read.
    """
    if (
        w.device.type != "cpu"
        or not torch.backends.mkldnn.is_available()
        or not torch.backends.mkldnn.enabled
    ):
        return None
    # Of a single input channel, torch has other kernels, which round otherwise.
    if w.shape[1] == 1 or not all(hasattr(torch.ops.mkldnn, name) for name in _NAMES):
        return None
    if w.dtype != torch.float32 and not (
        w.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    ):
        return None
    if transposed:
        return torch.ops.mkldnn._reorder_convolution_transpose_weight(
            w.detach().transpose(0, 1).contiguous(), padding, (0, 0), stride, (1, 1), 1
        )
    return torch.ops.mkldnn._reorder_convolution_weight(w.detach().contiguous(), padding, stride, (1, 1), 1)


def convolve_packed(
    x: Tensor, w: Tensor, bias: Tensor | None, *, stride: _Pair, padding: _Pair, transposed: bool
) -> Tensor:
    """Correlate x [N,C,H,W] with weights of `pack`, of the same precision; without gradients.

    Returns: what `convolve` does.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    # No function after it: its name, and what it would take.
    after = ("none", [], "")
    if transposed:
        return torch.ops.mkldnn._convolution_transpose_pointwise(
            x, w, bias, padding, (0, 0), stride, (1, 1), 1, *after
        )
    return torch.ops.mkldnn._convolution_pointwise(x, w, bias, padding, stride, (1, 1), 1, *after)
