"""Networks of NVIDIA's TensorFlow programs (StyleGAN2, StyleGAN2-ADA): their options and variables in the public names.

A network there has options by keyword (`static_kwargs`), variables by path, and parts with variables of their own
("components"). The correspondence was found by comparing numbers of files with those of the networks made of them:
- weights of convolutions are [kH,kW,in,out], and those that double the sides are turned by 180 degrees,
- weights of fully connected layers are [in,out],
- the bias of the modulation is stored without the 1 that is added to it.
"""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from stylegan.interop.fitting import check_values
from stylegan.interop.nvidia_names import discriminator_options, generator_options
from stylegan.interop.opcodes import PickleError, shown
from stylegan.interop.pickle_globals import ArrayData, TensorFlowNetwork
from stylegan.interop.stored import Kind, StoredNetwork
from stylegan.interop.stored_values import plain_options, tensor_of
from stylegan.networks import Discriminator, Generator
from stylegan.sizes import LARGEST_PX

# 4 is StyleGAN2's, 5 that of StyleGAN2-ADA.
_OLDEST_VERSION, _NEWEST_VERSION = 4, 5
_MAX_VARIABLES = 10_000

# Their option -> (group of the public options, "" = top level; name there; their default).
_SHARED = {
    "label_size": ("", "c_dim", 0),
    "resolution": ("", "img_resolution", 1024),
    "num_channels": ("", "img_channels", 3),
}
_GENERATOR = {
    **_SHARED,
    "latent_size": ("", "z_dim", 512),
    "dlatent_size": ("", "w_dim", 512),
    "mapping_layers": ("mapping_kwargs", "num_layers", 8),
    "label_fmaps": ("mapping_kwargs", "embed_features", None),
    "mapping_fmaps": ("mapping_kwargs", "layer_features", 512),
    "mapping_nonlinearity": ("mapping_kwargs", "activation", "lrelu"),
    "mapping_lrmul": ("mapping_kwargs", "lr_multiplier", 0.01),
    "dlatent_avg_beta": ("mapping_kwargs", "w_avg_beta", 0.995),
    "fmap_base": ("synthesis_kwargs", "channel_base", 16384),
    "fmap_max": ("synthesis_kwargs", "channel_max", 512),
    "num_fp16_res": ("synthesis_kwargs", "num_fp16_res", 0),
    "conv_clamp": ("synthesis_kwargs", "conv_clamp", None),
    "architecture": ("synthesis_kwargs", "architecture", "skip"),
    "resample_kernel": ("synthesis_kwargs", "resample_filter", [1, 3, 3, 1]),
    "use_noise": ("synthesis_kwargs", "use_noise", True),
    "nonlinearity": ("synthesis_kwargs", "activation", "lrelu"),
}
_DISCRIMINATOR = {
    **_SHARED,
    "fmap_base": ("", "channel_base", 16384),
    "fmap_max": ("", "channel_max", 512),
    "num_fp16_res": ("", "num_fp16_res", 0),
    "conv_clamp": ("", "conv_clamp", None),
    "architecture": ("", "architecture", "resnet"),
    "mapping_layers": ("mapping_kwargs", "num_layers", 0),
    "mapping_fmaps": ("mapping_kwargs", "layer_features", None),
    "mapping_lrmul": ("mapping_kwargs", "lr_multiplier", 0.1),
    "resample_kernel": ("block_kwargs", "resample_filter", [1, 3, 3, 1]),
    "nonlinearity": ("block_kwargs", "activation", "lrelu"),
    "freeze_layers": ("block_kwargs", "freeze_layers", 0),
    "mbstd_group_size": ("epilogue_kwargs", "mbstd_group_size", None),
    "mbstd_num_features": ("epilogue_kwargs", "mbstd_num_channels", 1),
}
# How images were drawn while training, not what the network is.
_OF_NO_MEANING = {"truncation_psi", "truncation_cutoff", "style_mixing_prob", "structure"}

