"""TensorFlow networks: written by the rules backwards, read, and compared; options and variables that do not fit."""

import re

import numpy as np
import pytest
import torch

from stylegan import load_discriminator, load_generator
from stylegan.interop.nvidia_pickle import read_pickle
from stylegan.networks import Discriminator, Generator
from tests.interop.pickle_files import legacy_network, pickled

SIZE = dict(resolution=16, channels=2, c_dim=3)
G = dict(
    **SIZE,
    z_dim=4,
    w_dim=5,
    mapping_layers=2,
    mapping_features=6,
    embed_features=7,
    channel_base=64,
    channel_max=6,
)
D = dict(
    **SIZE, mapping_layers=2, mapping_features=4, embed_features=4, cmap_dim=4, channel_base=64, channel_max=6
)
D |= dict(mapping_lr_multiplier=0.1, mbstd_group=2, conv_clamp=None)
STATIC = dict(resolution=16, num_channels=2, label_size=3, fmap_base=32, fmap_max=6, mapping_layers=2)
STATIC_G = dict(**STATIC, latent_size=4, dlatent_size=5, mapping_fmaps=6, label_fmaps=7, truncation_psi=0.5)
STATIC_D = dict(**STATIC, mapping_fmaps=4, mbstd_group_size=2, structure="auto")


def filled(network):
    random = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if not name.endswith("resample_filter"):
            value.copy_(torch.randn(value.shape, generator=random))
    return network


def g_variables(network, architecture):
    """The variables of a generator: path -> array."""
    variables, layer = {}, 0
    for name, value in network.state_dict().items():
        array = value.numpy()
        if name.endswith("resample_filter"):
            continue
        if found := re.fullmatch(r"synthesis\.b(\d+)\.(.+)", name):
            level, rest = int(found[1]), found[2]
            layers = {
                "conv0": "Conv0_up",
                "conv1": "Conv" if level == 4 else "Conv1",
                "torgb": "ToRGB",
                "skip": "Skip",
            }
            if rest == "const":
                variables["synthesis/4x4/Const/const"] = array[None]
                continue
            ours, value_name = rest.split(".", 1)
            if value_name == "noise_const":
                layer = 2 * (level.bit_length() - 3) - 1 + (ours == "conv1") if level > 4 else 0
                variables[f"synthesis/noise{layer}"] = array[None, None]
                continue
            path = f"synthesis/{level}x{level}/{layers[ours]}"
            if ours == "torgb" and architecture == "orig":
                path = "synthesis/ToRGB_lod0"
            if value_name == "weight":
                array = array[:, :, ::-1, ::-1] if ours == "conv0" else array
                array = array.transpose(2, 3, 1, 0)
            if value_name == "affine.weight":
                array = array.T
            if value_name == "affine.bias":
                array = (value - 1).numpy()
            value_name = {"affine.weight": "mod_weight", "affine.bias": "mod_bias"}.get(
                value_name, value_name
            )
            variables[f"{path}/{value_name}"] = np.float32(array) if array.ndim == 0 else array
        elif name == "mapping.w_avg":
            variables["dlatent_avg"] = array
        else:
            path = re.sub(r"fc(\d+)", r"Dense\1", name).replace("embed", "LabelEmbed").replace(".", "/")
            variables[path] = array.T
    if architecture == "orig":
        variables["lod"] = np.float32(0)
        variables["synthesis/ToRGB_lod1/weight"] = np.zeros((1, 1, 6, 2), np.float32)
    return variables


def d_variables(network):
    paths = {"conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip", "conv": "Conv", "fc": "Dense0"}
    variables = {}
    for name, value in network.state_dict().items():
        if name.endswith("resample_filter"):
            continue
        array = value.numpy()
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        parts = name.split(".")
        if parts[0] == "mapping":
            variables[
                re.sub(r"fc(\d)", r"Mapping\1", parts[1]).replace("embed", "LabelEmbed") + f"/{parts[2]}"
            ] = array
        elif parts[1] == "out":
            variables[f"Output/{parts[2]}"] = array
        else:
            level = parts[0][1:]
            variables[f"{level}x{level}/{({**paths, 'fromrgb': 'FromRGB'})[parts[1]]}/{parts[2]}"] = array
    return variables


