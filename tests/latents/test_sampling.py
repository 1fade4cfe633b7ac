"""A seed's picture: the same bits at every place, and the picture that the generator itself draws."""

import pytest
import torch

from stylegan.latents.sampling import Sampler, chunk_size
from stylegan.latents.seeds import latents_of, noise_of
from stylegan.networks import Generator


def fresh_generator(seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        small = dict(z_dim=24, w_dim=32, mapping_layers=2, channel_base=1024, channel_max=48)
        generator = Generator(**{"resolution": 32, **small, **options}).eval().requires_grad_(False)
        # A fresh network has neither noise nor a mean of w: without them half of the work would go unseen.
        generator.mapping.w_avg.normal_()
        for name, _ in generator.synthesis.noise_layers:
            generator.get_submodule(f"synthesis.{name}").noise_strength.normal_()
    return generator


def pictures(generator, seeds, **options):
    return torch.cat([images for _, images in Sampler(generator).of_seeds(seeds, **options)])


@pytest.mark.parametrize("height", [8, 16, 32, 64, 128, 256, 512, 1024, 2048])
@pytest.mark.parametrize("width", [6, 48, 2048])
def test_chunks_are_a_multiple_of_four(height, width):
    assert chunk_size((height, width)) in (4, 8, 12, 16)


CONDITIONAL = {"c_dim": 5, "channels": 1, "architecture": "resnet"}


# Two threads split the rows in another way than one; slow where the machine is busy, so it is small.
@pytest.mark.parametrize(
    "threads, options", [(1, {}), (1, CONDITIONAL), (2, {"resolution": 8}), (2, {"resolution": (48, 32)})]
)
def test_a_seed_gives_the_same_bits_at_every_place(threads, options):
    generator, before = fresh_generator(**options), torch.get_num_threads()
    drawn = dict(label=torch.eye(5)[2] if generator.c_dim else None, truncation=0.7, noise_mode="random")
    chunk = chunk_size(generator.size)
    torch.set_num_threads(threads)
    try:
        alone = pictures(generator, [1000], **drawn)[0]
        for place in range(chunk):
            seeds = [*range(place), 1000, *range(place, chunk - 1)]
            assert torch.equal(pictures(generator, seeds, **drawn)[place], alone), f"place {place}"
        in_the_second_chunk = pictures(generator, [*range(chunk + 1), 1000], **drawn)[-1]
        assert torch.equal(in_the_second_chunk, alone)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("noise_mode", ["const", "none"])
def test_it_is_the_image_that_the_generator_draws(noise_mode):
    generator = fresh_generator(c_dim=5)
    seeds = list(range(21))  # a whole chunk and a part of one
    c = torch.eye(5)[[3]].expand(21, -1)
    expected = generator(latents_of(seeds, 24), c, truncation=0.6, noise_mode=noise_mode)
    got = pictures(generator, seeds, label=torch.eye(5)[3], truncation=0.6, noise_mode=noise_mode)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_random_noise_is_that_of_the_seed():
    generator = fresh_generator()
    noise = noise_of([5, 6], generator.synthesis.noise_layers)
    ws = generator.mapping(latents_of([5, 6], 24))
    expected = generator.synthesis(ws, noise_mode="random", noise=noise)
    got = pictures(generator, [5, 6], noise_mode="random")
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert not torch.equal(got, pictures(generator, [5, 6], noise_mode="const"))


def test_random_noise_without_seeds_is_refused():
    sampler = Sampler(fresh_generator())
    with pytest.raises(ValueError, match="noise_seeds"):
        sampler.draw(sampler.map(latents_of([0], 24)), noise_mode="random")


def test_full_truncation_draws_the_average_picture_for_every_seed():
    images = pictures(fresh_generator(), range(5), truncation=0.0)
    assert torch.equal(images, images[:1].expand_as(images))


def test_truncation_may_be_limited_to_the_first_layers():
    generator = fresh_generator()
    z = latents_of([0, 1], 24)
    ws = Sampler(generator).map(z, truncation=0.5, truncation_cutoff=3)
    expected = generator.mapping(z, truncation=0.5, truncation_cutoff=3)
    torch.testing.assert_close(ws, expected, rtol=1e-5, atol=1e-6)


def test_a_generator_in_training_mode_is_left_as_it_is():
    generator = fresh_generator().train()
    average = generator.mapping.w_avg.clone()
    pictures(generator, range(3))
    assert torch.equal(generator.mapping.w_avg, average) and generator.training


def test_a_generator_without_noise_has_a_random_mode_as_well():
    generator = fresh_generator(use_noise=False)
    assert torch.equal(pictures(generator, [1], noise_mode="random"), pictures(generator, [1]))


def test_the_global_random_generator_is_neither_used_nor_moved():
    generator = fresh_generator()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = pictures(generator, [3], noise_mode="random")
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(pictures(generator, [3], noise_mode="random"), first)


@pytest.fixture
def rounding_allowed():
    """torch's own defaults, and what a training may have chosen."""
    flags = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [flag.allow_tf32 for flag in flags]
    for flag in flags:
        flag.allow_tf32 = True
    yield lambda: [flag.allow_tf32 for flag in flags]
    for flag, allowed in zip(flags, before, strict=True):
        flag.allow_tf32 = allowed


def test_nothing_is_rounded_for_a_gpu_while_a_picture_is_drawn(rounding_allowed):
    generator = fresh_generator()
    seen = []
    for network in (generator.mapping, generator.synthesis):
        network.register_forward_hook(lambda *_: seen.append(rounding_allowed()))
    list(Sampler(generator).of_seeds([0]))
    assert seen == [[False, False]] * 2
    assert rounding_allowed() == [True, True]
