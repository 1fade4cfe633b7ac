"""Generator and discriminator beyond the fixtures: sizes, options, truncation, layout, bad input."""

import json

import pytest
import torch

from stylegan.networks import Discriminator, Generator

SMALL = dict(channel_base=64, channel_max=4)


def generator(**options):
    torch.manual_seed(0)
    return Generator(**(dict(resolution=16, z_dim=6, w_dim=5, mapping_layers=2) | SMALL | options)).eval()


def discriminator(**options):
    torch.manual_seed(0)
    return Discriminator(**(dict(resolution=16) | SMALL | options)).eval()


@pytest.mark.parametrize("resolution", [8, 64, 256])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_sizes(resolution, channels, architecture):
    options = dict(resolution=resolution, channels=channels, architecture=architecture, channel_base=512)
    g, d = generator(**options), discriminator(**options)
    images = g(torch.randn(2, 6))
    assert images.shape == (2, channels, resolution, resolution)
    assert d(images).shape == (2, 1)
    blocks = len(g.synthesis.block_names)
    assert g.num_ws == 2 * blocks


@pytest.mark.parametrize(
    ("size", "names", "constant"),
    [
        ((48, 32), ["b4", "b8", "b16", "b32"], (6, 4)),
        ((24, 40), ["b4", "b8", "b16", "b32"], (3, 5)),
        ((96, 96), ["b4", "b8", "b16", "b32", "b64", "b128"], (3, 3)),
        ((6, 16), ["b4", "b8"], (3, 8)),
    ],
)
@pytest.mark.parametrize("channels", [2, 4, 5])
@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_rectangles_grow_from_their_constant(size, names, constant, channels, architecture):
    options = dict(resolution=size, channels=channels, architecture=architecture, channel_base=512)
    g, d = generator(**options), discriminator(**options)
    assert g.synthesis.block_names == names
    assert g.synthesis.b4.const.shape[1:] == constant
    images = g(torch.randn(2, 6))
    assert images.shape == (2, channels, *size)
    assert d(images).shape == (2, 1)
    again = Generator(**json.loads(json.dumps(g.options)))
    assert again.size == size


def test_blocks_of_one_name_have_the_same_channels_at_every_shape():
    square, tall = (discriminator(resolution=size, channel_base=64) for size in (32, (48, 32)))
    for (name, a), (other, b) in zip(square.named_parameters(), tall.named_parameters(), strict=True):
        assert name == other
        assert a.shape == b.shape or name == "b4.fc.weight"


def test_the_largest_size():
    g = generator(resolution=2048, channel_base=2048, channel_max=2)
    assert g(torch.randn(1, 6)).shape == (1, 3, 2048, 2048)
    d = discriminator(resolution=2048, channel_base=2048, channel_max=2)
    assert d(torch.zeros(1, 3, 2048, 2048)).shape == (1, 1)


def test_options_rebuild_the_same_networks_and_are_plain():
    g = generator(c_dim=3, use_noise=False, architecture="resnet", resample_taps=(1, 2, 1))
    d = discriminator(c_dim=3, freeze_layers=2, mbstd_group=None)
    for network in (g, d):
        again = type(network)(**json.loads(json.dumps(network.options)))
        assert {k: v.shape for k, v in again.state_dict().items()} == {
            k: v.shape for k, v in network.state_dict().items()
        }
        assert again.options == network.options
        assert [n for n, _ in again.named_parameters()] == [n for n, _ in network.named_parameters()]


def test_truncation_pulls_towards_the_average():
    g = generator()
    g.mapping.w_avg.normal_()
    z = torch.randn(3, 6)
    w = g.mapping(z)
    half = g.mapping(z, truncation=0.5)
    torch.testing.assert_close(half, (w + g.mapping.w_avg) / 2)
    torch.testing.assert_close(g.mapping(z, truncation=0.0), g.mapping.w_avg.expand_as(w))
    cut = g.mapping(z, truncation=0.5, truncation_cutoff=2)
    torch.testing.assert_close(cut[:, :2], half[:, :2])
    torch.testing.assert_close(cut[:, 2:], w[:, 2:])


def test_w_avg_follows_in_training_only_and_not_when_set_otherwise():
    g = generator()
    z = torch.randn(3, 6)
    g.mapping(z)
    assert (g.mapping.w_avg == 0).all()
    g.train().mapping(z, track_average=False)
    assert (g.mapping.w_avg == 0).all()
    w = g.mapping(z)
    torch.testing.assert_close(g.mapping.w_avg, 0.005 * w[:, 0].mean(dim=0))


def test_latents_are_normalised():
    g = generator()
    z = torch.randn(3, 6)
    torch.testing.assert_close(g.mapping(z * 100), g.mapping(z))


