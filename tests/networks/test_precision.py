"""Half precision: where it is computed in, what stays in float32, and that it is close."""

import pytest
import torch

from stylegan.networks import Discriminator, Generator, synthesis
from stylegan.networks import precision as networks_precision
from stylegan.networks.layers import ToRGBLayer
from stylegan.networks.precision import ResolutionBlock, compute_in, has_bfloat16, set_compute_dtype
from stylegan.networks.synthesis import SynthesisLayer, prepared

SMALL = dict(resolution=32, channel_base=512, channel_max=32)


def networks():
    torch.manual_seed(0)
    return Generator(**SMALL, z_dim=16, w_dim=16, mapping_layers=2), Discriminator(**SMALL)


def dtypes(network):
    return {m.level: m.compute_dtype for m in network.modules() if isinstance(m, ResolutionBlock)}


@pytest.mark.parametrize(
    "count, levels", [(None, {4, 8, 16, 32}), (2, {16, 32}), (4, {4, 8, 16, 32}), (0, set())]
)
def test_the_highest_resolutions_are_lowered(count, levels):
    for network in networks():
        compute_in(network, torch.bfloat16, count)
        lowered = {level for level, dtype in dtypes(network).items() if dtype == torch.bfloat16}
        # The discriminator's lowest block is its head.
        assert lowered == (levels if isinstance(network, Generator) else levels - {4})
        compute_in(network, None)
        assert set(dtypes(network).values()) == {None}


@pytest.mark.parametrize("architecture", ["orig", "skip", "resnet"])
def test_bfloat16_is_close_and_its_image_and_logits_are_float32(architecture):
    torch.manual_seed(0)
    g = Generator(**SMALL, z_dim=16, w_dim=16, mapping_layers=2, architecture=architecture)
    d = Discriminator(**SMALL, architecture=architecture)
    z = torch.randn(8, 16)
    with torch.no_grad():
        images = g(z)
        logits = d(images)
        for network in (g, d):
            compute_in(network, torch.bfloat16)
        low_images, low_logits = g(z), d(images)
    assert low_images.dtype == low_logits.dtype == torch.float32
    # bfloat16 has 8 bits: 0.4 % a rounding, of which some twenty follow each other.
    assert 0 < (low_images - images).abs().max() < 0.05 * images.abs().max()
    assert 0 < (low_logits - logits).abs().max() < 0.05 * logits.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_head_computes_in_float32(dtype):
    _, d = networks()
    compute_in(d, dtype)
    seen = []
    for layer in (d.b4.conv, d.b4.fc, d.b4.out):
        layer.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].dtype))
    d(torch.randn(4, 3, 32, 32))
    assert seen == [torch.float32] * 3


@pytest.mark.parametrize(
    ("dtype", "expected"), [(torch.bfloat16, torch.float32), (torch.float16, torch.float16)]
)
def test_images_are_read_in_more_than_bfloat16(dtype, expected):
    _, d = networks()
    seen = []
    compute_in(d, dtype)
    d.b32.fromrgb.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].dtype))
    d(torch.randn(2, 3, 32, 32))
    assert seen == [expected]


def test_a_image_of_bfloat16_features_has_the_weights_precision():
    """Weights that were rounded would err alike at every pixel; the rounding of the output is another one at each."""
    torch.manual_seed(0)
    layer = ToRGBLayer(16, 3, w_dim=8)
    w = torch.randn(1, 8)
    x = torch.randn(1, 16, 64, 64).bfloat16()
    exact, half = layer(x.float(), w), layer(x, w)
    assert half.dtype == torch.float32
    assert ((half - exact).abs() <= exact.abs() * 2**-8 + 1e-2 * exact.abs().mean()).all()
    # The part of the error that the features explain is that of the weights.
    features = x.float()[0].flatten(1).T.double()
    found = torch.linalg.lstsq(features, (half - exact)[0].flatten(1).T.double()).solution
    weights = torch.linalg.lstsq(features, exact[0].flatten(1).T.double()).solution
    assert found.abs().max() < 2**-11 * weights.abs().max()


