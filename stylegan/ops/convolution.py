"""A convolution all of whose derivatives are again convolutions or weight gradients.

C(x, w) is linear in both. The gradient for x is the convolution of the other direction with the same weights; the
gradient for w is a weight gradient, which is linear in both of its arguments, too. So these two kinds of kernel serve
every order. Left to autograd, the second derivative takes its weight gradients from convolutions with the batch
as channels and whole images as kernels, which take twice as long, and leaves them in layouts that must be copied."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

_CONVOLUTION = torch.ops.aten.convolution.default
_BACKWARD = torch.ops.aten.convolution_backward.default

_weight_gradients = True


@contextmanager
def without_weight_gradients() -> Iterator[None]:
    """For a gradient with respect to images or latents alone, of which a second derivative may follow.

    Autograd asks a node for the gradients of all its inputs that require one, also where that of the
    weights is not used; inside, convolutions do not compute it. (It holds for all threads: a GPU's backward pass has
    its own.)
    """
    global _weight_gradients
    before, _weight_gradients = _weight_gradients, False
    try:
        yield
    finally:
        _weight_gradients = before


class Form(NamedTuple):
    """What does not change when a convolution is differentiated, and its direction.

    stride, padding: (height, width). upwards: from the outputs' side to the inputs', a transposed convolution.
    rest: rows and columns that a stride leaves over, for a transposed one. swapped: the weights are stored
    [inputs, outputs, kh, kw] of the downward direction. gain: factor on the weights.
    """

    stride: tuple[int, int]
    padding: tuple[int, int]
    upwards: bool
    rest: tuple[int, int]
    swapped: bool
    gain: float


def convolve(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    transposed: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """Correlate x with gain · w, in the precision of x, whatever that of w.

    Args:
        x: [N,C,H,W]. w: [C_out, C, kh, kw], in both directions, or what `pack` makes of them. bias: [C_out] or None.
        stride, padding: (height, width); of a transposed convolution as torch has them.
        transposed: scatter instead of gather: stride s makes the result s times as large.
    Returns: [N, C_out, ..], channels last.
    """
    if w.is_mkldnn:
        bias = None if bias is None else bias.to(x.dtype)
        x = x if gain == 1 else x * gain
        return convolve_packed(x, w, bias, stride=stride, padding=padding, transposed=transposed)
    form = Form(tuple(stride), tuple(padding), transposed, (0, 0), transposed, float(gain))
    return _Convolution.apply(x, w, bias, form)[0]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(x, w, bias, form):
        """Returns: the result, and the weights as the kernel takes them, None where these are w itself."""
        x = x.contiguous(memory_format=torch.channels_last)
        bias = None if bias is None else bias.to(x.dtype)
        kernel = _kernel(w, x.dtype, form)
        y = _CONVOLUTION(
            x, _turned(kernel, form), bias, form.stride, form.padding, (1, 1), form.upwards, form.rest, 1
        )
        return y, None if kernel is w else kernel

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, w, bias, ctx.form = inputs
        kernel = output[1]
        if kernel is not None:
            ctx.mark_non_differentiable(kernel)
        if not torch.compiler.is_compiling():
            # Else each way back fills a tensor as large as the weights with zeros, for the kernel's gradient.
            ctx.set_materialize_grads(False)
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, w, kernel)
        ctx.size = x.shape[2:]
        ctx.bias_dtype = None if bias is None else bias.dtype

    @staticmethod
    def backward(ctx, grad, _):
        if grad is None:  # which stands for zeros
            return None, None, None, None
        x, w, kernel = ctx.saved_tensors
        needs_x, needs_w = ctx.needs_input_grad[0], ctx.needs_input_grad[1] and _weight_gradients
        dx = dw = db = None
        if ctx.needs_input_grad[2]:
            db = grad.sum(dim=[0, 2, 3]).to(ctx.bias_dtype)
        if not torch.is_grad_enabled() and x is not None:
            # This is not differentiated: both at once.
            grad = grad.contiguous(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
            kernel = w if kernel is None else kernel
            form, kernel = ctx.form, _turned(kernel, ctx.form)
            dx, dw, _ = _BACKWARD(
                grad, x, kernel, None, form.stride, form.padding, (1, 1), form.upwards, form.rest, 1,
                (needs_x, needs_w, False),
            )  # fmt: skip
            return dx, _as_weight(dw, w.dtype, form) if needs_w else None, db, None
        if needs_x:
            form = _adjoint(ctx.form, grad.shape[2:], ctx.size, w.shape[2:])
            dx = _Convolution.apply(grad, w, None, form)[0]
        if needs_w:
            dw = _WeightGradient.apply(x, grad, w.shape, w.dtype, ctx.form)
        return dx, dw, db, None


class _WeightGradient(torch.autograd.Function):
    """∂⟨grad, C(x, w)⟩/∂w, of the shape and precision of w."""

    @staticmethod
    def forward(x, grad, shape, dtype, form):
        below, above = (grad, x) if form.upwards else (x, grad)
        below, above = (t.contiguous(memory_format=torch.channels_last) for t in (below, above))
        like = torch.empty(
            _stored(shape, form), dtype=x.dtype, device=x.device, memory_format=torch.channels_last
        )
        _, dw, _ = _BACKWARD(
            above, below, like, None, form.stride, form.padding, (1, 1), False, (0, 0), 1,
            (False, True, False),
        )  # fmt: skip
        return _as_weight(dw, dtype, form)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, grad, ctx.shape, _, ctx.form = inputs
        ctx.save_for_backward(x, grad)

    @staticmethod
    def backward(ctx, ddw):
        x, grad = ctx.saved_tensors
        dx = dgrad = None
        if ctx.needs_input_grad[0]:
            form = _adjoint(ctx.form, grad.shape[2:], x.shape[2:], ctx.shape[2:])
            dx = _Convolution.apply(grad, ddw, None, form)[0]
        if ctx.needs_input_grad[1]:
            dgrad = _Convolution.apply(x, ddw, None, ctx.form)[0]
        return dx, dgrad, None, None, None


def _kernel(w: Tensor, dtype: torch.dtype, form: Form) -> Tensor:
    kernel = w.to(dtype)
    if form.gain != 1:
        kernel = kernel * form.gain if kernel is w else kernel.mul_(form.gain)
    return kernel


def _turned(kernel: Tensor, form: Form) -> Tensor:
    """As the library takes them: of the downward direction, whichever it is."""
    return kernel.transpose(0, 1) if form.swapped else kernel


def _as_weight(dw: Tensor, dtype: torch.dtype, form: Form) -> Tensor:
    """The library's gradient of `_turned` weights as that of the weights."""
    dw = _turned(dw, form).to(dtype, memory_format=torch.contiguous_format)
    return dw.mul_(form.gain) if form.gain != 1 else dw


def _stored(shape, form: Form):
    return (shape[1], shape[0], *shape[2:]) if form.swapped else shape


def _adjoint(form: Form, size, target, taps) -> Form:
    """The other direction, from an image of `size` to one of `target`."""
    if form.upwards:
        return form._replace(upwards=False, rest=(0, 0))
    rest = tuple(
        t - ((s - 1) * stride - 2 * pad + k)
        for t, s, stride, pad, k in zip(target, size, form.stride, form.padding, taps, strict=True)
    )
    return form._replace(upwards=True, rest=rest)


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
