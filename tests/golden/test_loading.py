"""The fixtures' networks through the loading that users call, and their seeds through the sampler."""

import pytest
import torch

from stylegan import load_discriminator, load_generator
from stylegan.latents.sampling import Sampler
from tests.golden.golden import GOLDEN_DIR, fixture, relative_error


def network_files(letter):
    found = sorted(GOLDEN_DIR.glob(f"networks_*_{letter}.safetensors"))
    if found:
        return [pytest.param(path, id=path.stem) for path in found]
    reason = f"{GOLDEN_DIR} lacks networks_*_{letter}.safetensors"
    return [pytest.param(None, id=letter, marks=pytest.mark.skip(reason=reason))]


def io_of(path):
    return fixture(f"{path.stem[:-2]}_io.npz")


@pytest.mark.parametrize("path", network_files("G"))
def test_a_generator_draws_what_it_drew(path):
    z, generator = io_of(path), load_generator(path)
    assert not generator.training and not any(p.requires_grad for p in generator.parameters())
    for mode in ("const", "none"):
        img = generator.synthesis(z.tensor("in/ws"), noise_mode=mode)
        assert relative_error(img, z.tensor(f"out/img_{mode}")) <= 1e-4
    img = generator(z.tensor("in/z"), z.tensor("in/c"), truncation=0.5)
    assert relative_error(img, z.tensor("out/img_G_psi05")) <= 1e-4


@pytest.mark.parametrize("path", network_files("D"))
def test_a_discriminator_says_what_it_said(path):
    z, discriminator = io_of(path), load_discriminator(path)
    assert not discriminator.training and not any(p.requires_grad for p in discriminator.parameters())
    logits = discriminator(z.tensor("in/img")[:4], z.tensor("in/img_c")[:4])
    assert relative_error(logits, z.tensor("out/logits_n4")) <= 1e-4


@pytest.mark.parametrize("path", network_files("G"))
def test_a_generator_is_no_discriminator(path):
    with pytest.raises(ValueError, match="has no discriminator, only a generator"):
        load_discriminator(path)


@pytest.mark.parametrize("path", network_files("D"))
def test_a_discriminator_is_no_generator(path):
    with pytest.raises(ValueError, match="has no generator, only a discriminator"):
        load_generator(path)


@pytest.mark.parametrize("path", network_files("G"))
def test_a_seed_gives_the_same_bits_at_every_place(path):
    sampler = Sampler(load_generator(path))
    width = sampler.generator.c_dim
    label = torch.eye(width)[1] if width else None

    def drawn(seeds):
        return torch.cat([images for _, images in sampler.of_seeds(seeds, label=label, truncation=0.7)])

    alone = drawn([1000])[0]
    for place in range(sampler.chunk):
        seeds = [*range(place), 1000, *range(place, sampler.chunk - 1)]
        assert torch.equal(drawn(seeds)[place], alone), f"place {place}"