def test_the_gradient_of_a_bfloat16_image_is_that_of_the_exact_one():
    torch.manual_seed(0)
    layer = ToRGBLayer(64, 3, w_dim=8)
    x, w = torch.randn(8, 64, 8, 8).bfloat16(), torch.randn(8, 8)

    def gradients(features):
        features = features.detach().requires_grad_()
        image = layer(features, w)
        return torch.autograd.grad(image.square().sum(), [features, layer.weight, layer.affine.weight])

    for exact, half in zip(gradients(x.float()), gradients(x), strict=True):
        assert (half.float() - exact).norm() < 0.01 * exact.norm()
        assert float((half.float() * exact).sum() / exact.square().sum()) == pytest.approx(1, abs=2e-3)


def test_gradients_are_float32_and_close():
    g, d = networks()
    z = torch.randn(8, 16)

    def gradient():
        for network in (g, d):
            network.zero_grad()
        d(g(z)).sum().backward()
        assert all(p.grad is None or p.grad.dtype == torch.float32 for p in g.parameters())
        return torch.cat([p.grad.flatten() for p in g.parameters() if p.grad is not None])

    exact = gradient()
    for network in (g, d):
        compute_in(network, torch.bfloat16)
    low = gradient()
    assert torch.nn.functional.cosine_similarity(exact, low, dim=0) > 0.99


def test_float64_is_never_lowered():
    g, _ = networks()
    g.double()
    z = torch.randn(2, 16, dtype=torch.float64)
    exact = g(z)
    compute_in(g, torch.bfloat16)
    assert torch.equal(g(z), exact)


def test_sums_of_float16_stay_in_range():
    """Styles and weights a thousand times too large: demodulation divides them out, float16 alone would overflow."""
    from stylegan.ops import modulated_conv2d

    torch.manual_seed(0)
    x, w, s = torch.randn(2, 64, 8, 8), 1000 * torch.randn(16, 64, 3, 3), 1000 * torch.randn(2, 64)
    exact = modulated_conv2d(x, w, s, padding=1)
    half = modulated_conv2d(x.half(), w, s, padding=1).float()
    assert (half - exact).abs().max() < 0.01 * exact.abs().max()


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
def test_prepared_weights_draw_the_same_and_are_forgotten(dtype):
    g, _ = networks()
    for name, parameter in g.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.3)
    compute_in(g, dtype)
    z = torch.randn(3, 16)
    with torch.no_grad():
        plain = g(z)
        with prepared(g.synthesis):
            assert torch.equal(g(z), plain)
            with prepared(g.synthesis):
                pass
            assert any(m.ready is not None for m in g.modules() if isinstance(m, SynthesisLayer)) == (
                dtype != torch.float16
            )
        g.synthesis.b8.conv0.weight.mul_(-1)
        assert not torch.equal(g(z), plain)
    assert all(m.ready is None for m in g.modules() if isinstance(m, SynthesisLayer))


def test_weights_that_were_prepared_half_way_are_forgotten(monkeypatch):
    g, _ = networks()
    energies, tap_energy = [], synthesis.tap_energy

    def running_out(weight):
        if energies:
            raise MemoryError
        energies.append(weight)
        return tap_energy(weight)

    monkeypatch.setattr(synthesis, "tap_energy", running_out)
    with pytest.raises(MemoryError), prepared(g.synthesis):
        pass
    assert energies and all(m.ready is None for m in g.modules() if isinstance(m, SynthesisLayer))


def test_auto_is_float32_where_nothing_keeps_activations_in_the_range_of_float16(monkeypatch):
    monkeypatch.setattr(networks_precision, "has_bfloat16", lambda device: False)
    gpu = torch.device("cuda")
    limited, unlimited = Generator(**SMALL, conv_clamp=256), Generator(**SMALL, conv_clamp=None)
    assert set_compute_dtype(limited, gpu) == "fp16"
    assert set_compute_dtype(unlimited, gpu) == "fp32"
    assert set(dtypes(unlimited).values()) == {None}
    with pytest.raises(
        ValueError, match="precision=fp16 needs a limit of activations, and this generator has none"
    ):
        set_compute_dtype(unlimited, gpu, "fp16")


def test_bfloat16_is_requested_of_the_chosen_gpu(monkeypatch):
    asked = []

    class Current:
        def __init__(self, device):
            asked.append(device)

        def __enter__(self):
            asked.append("in")

        def __exit__(self, *error):
            asked.append("out")

    monkeypatch.setattr(torch.cuda, "device", Current)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: asked.append("asked") or True
    )
    second = torch.device("cuda", 1)
    assert has_bfloat16(second)
    assert asked == [second, "in", "asked", "out"]
