"""Bias, activation, gain and clamp."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Activation(NamedTuple):
    function: Callable[[Tensor, float], Tensor]
    alpha: float
    gain: float


_SQRT2 = 2.0**0.5

# gain · act(t) = act(gain · t) for a gain above 0: what comes before can carry it at no cost.
HOMOGENEOUS = ("linear", "relu", "lrelu")

# The gain keeps unit variance through the layer (Karras et al. 2018, section 4.1).
ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x, alpha: x, 0.0, 1.0),
    "relu": Activation(lambda x, alpha: F.relu(x), 0.0, _SQRT2),
    "lrelu": Activation(lambda x, alpha: F.leaky_relu(x, alpha), 0.2, _SQRT2),
    "tanh": Activation(lambda x, alpha: torch.tanh(x), 0.0, 1.0),
    "sigmoid": Activation(lambda x, alpha: torch.sigmoid(x), 0.0, 1.0),
    "elu": Activation(lambda x, alpha: F.elu(x), 0.0, 1.0),
    "selu": Activation(lambda x, alpha: F.selu(x), 0.0, 1.0),
    "softplus": Activation(lambda x, alpha: F.softplus(x), 0.0, 1.0),
    "swish": Activation(lambda x, alpha: torch.sigmoid(x) * x, 0.0, _SQRT2),
}


def bias_act(
    x: Tensor,
    b: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """clamp(gain · act(x + b)).

    Args:
        x: any shape.
        b: [x.shape[dim]], or None.
        dim: the axis that b belongs to.
        act: one of `ACTIVATIONS`.
        alpha: slope of lrelu for negative values; None = 0.2.
        gain: factor after the activation; None = the activation's own.
        clamp: limit to [-clamp, clamp]; None = no limit.
    Returns: the shape of x.
    Raises: ValueError for an unknown activation.
    """
    if act not in ACTIVATIONS:
        raise ValueError(f"activation {act!r} is unknown; choose one of {', '.join(ACTIVATIONS)}")
    spec = ACTIVATIONS[act]
    if act == "lrelu":
        alpha, gain = spec.alpha if alpha is None else alpha, spec.gain if gain is None else gain
        if alpha > 0 and gain > 0:
            if b is not None:
                shape = [1] * x.ndim
                shape[dim] = -1
                b = b.to(x.dtype).reshape(shape)
            return _BiasLeakyReLU.apply(x, b, alpha, gain, clamp)[0]
    if b is not None:
        shape = [1] * x.ndim
        shape[dim] = -1
        x = x + b.reshape(shape).to(x.dtype)
    x = spec.function(x, spec.alpha if alpha is None else alpha)
    gain = spec.gain if gain is None else gain
    if gain != 1:
        x = x * gain
    return x if clamp is None else x.clamp(-clamp, clamp)


class _BiasLeakyReLU(torch.autograd.Function):
    """clamp(gain · lrelu(x + b)) in few passes over one new tensor, since memory is what it costs.

    With a positive gain the result alone tells which side of each kink an element was on, so nothing else is kept.
    Piecewise linear: every further derivative is the same mask again.
    """

    @staticmethod
    def forward(x, b, alpha, gain, clamp):
        """Returns: the result, and, where anything reaches the limit, from where on it is at it, otherwise None."""
        # gain · lrelu(t) = lrelu(gain · t)
        if b is not None:
            y = F.leaky_relu_(torch.add(b * gain if gain != 1 else b, x, alpha=gain), alpha)
        else:
            y = F.leaky_relu_(x * gain, alpha) if gain != 1 else F.leaky_relu(x, alpha)
        if clamp is None or not _exceeds(y, clamp):
            return y, None
        # What was cut off lies at the limit as y's precision rounds it, at most half an eps below.
        return y.clamp_(-clamp, clamp), clamp * (1 - torch.finfo(y.dtype).eps / 2)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, b, ctx.alpha, ctx.gain, _ = inputs
        # An element at the limit is taken for one beyond it, where the slope is 0.
        y, ctx.clamp = output
        ctx.bias_shape = None if b is None else b.shape
        ctx.save_for_backward(y)

    @staticmethod
    def backward(ctx, grad, _):
        (y,) = ctx.saved_tensors
        grad = _Mask.apply(grad, y.detach(), ctx.alpha, ctx.gain, ctx.clamp)
        db = grad.sum_to_size(ctx.bias_shape) if ctx.needs_input_grad[1] else None
        return grad, db, None, None, None


def _exceeds(y: Tensor, clamp: float) -> bool:
    """Whether any |y| reaches `clamp`: hardly ever, and one pass that only reads saves several that write.

    On a GPU, where the answer would have to be waited for, always; in a compiled graph, which cannot branch, too.
    """
    if y.device.type != "cpu" or y.numel() == 0 or torch.compiler.is_compiling():
        return True
    # Without a gap in it, a tensor is looked at in the order of its memory.
    flat = y.permute(0, 2, 3, 1) if y.ndim == 4 and y.is_contiguous(memory_format=torch.channels_last) else y
    low, high = torch.aminmax(flat.flatten())
    # Written so that NaN counts as beyond.
    return not (low > -clamp and high < clamp)


class _Mask(torch.autograd.Function):
    """grad · (the slope of `_BiasLeakyReLU` where it gave y); linear in grad, constant in y."""

    @staticmethod
    def forward(grad, y, alpha, gain, clamp):
        out = torch.ops.aten.leaky_relu_backward(grad, y, alpha, True)
        if gain != 1:
            out.mul_(gain)
        if clamp is not None:
            out = torch.ops.aten.hardtanh_backward(out, y, -clamp, clamp)
        return out

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, y, ctx.alpha, ctx.gain, ctx.clamp = inputs
        ctx.save_for_backward(y)

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return _Mask.apply(grad, y, ctx.alpha, ctx.gain, ctx.clamp), None, None, None, None
