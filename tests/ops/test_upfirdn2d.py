"""The FIR step: against scipy, its adjoint, its invariances, and its gradients at any order."""

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stylegan.ops import downsample2d, filter2d, setup_filter, upfirdn2d, upsample2d

TAPS = setup_filter([1, 3, 3, 1])
EIGHT = torch.tensor([0.1, -0.3, 0.8, 0.5, 0.2, -0.6, 0.4, 0.7], dtype=torch.float64)


def by_definition(x, f, up, down, pads, flip_filter, gain):
    """The four steps one after the other, with scipy's convolution."""
    (ux, uy), (dx, dy), (px0, px1, py0, py1) = up, down, pads
    n, c, h, w = x.shape
    zeros = np.zeros((n, c, h * uy, w * ux))
    zeros[:, :, ::uy, ::ux] = x
    zeros = np.pad(zeros, [(0, 0), (0, 0), (max(py0, 0), max(py1, 0)), (max(px0, 0), max(px1, 0))])
    zeros = zeros[
        :, :, max(-py0, 0) : zeros.shape[2] - max(-py1, 0), max(-px0, 0) : zeros.shape[3] - max(-px1, 0)
    ]
    taps = f[::-1, ::-1] if flip_filter else f
    out = [
        [scipy.signal.convolve2d(image, taps * gain, mode="valid") for image in sample] for sample in zeros
    ]
    return np.array(out)[:, :, ::dy, ::dx]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (2, 1, 3, 0), (-1, 2, 0, -2)])
@pytest.mark.parametrize("down", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("up", [(1, 1), (2, 2), (3, 1)])
def test_the_kernels_of_gpus_give_the_same(up, down, pads, flip, layout):
    """Run on the CPU, which can do it that way, too."""
    from stylegan.ops.upfirdn2d import _in_planes, _resample

    torch.manual_seed(0)
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64).contiguous(memory_format=layout)
    f = torch.randn(4, 3, dtype=torch.float64)
    y = _in_planes(x, (f if flip else f.flip([0, 1])) * 1.7, up, down, pads)
    torch.testing.assert_close(y, _resample(x, f, None, up, down, pads, flip, 1.7), rtol=0, atol=1e-12)
    assert y.is_contiguous(memory_format=layout)


factors = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.tuples(*[st.integers(-1, 4)] * 4)


@settings(max_examples=60, deadline=None)
@given(
    up=factors,
    down=factors,
    pads=paddings,
    taps=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    flip=st.booleans(),
    seed=st.integers(0, 9),
)
def test_equals_its_definition_and_so_does_its_gradient(up, down, pads, taps, flip, seed):
    assume(6 * up[0] + pads[0] + pads[1] >= taps[1] and 5 * up[1] + pads[2] + pads[3] >= taps[0])
    rng = np.random.RandomState(seed)
    x, f = rng.randn(2, 2, 5, 6), rng.randn(*taps)
    tensor = torch.from_numpy(x).requires_grad_()
    out = upfirdn2d(tensor, torch.from_numpy(f), up, down, pads, flip, gain=1.7)
    expected = by_definition(x, f, up, down, pads, flip, 1.7)
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=0, atol=1e-12)
    # The adjoint: <A x, y> = <x, Aᵀ y> for every x and y.
    y = torch.from_numpy(rng.randn(*out.shape))
    (adjoint,) = torch.autograd.grad(out, tensor, y)
    other = rng.randn(*x.shape)
    left = (by_definition(other, f, up, down, pads, flip, 1.7) * y.numpy()).sum()
    assert left == pytest.approx((other * adjoint.numpy()).sum(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: upfirdn2d(x, TAPS.double(), up=2, padding=[2, 1, 2, 1]),
        lambda x: upfirdn2d(x, TAPS.double(), down=2, padding=1),
        lambda x: upfirdn2d(
            x, TAPS.double(), up=[2, 1], down=[1, 2], padding=[-1, 3, 2, 1], flip_filter=True
        ),
        lambda x: upsample2d(x, EIGHT, up=2),
        lambda x: filter2d(x, EIGHT.reshape(4, 2)),
    ],
    ids=["up", "down", "both", "separable", "filter"],
)
def test_first_and_second_derivatives(call):
    torch.manual_seed(0)
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    cube = lambda t: call(t).pow(3)  # noqa: E731  a linear function alone has no second derivative
    assert torch.autograd.gradcheck(cube, (x,))
    assert torch.autograd.gradgradcheck(cube, (x,))


def test_works_inside_torch_func():
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64)

    def energy(t):
        return upsample2d(t, TAPS.double()).pow(3).sum()

    inner = torch.func.grad(energy)(x)
    t = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(energy(t), t)
    torch.testing.assert_close(inner, expected)
    second = torch.func.grad(lambda t: torch.func.grad(energy)(t).square().sum())(x)
    (first,) = torch.autograd.grad(energy(t), t, create_graph=True)
    (expected,) = torch.autograd.grad(first.square().sum(), t)
    torch.testing.assert_close(second, expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_layout_changes_nothing(layout):
    x = torch.randn(2, 4, 6, 6).to(memory_format=layout)
    torch.testing.assert_close(upsample2d(x, TAPS), upsample2d(x.contiguous(), TAPS), rtol=0, atol=1e-6)


def test_a_flat_image_stays_flat_away_from_the_border():
    ones = torch.ones(1, 1, 12, 12)
    torch.testing.assert_close(upsample2d(ones, TAPS)[..., 2:-2, 2:-2], torch.ones(1, 1, 20, 20))
    torch.testing.assert_close(downsample2d(ones, TAPS)[..., 1:-1, 1:-1], torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(up=0), "up must be at least 1"),
        (dict(down=[1, 0]), "down must be at least 1"),
        (dict(padding=[1, 2, 3]), "padding is one number"),
        (dict(padding=-3), "smaller than the filter"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        upfirdn2d(torch.zeros(1, 1, 8, 8), TAPS, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(f=torch.zeros(2, 2, 2)), "has taps"),
        (dict(f=[]), "has taps"),
        (dict(f=[1, -1]), "sum to 0"),
        (dict(f=[[1, 2], [3, 4]], separable=True), "cannot be made separable"),
    ],
)
def test_bad_taps_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        setup_filter(**arguments)
