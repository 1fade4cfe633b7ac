"""Mapping, synthesis and discriminator against the reference, with the gradients to w and to the image."""

import pytest
import torch
from safetensors.torch import load_file

from stylegan.interop.nvidia_names import build_discriminator, build_generator
from tests.golden.golden import GOLDEN_DIR, fixture, relative_error

NAMES = sorted(path.name for path in GOLDEN_DIR.glob("networks_*_io.npz")) or [None]


@pytest.fixture(params=NAMES)
def z(request):
    if request.param is None:
        pytest.skip(f"{GOLDEN_DIR} lacks networks_*_io.npz")
    return fixture(request.param)


def weights(z, letter):
    path = z.path.with_name(z.path.name.replace("_io.npz", f"_{letter}.safetensors"))
    if not path.exists():
        pytest.skip(f"{GOLDEN_DIR} lacks {path.name}")
    return load_file(path)


@pytest.fixture
def generator(z):
    return build_generator(z.meta["G_kwargs"], weights(z, "G")).eval()


@pytest.fixture
def discriminator(z):
    return build_discriminator(z.meta["D_kwargs"], weights(z, "D")).eval()


def labels(z, key):
    c = z.tensor(key)
    return c if c.shape[1] else None


def noise(z):
    return {layer: z.tensor(f"in/noise/{layer}") for layer, _ in z.meta["noise_layers"]}


def test_state_dict_has_exactly_the_published_names(z):
    g = build_generator(z.meta["G_kwargs"], weights(z, "G"))
    d = build_discriminator(z.meta["D_kwargs"], weights(z, "D"))
    for network, letter in ((g, "G"), (d, "D")):
        expected = {name: value.shape for name, value in weights(z, letter).items()}
        assert {name: value.shape for name, value in network.state_dict().items()} == expected
    assert g.num_ws == z.meta["num_ws"]
    assert [[name, height] for name, (height, _) in g.synthesis.noise_layers] == z.meta["noise_layers"]


@pytest.mark.parametrize("key", ["out/w", "out/w_psi07", "out/w_psi07_cutoff"])
def test_mapping(z, generator, key):
    psi = 1.0 if key == "out/w" else 0.7
    cutoff = z.meta["truncation_cutoff"] if key.endswith("cutoff") else None
    w = generator.mapping(z.tensor("in/z"), labels(z, "in/c"), truncation=psi, truncation_cutoff=cutoff)
    assert relative_error(w, z.tensor(key)) <= 1e-4


def test_w_avg_follows_the_batch_in_training(z, generator):
    generator.train().mapping(z.tensor("in/z"), labels(z, "in/c"))
    assert relative_error(generator.mapping.w_avg, z.tensor("out/w_avg_after_train")) <= 1e-4


@pytest.mark.parametrize("mode", ["const", "none", "random"])
def test_synthesis(z, generator, mode):
    expected = z.tensor(f"out/img_{mode}")
    given = noise(z) if mode == "random" else None
    img = generator.synthesis(z.tensor("in/ws"), noise_mode=mode, noise=given)
    assert relative_error(img, expected) <= 1e-4


def test_whole_generator(z, generator):
    img = generator(z.tensor("in/z"), labels(z, "in/c"), truncation=0.5)
    assert relative_error(img, z.tensor("out/img_G_psi05")) <= 1e-4


@pytest.mark.parametrize("n", [8, 4, 2, 1])
def test_discriminator(z, discriminator, n):
    c = labels(z, "in/img_c")
    logits = discriminator(z.tensor("in/img")[:n], None if c is None else c[:n])
    assert relative_error(logits, z.tensor(f"out/logits_n{n}")) <= 1e-4


def test_gradient_to_w(z, generator):
    ws = z.tensor("in/ws").requires_grad_()
    img = generator.synthesis(ws, noise_mode="const")
    (dws,) = torch.autograd.grad((img * z.tensor("in/img_cot")).sum(), ws)
    assert relative_error(dws, z.tensor("out/dws")) <= 1e-3


def test_gradient_to_the_image(z, discriminator):
    img, c = z.tensor("in/img")[:2].requires_grad_(), labels(z, "in/img_c")
    logits = discriminator(img, None if c is None else c[:2])
    (dimg,) = torch.autograd.grad(logits.sum(), img)
    assert relative_error(dimg, z.tensor("out/dimg")) <= 1e-3