# Path of theirs -> (kind of network, name of ours). `{block}` and `{fc}` are the block and the layer of the path.
_RULES = [
    ("generator", re.compile(r"(dlatent_avg)()"), "mapping.w_avg"),
    ("generator", re.compile(r"mapping/LabelEmbed/(weight|bias)()"), "mapping.embed.{0}"),
    ("generator", re.compile(r"mapping/Dense(\d{1,3})/(weight|bias)"), "mapping.fc{0}.{1}"),
    ("generator", re.compile(r"synthesis/4x4/Const/(const)()"), "synthesis.b4.const"),
    ("discriminator", re.compile(r"LabelEmbed/(weight|bias)()"), "mapping.embed.{0}"),
    ("discriminator", re.compile(r"Mapping(\d{1,3})/(weight|bias)"), "mapping.fc{0}.{1}"),
    ("discriminator", re.compile(r"Output/(weight|bias)()"), "b4.out.{0}"),
]
_NOISE = re.compile(r"synthesis/noise(\d{1,2})")
_LAYER = re.compile(r"(synthesis/)?(\d{1,5})x\2/(\w{1,20})/(weight|bias|mod_weight|mod_bias|noise_strength)")
# Layers of progressive growing, of which that of the full resolution stays.
_LOD = re.compile(r"(synthesis/)?(ToRGB|FromRGB)_lod(\d{1,2})/(weight|bias|mod_weight|mod_bias)")
_LAYERS = {
    "generator": {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Skip": "skip"},
    "discriminator": {
        **{"FromRGB": "fromrgb", "Conv0": "conv0", "Conv1_down": "conv1", "Skip": "skip"},
        **{"Conv": "conv", "Dense0": "fc"},
    },
}
_VALUES = {"mod_weight": "affine.weight", "mod_bias": "affine.bias"}


def networks_of_tuple(networks: tuple[TensorFlowNetwork, ...]) -> dict[Kind, StoredNetwork]:
    """The tuple (G, D, G_ema) of a `legacy_*.pkl`. Raises: PickleError."""
    if len(networks) != 3:
        raise PickleError(f"it holds {len(networks)} TensorFlow networks, and not G, D and G_ema")
    g, d, average = networks
    return {
        "generator_ema": _converted(average, "generator"),
        "generator": _converted(g, "generator"),
        "discriminator": _converted(d, "discriminator"),
    }


def _converted(network: TensorFlowNetwork, kind: str) -> StoredNetwork:
    _check_version(network, kind)
    static = plain_options(network.fields.get("static_kwargs"), whose=kind)
    options = _options_of(static, kind, builder=network.fields.get("build_func_name"))
    variables = dict(_variables_of(network))
    if any(map(_LOD.fullmatch, variables)):
        # Networks that grow have the layers of "orig", whatever their options say.
        place = options if kind == "discriminator" else options["synthesis_kwargs"]
        place["architecture"] = "orig"
    weights = _weights_of(variables, options, kind)
    return StoredNetwork(options, weights, public_options=True)


def _check_version(network: TensorFlowNetwork, kind: str) -> None:
    version = network.fields.get("version")
    builder = network.fields.get("build_func_name")
    if type(builder) is str and "stylegan" in builder and "stylegan2" not in builder:
        raise PickleError("it holds a StyleGAN 1 network, which is another architecture; StyleGAN2 is needed")
    if type(version) is not int or not _OLDEST_VERSION <= version <= _NEWEST_VERSION:
        of = f"{version}" if type(version) is int else "unknown"
        raise PickleError(
            f"its {kind} has the format version {of} of NVIDIA's TensorFlow programs; StyleGAN2's are"
            f" {_OLDEST_VERSION} and {_NEWEST_VERSION}, and 3 and less are StyleGAN 1 and Progressive GAN"
        )


def _options_of(static: Mapping[str, object], kind: str, *, builder: object) -> dict[str, object]:
    table = _GENERATOR if kind == "generator" else _DISCRIMINATOR
    if unknown := [name for name in static if name not in table and name not in _OF_NO_MEANING]:
        raise PickleError(f"its {kind} has the option {shown(unknown[0])}, which is not known here")
    options: dict[str, object] = {}
    for name, (group, ours, default) in table.items():
        place = options.setdefault(group, {}) if group else options
        place[ours] = static.get(name, default)
    channels = options if kind == "discriminator" else options["synthesis_kwargs"]
    base = channels["channel_base"]
    if type(base) is not int:
        raise PickleError(f"its {kind} has the option fmap_base, which is {shown(base)}")
    # Their count is of maps at half the side.
    channels["channel_base"] = 2 * base
    if kind == "generator":
        return options
    width = static.get("mapping_fmaps")
    options["mapping_kwargs"] |= {"embed_features": width, "activation": "lrelu"}
    options["cmap_dim"] = width
    head = options["epilogue_kwargs"]
    head["activation"] = static.get("nonlinearity", "lrelu")
    if "mbstd_group_size" not in static and type(builder) is str and "networks_stylegan2" in builder:
        head["mbstd_group_size"] = (
            4  # the default of StyleGAN2's program; that of StyleGAN2-ADA's is the whole batch
        )
    if head["mbstd_group_size"] == 0:
        head |= {"mbstd_group_size": None, "mbstd_num_channels": 0}
    return options


def _variables_of(network: TensorFlowNetwork) -> Iterator[tuple[str, Tensor]]:
    """The variables of a network and of its parts, which have the part's name before theirs."""
    parts = network.fields.get("components", {})
    if type(parts) is not dict or len(parts) > 10:
        raise PickleError("it has a TensorFlow network in an unknown form")
    count = 0
    for prefix, part in [("", network), *parts.items()]:
        variables = part.fields.get("variables", []) if type(part) is TensorFlowNetwork else None
        if type(variables) is not list or type(prefix) is not str:
            raise PickleError("it has a TensorFlow network in an unknown form")
        for entry in variables:
            count += 1
            if count > _MAX_VARIABLES or type(entry) not in (tuple, list) or len(entry) != 2:
                raise PickleError("it has TensorFlow variables in an unknown form")
            name, value = entry
            if type(name) is not str or type(value) not in (ArrayData, float, int):
                raise PickleError("it has TensorFlow variables in an unknown form")
            # A variable of one number is pickled as such.
            tensor = (
                tensor_of(value) if type(value) is ArrayData else torch.tensor(value, dtype=torch.float32)
            )
            yield f"{prefix}/{name}" if prefix else name, tensor


def _weights_of(
    variables: Mapping[str, Tensor], options: Mapping[str, object], kind: str
) -> dict[str, Tensor]:
    weights = _filters(options, kind)
    for theirs, value in variables.items():
        if theirs == "lod" or ((grown := _LOD.fullmatch(theirs)) and int(grown[3]) > 0):
            continue
        name = _name_of(theirs, kind, options["img_resolution"])
        if name is None or name in weights:
            raise PickleError(
                f"its {kind} has the variable {shown(theirs)}, which StyleGAN2 has no place for"
            )
        weights[name] = _turned(value, theirs)
    return weights


def _filters(options: Mapping[str, object], kind: str) -> dict[str, Tensor]:
    """The filters, which are no variables there: of a network of the same layers, as narrow as can be."""
    if kind == "generator":
        ours, narrow = generator_options(options), {"z_dim": 1, "w_dim": 1}
    else:
        ours, narrow = discriminator_options(options), {"cmap_dim": None, "mbstd_channels": 0}
    check_values(ours, kind=kind)
    widths = {"channel_base": LARGEST_PX, "channel_max": 1, "mapping_layers": 1, "c_dim": 0}
    inner = {"mapping_features": None, "embed_features": None}
    with torch.random.fork_rng(devices=[]):
        network = (Generator if kind == "generator" else Discriminator)(**ours | narrow | widths | inner)
    return {name: value for name, value in network.state_dict().items() if name.endswith("resample_filter")}


def _name_of(theirs: str, kind: str, resolution: int) -> str | None:
    """Our name of a variable; None for one that has none."""
    for of, path, ours in _RULES:
        if of == kind and (found := path.fullmatch(theirs)):
            return ours.format(*found.groups())
    before = "synthesis." if kind == "generator" else ""
    if kind == "generator" and (found := _NOISE.fullmatch(theirs)):
        # One layer at the lowest resolution, then two at each.
        layer = int(found[1])
        return f"synthesis.b{4 << (layer + 1) // 2}.conv{0 if layer % 2 else 1}.noise_const"
    if found := _LAYER.fullmatch(theirs):
        level, layer, value = int(found[2]), _LAYERS[kind].get(found[3]), found[4]
    elif found := _LOD.fullmatch(theirs):
        level, layer, value = resolution, _LAYERS[kind].get(found[2]), found[4]
    else:
        return None
    if layer is None or (found[1] is not None) != (kind == "generator"):
        return None
    return f"{before}b{level}.{layer}.{_VALUES.get(value, value)}"


def _turned(value: Tensor, theirs: str) -> Tensor:
    """The numbers of a variable as a layer of ours has them."""
    if theirs.endswith("/mod_bias"):
        return value + 1
    if theirs.endswith("weight"):
        if value.ndim == 4:
            value = value.permute(3, 2, 0, 1)
            return (value.flip(2, 3) if "/Conv0_up/" in theirs else value).contiguous()
        return value.T.contiguous() if value.ndim == 2 else value
    if theirs.endswith("/const") or _NOISE.fullmatch(theirs):
        return value.reshape(value.shape[-3:] if theirs.endswith("/const") else value.shape[-2:])
    return value