def written(path, g, d, *, static_g=STATIC_G, static_d=STATIC_D, **options):
    networks = (legacy_network(static_g, g, **options), legacy_network(static_d, d, **options))
    path.write_bytes(pickled((*networks, networks[0])))
    return path


@pytest.fixture
def parts():
    return filled(Generator(**G, conv_clamp=None)), filled(Discriminator(**D))


def assert_same(loaded, network):
    state = network.state_dict()
    assert loaded.options == network.options and loaded.state_dict().keys() == state.keys()
    for name, value in loaded.state_dict().items():
        # 1 is taken off and added again.
        assert torch.allclose(value, state[name], rtol=0, atol=1e-6 if "affine.bias" in name else 0), name


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_what_was_written_backwards_is_read(tmp_path, parts, architecture):
    generator = filled(Generator(**G, conv_clamp=None, architecture=architecture))
    # The options of a network that grows do not tell its architecture.
    static = STATIC_G if architecture == "orig" else {**STATIC_G, "architecture": architecture}
    path = written(
        tmp_path / "legacy.pkl", g_variables(generator, architecture), d_variables(parts[1]), static_g=static
    )
    assert_same(load_generator(path), generator)
    assert_same(load_discriminator(path), parts[1])
    content = read_pickle(path)
    assert content.facts == {"layout": "TensorFlow"}
    assert list(content.networks) == ["generator_ema", "generator", "discriminator"]


@pytest.mark.parametrize(
    ("change", "builder", "group", "maps"),
    [
        ({}, "training.networks.D_main", None, 1),
        ({}, "training.networks_stylegan2.D_stylegan2", 4, 1),
        ({"mbstd_group_size": 8}, "training.networks_stylegan2.D_stylegan2", 8, 1),
    ],
)
def test_groups_of_the_minibatch_deviation(tmp_path, parts, change, builder, group, maps):
    static = {key: value for key, value in STATIC_D.items() if key != "mbstd_group_size"} | change
    path = written(
        tmp_path / "a.pkl",
        g_variables(parts[0], "skip"),
        d_variables(parts[1]),
        static_d=static,
        builder=builder,
    )
    options = load_discriminator(path).options
    assert (options["mbstd_group"], options["mbstd_channels"]) == (group, maps)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("option", "the option fused_modconv, which is not known here"),
        ("left over", "the variable synthesis/LabelConcat/weight, which StyleGAN2 has no place for"),
        ("lacking", "the weights lack mapping.w_avg"),
        ("shape", "of another shape: mapping.fc0.weight"),
        ("size", "resolution"),
        ("width", "fmap_base"),
        ("twice", "has no place for"),
        ("two networks", "2 TensorFlow networks"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, parts, fault, words):
    g, d, static = g_variables(parts[0], "skip"), d_variables(parts[1]), dict(STATIC_G)
    match fault:
        case "option":
            static["fused_modconv"] = True
        case "left over":
            g["synthesis/LabelConcat/weight"] = np.zeros(3, np.float32)
        case "lacking":
            del g["dlatent_avg"]
        case "shape":
            g["mapping/Dense0/weight"] = np.zeros((3, 3), np.float32)
        case "size":
            static["resolution"] = 1 << 40
        case "width":
            static["fmap_base"] = "wide"
        case "twice":
            g["synthesis/ToRGB_lod0/weight"] = g["synthesis/16x16/ToRGB/weight"]
    path = written(tmp_path / "a.pkl", g, d, static_g=static)
    if fault == "two networks":
        path.write_bytes(pickled((legacy_network(static, g), legacy_network(STATIC_D, d))))
    with pytest.raises(ValueError, match=words) as refused:
        load_generator(path)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)
