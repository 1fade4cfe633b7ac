"""The public implementation's options in our words."""

import pytest
import torch

from stylegan.interop.nvidia_names import (
    build_discriminator,
    build_generator,
    discriminator_options,
    generator_options,
    load_exactly,
)
from stylegan.networks import Discriminator, Generator

G = {
    "z_dim": 8,
    "c_dim": 2,
    "w_dim": 12,
    "img_resolution": 8,
    "img_channels": 3,
    "mapping_kwargs": {"num_layers": 2},
    "synthesis_kwargs": {"channel_base": 64, "channel_max": 8, "num_fp16_res": 4, "conv_clamp": 256},
}
D = {
    "c_dim": 2,
    "img_resolution": 8,
    "img_channels": 3,
    "channel_base": 64,
    "channel_max": 8,
    "epilogue_kwargs": {"mbstd_group_size": 2},
}


def test_absent_options_have_the_public_defaults():
    assert generator_options({**G, "mapping_kwargs": {}, "synthesis_kwargs": {}}) == dict(
        resolution=8,
        channels=3,
        z_dim=8,
        c_dim=2,
        w_dim=12,
        mapping_layers=8,
        mapping_features=None,
        embed_features=None,
        mapping_activation="lrelu",
        mapping_lr_multiplier=0.01,
        w_avg_decay=0.995,
        channel_base=32768,
        channel_max=512,
        architecture="skip",
        conv_clamp=None,
        resample_taps=(1, 3, 3, 1),
        activation="lrelu",
        use_noise=True,
    )
    size = {key: D[key] for key in ("c_dim", "img_resolution", "img_channels")}
    assert discriminator_options(size) == dict(
        resolution=8,
        channels=3,
        c_dim=2,
        cmap_dim=None,
        mapping_layers=8,
        mapping_features=None,
        embed_features=None,
        mapping_activation="lrelu",
        mapping_lr_multiplier=0.01,
        channel_base=32768,
        channel_max=512,
        architecture="resnet",
        conv_clamp=None,
        mbstd_group=4,
        mbstd_channels=1,
        resample_taps=(1, 3, 3, 1),
        activation="lrelu",
        head_activation="lrelu",
        freeze_layers=0,
    )


# Every option of the public constructors, with a value that is not the default.
GENERATOR_OPTIONS = [
    ("mapping_kwargs.num_layers", 3, "mapping_layers"),
    ("mapping_kwargs.embed_features", 5, "embed_features"),
    ("mapping_kwargs.layer_features", 7, "mapping_features"),
    ("mapping_kwargs.activation", "relu", "mapping_activation"),
    ("mapping_kwargs.lr_multiplier", 0.1, "mapping_lr_multiplier"),
    ("mapping_kwargs.w_avg_beta", 0.9, "w_avg_decay"),
    ("synthesis_kwargs.channel_base", 32, "channel_base"),
    ("synthesis_kwargs.channel_max", 4, "channel_max"),
    ("synthesis_kwargs.conv_clamp", 0.5, "conv_clamp"),
    ("synthesis_kwargs.architecture", "resnet", "architecture"),
    ("synthesis_kwargs.resample_filter", [1, 2, 1], "resample_taps"),
    ("synthesis_kwargs.activation", "relu", "activation"),
    ("synthesis_kwargs.use_noise", False, "use_noise"),
]
DISCRIMINATOR_OPTIONS = [
    ("architecture", "skip", "architecture"),
    ("channel_base", 32, "channel_base"),
    ("channel_max", 4, "channel_max"),
    ("conv_clamp", 0.5, "conv_clamp"),
    ("cmap_dim", 6, "cmap_dim"),
    ("mapping_kwargs.num_layers", 3, "mapping_layers"),
    ("mapping_kwargs.embed_features", 5, "embed_features"),
    ("mapping_kwargs.layer_features", 7, "mapping_features"),
    ("mapping_kwargs.activation", "relu", "mapping_activation"),
    ("mapping_kwargs.lr_multiplier", 0.1, "mapping_lr_multiplier"),
    ("block_kwargs.resample_filter", [1, 2, 1], "resample_taps"),
    ("block_kwargs.activation", "relu", "activation"),
    ("block_kwargs.freeze_layers", 2, "freeze_layers"),
    ("epilogue_kwargs.mbstd_group_size", None, "mbstd_group"),
    ("epilogue_kwargs.mbstd_num_channels", 0, "mbstd_channels"),
    ("epilogue_kwargs.activation", "relu", "head_activation"),
]


