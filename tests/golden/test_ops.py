"""Every operation against the reference, with first and second gradients."""

import pytest
import torch

from stylegan import ops
from stylegan.networks.layers import Conv2dLayer, FullyConnected
from tests.golden.golden import fixture, params, relative_error

FILES = ("ops.npz", "ops_more.npz")
RESAMPLING = ("upfirdn2d", "filter2d", "upsample2d", "downsample2d")


def cases(*names):
    return [
        case
        for file in FILES
        for case in params(
            file, lambda z, file=file: [(c["id"], (file, c)) for c in z.meta["cases"] if c["op"] in names]
        )
    ]


def assert_close(z, key, actual, tolerance=1e-5):
    expected = z.tensor(key)
    if expected.abs().max() == 0:
        assert actual.abs().max() == 0, key
    else:
        assert relative_error(actual, expected) <= tolerance, key


def inputs(z, case, *names):
    return [z.tensor(f"{case['id']}/{name}").requires_grad_() for name in names]


@pytest.mark.parametrize("case", cases("setup_filter"))
def test_setup_filter(case):
    file, case = case
    assert_close(fixture(file), f"{case['id']}/out", ops.setup_filter(case["f"], **case["kwargs"]), 1e-6)


@pytest.mark.parametrize("case", cases(*RESAMPLING))
def test_resampling(case):
    file, case = case
    z = fixture(file)
    (x,) = inputs(z, case, "x")
    out = getattr(ops, case["op"])(x, z.optional(f"{case['id']}/f"), **case["kwargs"])
    assert_close(z, f"{case['id']}/out", out)
    (dx,) = torch.autograd.grad((out * z.tensor(f"{case['id']}/cot")).sum(), x)
    assert_close(z, f"{case['id']}/dx", dx)


@pytest.mark.parametrize("case", cases("bias_act"))
def test_bias_act(case):
    file, case = case
    z, key = fixture(file), case["id"]
    (x,) = inputs(z, case, "x")
    b = z.optional(f"{key}/b")
    b = None if b is None else b.requires_grad_()
    out = ops.bias_act(x, b, act=case["act"], **case["kwargs"])
    assert_close(z, f"{key}/out", out)
    wrt = [x] if b is None else [x, b]
    grads = torch.autograd.grad((out * z.tensor(f"{key}/cot")).sum(), wrt, create_graph=True)
    assert_close(z, f"{key}/dx", grads[0])
    if b is not None:
        assert_close(z, f"{key}/db", grads[1])
    scalar = (grads[0] * z.tensor(f"{key}/cot2")).sum()
    # A piecewise linear function has no second derivative, and then no graph either.
    d2x = torch.autograd.grad(scalar, x)[0] if scalar.requires_grad else torch.zeros_like(x)
    assert_close(z, f"{key}/d2x", d2x)


@pytest.mark.parametrize("case", cases("conv2d_resample"))
def test_conv2d_resample(case):
    file, case = case
    z, key = fixture(file), case["id"]
    x, w = inputs(z, case, "x", "w")
    out = ops.conv2d_resample(x, w, f=z.optional(f"{key}/f"), **case["kwargs"])
    assert_close(z, f"{key}/out", out)
    dx, dw = torch.autograd.grad((out * z.tensor(f"{key}/cot")).sum(), [x, w])
    assert_close(z, f"{key}/dx", dx)
    assert_close(z, f"{key}/dw", dw)


@pytest.mark.parametrize("case", cases("modulated_conv2d"))
def test_modulated_conv2d(case):
    file, case = case
    z, key = fixture(file), case["id"]
    x, w, styles = inputs(z, case, "x", "w", "styles")
    out = ops.modulated_conv2d(
        x,
        w,
        styles,
        noise=z.optional(f"{key}/noise"),
        resample_filter=z.optional(f"{key}/f"),
        **case["kwargs"],
    )
    assert_close(z, f"{key}/out", out)
    grads = torch.autograd.grad((out * z.tensor(f"{key}/cot")).sum(), [x, w, styles])
    for name, grad in zip(("dx", "dw", "dstyles"), grads, strict=True):
        assert_close(z, f"{key}/{name}", grad)


@pytest.mark.parametrize("case", cases("normalize_2nd_moment", "minibatch_std"))
def test_normalisation(case):
    file, case = case
    z, key = fixture(file), case["id"]
    (x,) = inputs(z, case, "x")
    out = getattr(ops, case["op"])(x, **case["kwargs"])
    assert_close(z, f"{key}/out", out)
    (dx,) = torch.autograd.grad((out * z.tensor(f"{key}/cot")).sum(), x)
    assert_close(z, f"{key}/dx", dx)


@pytest.mark.parametrize("case", cases("fully_connected"))
def test_fully_connected(case):
    file, case = case
    z, key = fixture(file), case["id"]
    layer = FullyConnected(case["in_features"], case["out_features"], **case["kwargs"])
    layer.load_state_dict({k: z.tensor(f"{key}/{k}") for k in layer.state_dict()})
    assert_close(z, f"{key}/out", layer(z.tensor(f"{key}/x")))


@pytest.mark.parametrize("case", cases("conv2d_layer"))
def test_conv2d_layer(case):
    file, case = case
    z, key = fixture(file), case["id"]
    options = dict(case["kwargs"])
    if "resample_filter" in options:
        options["resample_taps"] = options.pop("resample_filter")
    layer = Conv2dLayer(case["in_channels"], case["out_channels"], case["kernel_size"], **options)
    state = {name: z.tensor(f"{key}/{name}") for name, _ in layer.named_parameters()}
    layer.load_state_dict(state, strict=False)
    assert_close(z, f"{key}/out", layer(z.tensor(f"{key}/x"), gain=case["gain"]))