def test_noise_modes():
    g = generator()
    for name, _ in g.synthesis.noise_layers:
        g.synthesis.get_submodule(name).noise_strength.data.fill_(0.5)
    ws = torch.randn(2, g.num_ws, 5)
    zeros = {name: torch.zeros(2, 1, *size) for name, size in g.synthesis.noise_layers}
    constant = {
        name: g.synthesis.get_submodule(name).noise_const.expand(2, 1, -1, -1)
        for name, _ in g.synthesis.noise_layers
    }
    none = g.synthesis(ws, noise_mode="none")
    torch.testing.assert_close(g.synthesis(ws, noise_mode="random", noise=zeros), none)
    const = g.synthesis(ws, noise_mode="const")
    torch.testing.assert_close(g.synthesis(ws, noise_mode="random", noise=constant), const)
    assert not torch.allclose(const, none)


def test_training_never_draws_noise_by_itself():
    g = generator().train()
    with pytest.raises(ValueError, match="needs the drawn noise"):
        g.synthesis(torch.randn(1, g.num_ws, 5), noise_mode="random")


def test_the_label_changes_image_and_logit():
    g, d = generator(c_dim=3), discriminator(c_dim=3)
    z, one, two = torch.randn(1, 6), torch.eye(3)[:1], torch.eye(3)[1:2]
    images = g(z, one)
    assert not torch.allclose(images, g(z, two))
    assert not torch.allclose(d(images, one), d(images, two))


@pytest.mark.parametrize("freeze", [0, 1, 3, 4, 6, 100])
def test_frozen_layers_are_the_ones_next_to_the_image(freeze):
    d = discriminator(resolution=16, freeze_layers=freeze)
    order = ["b16.fromrgb", "b16.conv0", "b16.conv1", "b16.skip", "b8.conv0", "b8.conv1", "b8.skip"]
    learning = {name.rsplit(".", 1)[0] for name, _ in d.named_parameters()}
    assert [layer for layer in order if layer not in learning] == order[:freeze]
    assert {"b4.conv", "b4.fc", "b4.out"} <= learning


def test_memory_layout_changes_nothing():
    g, d = generator(), discriminator()
    images = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(
        d(images), d(images.contiguous(memory_format=torch.channels_last)), rtol=0, atol=1e-5
    )
    assert g(torch.randn(2, 6)).shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: generator(resolution=50), "no network draws 50x50.*nearest"),
        (lambda: generator(resolution=4), "no network draws 4x4"),
        (lambda: generator(resolution=4096), "no network draws 4096x4096.*at most 2048 px"),
        (lambda: generator(channels=0), "channels must be between 1 and 64, got 0"),
        (lambda: discriminator(channels=65), "channels must be between 1 and 64, got 65"),
        (lambda: generator(architecture="deep"), "generator.architecture"),
        (lambda: discriminator(architecture="deep"), "discriminator.architecture"),
        (lambda: generator(channel_base=8), "leaves no channel in block b16"),
        (lambda: generator(z_dim=0), "^z_dim must be at least 1, got 0$"),
        (lambda: generator(w_dim=-1), "^w_dim must be at least 1, got -1$"),
        (lambda: generator(conv_clamp=-1), "generator.conv_clamp must be above 0"),
        (lambda: discriminator(conv_clamp=0), "discriminator.conv_clamp must be above 0"),
        (lambda: discriminator(mbstd_group=0), "mbstd_group must be at least 1"),
        (lambda: discriminator(mbstd_channels=3), "mbstd_channels 3 must divide the 4 channels of b4"),
        (lambda: discriminator(freeze_layers=-3), "^freeze_layers must be at least 0, got -3$"),
        (lambda: generator(mapping_layers=0), "mapping_layers"),
        (
            lambda: generator().mapping(torch.zeros(2, 7)),
            r"latent z must have the shape \[N, 6\], got \[2, 7\]",
        ),
        (lambda: generator(c_dim=3)(torch.zeros(2, 6)), r"label c must have the shape \[N, 3\], got None"),
        (lambda: generator().synthesis(torch.zeros(1, 2, 5)), "ws must have the shape"),
        (lambda: generator().synthesis(torch.zeros(1, 6, 5), noise_mode="loud"), "noise_mode must be"),
        (
            lambda: generator().synthesis(torch.zeros(1, 6, 5), "random", {"b4.conv1": torch.zeros(1)}),
            "b8.conv0",
        ),
        (lambda: discriminator()(torch.zeros(1, 3, 8, 8)), r"\[N, 3, 16, 16\], got \[1, 3, 8, 8\]"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_group_size_of_a_discriminator():
    shared = dict(resolution=8, channel_base=64, channel_max=8)
    assert Discriminator(**shared).group_size == 4
    assert Discriminator(**shared, mbstd_channels=0).group_size == 1
    assert Discriminator(**shared, mbstd_group=None).group_size is None
