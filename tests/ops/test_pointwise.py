"""Bias and activation, normalisation and minibatch standard deviation by closed forms and invariances."""

import pytest
import torch
import torch.nn.functional as F

from stylegan.ops import bias_act, minibatch_std, normalize_2nd_moment
from stylegan.ops.bias_act import ACTIVATIONS

TORCH = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "lrelu": lambda x: torch.where(x > 0, x, 0.2 * x),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "selu": torch.selu,
    "softplus": lambda x: (1 + x.exp()).log(),
    "swish": lambda x: x * torch.sigmoid(x),
}


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_bias_act_by_formula(act):
    x, b = (
        torch.linspace(-3, 3, 24, dtype=torch.float64).reshape(2, 3, 4),
        torch.tensor([0.1, -0.2, 0.3]).double(),
    )
    out = bias_act(x, b, act=act, gain=1.5, clamp=2.0)
    expected = (TORCH[act](x + b[None, :, None]) * 1.5).clamp(-2, 2)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_bias_act_derivatives(act):
    torch.manual_seed(0)
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    b = torch.randn(3, dtype=torch.float64, requires_grad=True)
    call = lambda x, b: bias_act(x, b, act=act)  # noqa: E731
    assert torch.autograd.gradcheck(call, (x, b))
    assert torch.autograd.gradgradcheck(call, (x, b))


def test_unknown_activation_is_named():
    with pytest.raises(ValueError, match="'mish' is unknown"):
        bias_act(torch.zeros(1, 1), act="mish")


@pytest.mark.parametrize("act", ["lrelu", "relu", "swish"])
def test_gain_keeps_the_second_moment_of_unit_normals(act):
    """The gains are those of He initialisation: E[(√2·relu(x))²] = 1."""
    x = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    moment = bias_act(x[:, None], act=act).square().mean().item()
    closed_form = {"relu": 1.0, "lrelu": 1 + 0.2**2, "swish": 2 * _swish_moment()}[act]
    assert moment == pytest.approx(closed_form, rel=0.01)


def _swish_moment():
    x = torch.linspace(-10, 10, 200_001, dtype=torch.float64)
    density = torch.exp(-x.square() / 2) / (2 * torch.pi) ** 0.5
    return torch.trapezoid(F.silu(x).square() * density, x).item()


def test_normalised_vectors_have_unit_second_moment():
    x = torch.randn(5, 64) * 7
    torch.testing.assert_close(normalize_2nd_moment(x).square().mean(dim=1), torch.ones(5))


def test_minibatch_std_groups_by_stride():
    torch.manual_seed(0)
    x = torch.randn(8, 4, 2, 2, dtype=torch.float64)
    out = minibatch_std(x, group_size=4, num_channels=2)
    assert out.shape == (8, 6, 2, 2)
    for n in range(8):
        members = x[[m for m in range(8) if m % 2 == n % 2]]
        for f in range(2):
            part = members[:, 2 * f : 2 * f + 2]
            value = (part.var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
            torch.testing.assert_close(out[n, 4 + f], value.expand(2, 2))


def test_dealing_by_stride_keeps_the_groups():
    x = torch.randn(16, 3, 2, 2, dtype=torch.float64)
    whole = minibatch_std(x, group_size=4)
    for parts in (2, 4):
        for k in range(parts):
            torch.testing.assert_close(minibatch_std(x[k::parts], group_size=4), whole[k::parts])


def test_minibatch_std_second_derivatives():
    x = torch.randn(4, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(minibatch_std, (x, 2))
    assert torch.autograd.gradgradcheck(minibatch_std, (x, 2))


def test_normalize_second_derivatives():
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(normalize_2nd_moment, (x,))


@pytest.mark.parametrize(("n", "asked", "used"), [(6, 4, 3), (7, 4, 1), (2, 8, 2), (9, 4, 3)])
def test_an_uneven_batch_takes_the_largest_group_that_divides_it(n, asked, used):
    x = torch.randn(n, 2, 2, 2)
    torch.testing.assert_close(minibatch_std(x, group_size=asked), minibatch_std(x, group_size=used))


def test_uneven_channels_are_named():
    with pytest.raises(ValueError, match="3 channels are no multiple of mbstd_channels 2"):
        minibatch_std(torch.zeros(4, 3, 2, 2), num_channels=2)


@pytest.mark.parametrize("largest", [0.5, 2.0, 3.0, float("inf"), float("nan")])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_limit_holds_and_stops_gradients_whether_or_not_anything_reaches_it(largest, layout):
    """At 3, with gain 1, one element is just at the limit: it counts as beyond it, as hardtanh's gradient has it."""
    x = (torch.arange(-24, 24).view(2, 2, 3, 4) / 100).contiguous(memory_format=layout)
    x[1, 1, 2, 3] = largest
    x.requires_grad_()
    y = bias_act(x, act="lrelu", gain=1, clamp=3)
    expected = F.leaky_relu(x.detach(), 0.2).clamp(-3, 3)
    torch.testing.assert_close(y, expected, rtol=0, atol=0, equal_nan=True)
    y.sum().backward()
    slope = torch.where(x > 0, 1.0, 0.2)
    if not largest < 3:
        slope[1, 1, 2, 3] = 0.0 if largest == largest else x.grad[1, 1, 2, 3]
    torch.testing.assert_close(x.grad, slope.detach(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("clamp", [256.0, 256 * 0.5**0.5, 1 / 3])
def test_a_limit_that_the_precision_cannot_hold_stops_gradients_too(dtype, clamp):
    """256·√½, the limit of a residual branch, is 181 in half precision: what is cut off to it is at the limit."""
    x = torch.tensor([[5000.0, -5000.0, 0.25]], dtype=dtype, requires_grad=True)
    bias_act(x, act="lrelu", gain=1, clamp=clamp).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([[0.0, 0.0, 1.0]], dtype=dtype), rtol=0, atol=0)
