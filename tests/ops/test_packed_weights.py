"""Weights sorted once for a CPU's kernels: the same bits as weights that are sorted at each call."""

from copy import deepcopy

import pytest
import torch

from stylegan.networks import Generator
from stylegan.networks.synthesis import SynthesisLayer, prepared
from stylegan.ops.convolution import convolve, pack

FORMS = {
    "straight": dict(stride=(1, 1), padding=(1, 1), transposed=False),
    "halving": dict(stride=(2, 2), padding=(0, 0), transposed=False),
    "doubling": dict(stride=(2, 2), padding=(0, 0), transposed=True),
    "uneven": dict(stride=(2, 1), padding=(0, 1), transposed=True),
}
needs_kernels = pytest.mark.skipif(
    pack(torch.zeros(2, 2, 3, 3), **FORMS["straight"]) is None, reason="this torch has no oneDNN"
)


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n, channels, out, size", [(2, 16, 16, 4), (3, 33, 17, 7), (4, 64, 128, 16)])
def test_same_bits_as_weights_in_torchs_order(form, dtype, n, channels, out, size):
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this CPU has no bfloat16")
    torch.manual_seed(0)
    x, w, b = torch.randn(n, channels, size, size), torch.randn(out, channels, 3, 3), torch.randn(out)
    x, w = x.to(dtype), w.to(dtype)
    packed = pack(w, **FORMS[form])
    assert packed.shape == w.shape
    for bias in (None, b):
        expected = convolve(x, w, bias, **FORMS[form])
        y = convolve(x, packed, bias, **FORMS[form])
        assert y.dtype == dtype and y.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(y, expected)


@needs_kernels
@pytest.mark.parametrize("form", FORMS)
def test_a_single_small_image_differs_by_rounding_alone(form):
    torch.manual_seed(0)
    x, w = torch.randn(1, 16, 4, 4), torch.randn(16, 16, 3, 3)
    y = convolve(x, pack(w, **FORMS[form]), **FORMS[form])
    torch.testing.assert_close(y, convolve(x, w, **FORMS[form]), rtol=1e-5, atol=1e-5)


@needs_kernels
def test_a_gain_scales_the_result():
    torch.manual_seed(0)
    x, w = torch.randn(2, 8, 6, 6), torch.randn(4, 8, 3, 3)
    y = convolve(x, pack(w, **FORMS["straight"]), gain=0.5, **FORMS["straight"])
    assert torch.equal(y, convolve(x, w, gain=0.5, **FORMS["straight"]))


def test_none_where_there_are_no_such_kernels(monkeypatch):
    w = torch.randn(4, 8, 3, 3)
    assert pack(w.double(), **FORMS["straight"]) is None
    assert pack(w.half(), **FORMS["straight"]) is None
    assert pack(w[:, :1], **FORMS["straight"]) is None
    assert pack(w.to("meta"), **FORMS["straight"]) is None
    with torch.backends.mkldnn.flags(enabled=False):
        assert pack(w, **FORMS["straight"]) is None
    # Another torch, whose private names are others.
    monkeypatch.setattr("stylegan.ops.convolution._NAMES", ("_no_such_kernel",))
    assert pack(w, **FORMS["straight"]) is None


@pytest.mark.parametrize("packs", [pytest.param(True, marks=needs_kernels), False])
def test_a_generator_draws_the_same_with_and_without(monkeypatch, packs):
    if not packs:
        monkeypatch.setattr("stylegan.networks.synthesis.pack", lambda *args, **kwargs: None)
    torch.manual_seed(0)
    g = Generator(resolution=16, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=32)
    z = torch.randn(4, 16)
    with torch.no_grad():
        plain = g(z)
        with prepared(g.synthesis):
            layers = [m for m in g.modules() if isinstance(m, SynthesisLayer)]
            assert all(layer.ready[0].is_mkldnn == packs for layer in layers)
            assert torch.equal(g(z), plain)


def test_gradients_are_those_of_weights_that_are_not_prepared():
    torch.manual_seed(0)
    g = Generator(resolution=16, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=32)
    ws = torch.randn(4, g.num_ws, 16, requires_grad=True)

    def gradients():
        return torch.autograd.grad(g.synthesis(ws).square().sum(), [ws, g.synthesis.b8.conv0.weight])

    expected = gradients()
    with prepared(g.synthesis):
        found = gradients()
    assert all(torch.equal(a, e) for a, e in zip(found, expected, strict=True))


def test_a_copy_made_meanwhile_draws_the_same():
    torch.manual_seed(0)
    g = Generator(resolution=16, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=32)
    z = torch.randn(4, 16)
    with torch.no_grad(), prepared(g.synthesis):
        assert torch.equal(deepcopy(g)(z), g(z))
