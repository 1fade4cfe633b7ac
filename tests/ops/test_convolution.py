"""The convolution with its own derivatives against torch's, at every order, and without the weights' gradient."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from stylegan.ops.convolution import convolve, without_weight_gradients

FORMS = {
    "same": dict(padding=(1, 1)),
    "strided": dict(stride=(2, 2)),
    "strided with a rest": dict(stride=(2, 3), padding=(1, 0)),
    "transposed": dict(stride=(2, 2), transposed=True),
    "transposed, cropped": dict(stride=(1, 2), padding=(1, 2), transposed=True),
}


def torchs(x, w, bias, *, stride=(1, 1), padding=(0, 0), transposed=False, gain=1.0):
    if transposed:
        return F.conv_transpose2d(x, gain * w.transpose(0, 1), bias, stride=stride, padding=padding)
    return F.conv2d(x, gain * w, bias, stride=stride, padding=padding)


def inputs(dtype=torch.float64):
    torch.manual_seed(0)
    # Small, since gradgradcheck takes a step along each value; strides of 2 and 3 leave a rest of 6x5 pixels.
    shapes = ((2, 2, 6, 5), (3, 2, 3, 3), (3,))
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_value_and_gradients_are_torchs(form):
    x, w, b = inputs()
    ours, theirs = convolve(x, w, b, gain=0.7, **form), torchs(x, w, b, gain=0.7, **form)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    upstream = torch.randn_like(theirs)
    for a, e in zip(
        torch.autograd.grad(ours, (x, w, b), upstream),
        torch.autograd.grad(theirs, (x, w, b), upstream),
        strict=True,
    ):
        torch.testing.assert_close(a, e, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_derivatives_of_second_order(form):
    def f(x, w, b):
        return convolve(x, w, b, gain=0.7, **form)

    assert gradcheck(f, inputs())
    assert gradgradcheck(f, inputs())


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_third_derivative_is_torchs(form):
    """R1 of a penalised gradient has none, a user's loss may."""

    def third(function):
        x, w, b = inputs()
        y = function(x, w, b, **form).pow(3).sum()
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        (h,) = torch.autograd.grad(g.pow(2).sum(), w, create_graph=True)
        return torch.autograd.grad(h.pow(2).sum(), (x, w, b))

    for a, e in zip(third(convolve), third(torchs), strict=True):
        torch.testing.assert_close(a, e, rtol=1e-10, atol=1e-10)


def test_the_weights_gradient_has_the_weights_precision_and_layout():
    x, w, _ = inputs(torch.float32)
    y = convolve(x.to(torch.bfloat16), w, padding=(1, 1))
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert w.grad.dtype == torch.float32 and w.grad.is_contiguous()
    exact = torchs(x, w.detach().requires_grad_(), None, padding=(1, 1))
    assert (y.float() - exact).abs().max() < 0.02 * exact.abs().max()


def test_without_weight_gradients_leaves_them_out_and_nothing_else():
    x, w, _ = inputs()

    def penalty(inside):
        y = convolve(x, w, padding=(1, 1)).pow(2).sum()
        if inside:
            with without_weight_gradients():
                (g,) = torch.autograd.grad(y, x, create_graph=True)
        else:
            (g,) = torch.autograd.grad(y, x, create_graph=True)
        return torch.autograd.grad(g.pow(2).sum(), (x, w))

    for a, e in zip(penalty(True), penalty(False), strict=True):
        assert torch.equal(a, e)
    with without_weight_gradients():
        with pytest.raises(RuntimeError, match="unused|None"):
            torch.autograd.grad(convolve(x, w).sum(), w)
    torch.autograd.grad(convolve(x, w).sum(), w)


class _Called(TorchDispatchMode):
    """Notes which kernels are called."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_the_way_back_makes_no_zeros_for_the_weights_as_the_kernel_takes_them():
    x, w, _ = inputs(torch.float32)
    y = convolve(x.to(torch.bfloat16), w, padding=(1, 1))
    upstream = torch.ones_like(y)
    with _Called() as called:
        torch.autograd.grad(y, (x, w), upstream)
    assert "convolution_backward" in called.names
    assert not {"zeros", "zeros_like", "new_zeros", "fill"} & set(called.names)