def with_option(options, dotted, value):
    section, _, name = dotted.rpartition(".")
    if not section:
        return {**options, name: value}
    return {**options, section: {**options.get(section, {}), name: value}}


@pytest.mark.parametrize("dotted, value, ours", GENERATOR_OPTIONS)
def test_an_option_reaches_the_generator(dotted, value, ours):
    options = generator_options(with_option(G, dotted, value))
    assert options[ours] == value and generator_options(G)[ours] != value
    Generator(**options)


@pytest.mark.parametrize("dotted, value, ours", DISCRIMINATOR_OPTIONS)
def test_an_option_reaches_the_discriminator(dotted, value, ours):
    options = discriminator_options(with_option(D, dotted, value))
    assert options[ours] == value and discriminator_options(D)[ours] != value
    Discriminator(**options)


@pytest.mark.parametrize("name", ["num_fp16_res", "use_fp16", "fp16_channels_last", "fused_modconv_default"])
def test_options_of_precision_and_speed_change_nothing(name):
    assert generator_options(with_option(G, f"synthesis_kwargs.{name}", 3)) == generator_options(G)
    assert discriminator_options(with_option(D, f"block_kwargs.{name}", 3)) == discriminator_options(D)


def test_the_class_of_an_options_file_is_taken_and_another_class_refused():
    assert generator_options({**G, "class_name": "training.networks.Generator"}) == generator_options(G)
    with pytest.raises(ValueError, match="class_name = 'training.networks_stylegan3.Generator' is not known"):
        generator_options({**G, "class_name": "training.networks_stylegan3.Generator"})


@pytest.mark.parametrize(
    "dotted", ["magic", "mapping_kwargs.magic", "synthesis_kwargs.magic", "block_kwargs"]
)
def test_an_unknown_option_is_refused_by_name(dotted):
    with pytest.raises(ValueError, match=rf"generator's option {dotted} = 1 is not known here"):
        generator_options(with_option(G, dotted, 1))


@pytest.mark.parametrize("name", ["z_dim", "w_dim", "c_dim", "img_resolution", "img_channels"])
def test_a_required_option_is_missed_by_name(name):
    with pytest.raises(ValueError, match=f"generator's options lack {name}"):
        generator_options({key: value for key, value in G.items() if key != name})


@pytest.mark.parametrize(
    "build, network",
    [
        (lambda weights: build_generator(G, weights), lambda: Generator(**generator_options(G))),
        (lambda weights: build_discriminator(D, weights), lambda: Discriminator(**discriminator_options(D))),
    ],
)
def test_weights_arrive_unchanged(build, network):
    weights = {name: torch.randn_like(value) for name, value in network().state_dict().items()}
    built = build(weights).state_dict()
    assert built.keys() == weights.keys()
    assert all(torch.equal(built[name], value) for name, value in weights.items())


def test_weights_that_do_not_fit_are_named():
    network = Generator(**generator_options(G))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weights = {name: torch.zeros_like(value) for name, value in before.items()}
    del weights["mapping.w_avg"]
    weights["mapping.fc9.weight"] = torch.zeros(1)
    weights["synthesis.b8.torgb.bias"] = torch.zeros(7)
    with pytest.raises(ValueError) as caught:
        load_exactly(network, weights)
    assert str(caught.value) == (
        "the weights do not fit the generator: the weights lack mapping.w_avg; "
        "the network has no mapping.fc9.weight; of another shape: synthesis.b8.torgb.bias [7] instead of [3]"
    )
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_long_list_of_names_is_cut():
    with pytest.raises(ValueError, match=r"the weights lack (\S+ ){4}and \d+ more$"):
        build_generator(G, {})
