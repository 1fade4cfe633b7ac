"""Options of a network from the shapes of its weights, for bare state dicts with the public names.

What shapes do not tell has the published value (`ASSUMED`).
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from stylegan.interop.stored import StoredNetwork
from stylegan.ops import setup_filter

# Our constructors' defaults, which are the published ones, in words for the facts of a file.
ASSUMED = (
    "conv_clamp 256, mapping_lr_multiplier 0.01, activation lrelu, mbstd_group 4: the weights do not say"
)
_DEFAULT_TAPS = (1.0, 3.0, 3.0, 1.0)


def is_generator(weights: Mapping[str, Tensor]) -> bool:
    """Whether names are those of a generator."""
    return "synthesis.b4.const" in weights and "mapping.fc0.weight" in weights


def is_discriminator(weights: Mapping[str, Tensor]) -> bool:
    """Whether names are those of a discriminator."""
    return "b4.out.weight" in weights and "b4.conv.weight" in weights


def stored(weights: Mapping[str, Tensor]) -> StoredNetwork:
    """The network that a state dict is of, with options of ours.

    Raises: ValueError where it is of none, or of one whose shapes contradict each other.
    """
    try:
        if is_generator(weights):
            return StoredNetwork(_generator_options(weights), dict(weights))
        if is_discriminator(weights):
            return StoredNetwork(_discriminator_options(weights), dict(weights))
    except (KeyError, IndexError) as error:
        raise ValueError(f"its state dict is incomplete: it lacks {error}") from error
    except TypeError as error:  # the length of a single number
        raise ValueError("its tensors' shapes are those of no network") from error
    names = ", ".join(list(weights)[:4])
    raise ValueError(
        f"its tensors have the names of no StyleGAN2 network that is known here: {names}, ...; known are those of the"
        " public implementation (synthesis.b4.const) and of rosinality's (conv1.conv.weight)"
    )


def _generator_options(weights: Mapping[str, Tensor]) -> dict[str, object]:
    levels = _levels(weights, prefix="synthesis.")
    channels = {level: len(weights[f"synthesis.b{level}.conv1.bias"]) for level in levels}
    height, width = weights["synthesis.b4.const"].shape[1:]
    doublings = len(levels) - 1
    top = f"synthesis.b{levels[-1]}"
    with_rgb = [level for level in levels if f"synthesis.b{level}.torgb.weight" in weights]
    if len(with_rgb) > 1:
        architecture = "skip"
    else:
        architecture = "resnet" if f"{top}.skip.weight" in weights else "orig"
    first = weights["mapping.fc0.weight"]
    embedded = _width(weights, "mapping.embed.weight", 0)
    return {
        "resolution": [height << doublings, width << doublings],
        "channels": len(weights[f"{top}.torgb.bias"]),
        "z_dim": first.shape[1] - embedded,
        "w_dim": weights[f"{top}.torgb.affine.weight"].shape[1],
        **_channel_options(channels),
        "architecture": architecture,
        "resample_taps": _taps(weights.get("synthesis.b4.resample_filter")),
        "use_noise": "synthesis.b4.conv1.noise_strength" in weights,
        **_mapping_options(weights),
    }


def _discriminator_options(weights: Mapping[str, Tensor]) -> dict[str, object]:
    levels = _levels(weights)
    channels = {level: len(weights[f"b{level}.conv0.bias"]) for level in levels[1:]}
    channels[4] = len(weights["b4.conv.bias"])
    top = f"b{levels[-1]}"
    if "b4.fromrgb.weight" in weights:
        architecture = "skip"
    else:
        architecture = "resnet" if f"{top}.skip.weight" in weights else "orig"
    pixels = weights["b4.fc.weight"].shape[1] // channels[4]
    side = round(pixels**0.5)
    if side * side != pixels:
        raise ValueError(f"the height and width of a discriminator of {pixels} lowest pixels are unknown")
    embedded = {"cmap_dim": len(weights["b4.out.weight"])} if "mapping.embed.weight" in weights else {}
    return {
        "resolution": side << (len(levels) - 1),
        "channels": weights[f"{top}.fromrgb.weight"].shape[1],
        **_channel_options(channels),
        "architecture": architecture,
        "mbstd_channels": weights["b4.conv.weight"].shape[1] - channels[4],
        "resample_taps": _taps(weights.get(f"{top}.resample_filter")),
        **(_mapping_options(weights) if embedded else {}),
        **embedded,
    }


def _levels(weights: Mapping[str, Tensor], prefix: str = "") -> list[int]:
    """Of the blocks b4, b8, ...; raises ValueError where one is left out."""
    found = re.compile(re.escape(prefix) + r"b(\d{1,5})\.")
    levels = sorted({int(match[1]) for name in weights if (match := found.match(name))})
    if levels != [4 << index for index in range(len(levels))]:
        raise ValueError(f"its blocks are {levels}, and not 4, 8, 16, ...")
    if len(levels) < 2:
        raise ValueError("it has one block alone, and a network has two or more")
    return levels


def _channel_options(channels: Mapping[int, int]) -> dict[str, int]:
    """The base and maximum of which every block has min(base // level, max) channels."""
    most = max(channels.values())
    at_least = max(count * level for level, count in channels.items())
    below = min(
        ((count + 1) * level for level, count in channels.items() if count < most), default=at_least + 1
    )
    if at_least >= below:
        raise ValueError(
            f"the channels of its blocks, {dict(sorted(channels.items()))}, follow no channel_base and channel_max"
        )
    return {"channel_base": at_least, "channel_max": most}


def _mapping_options(weights: Mapping[str, Tensor]) -> dict[str, object]:
    layers = 0
    while f"mapping.fc{layers}.weight" in weights:
        layers += 1
    return {
        "c_dim": weights["mapping.embed.weight"].shape[1] if "mapping.embed.weight" in weights else 0,
        "mapping_layers": layers,
        "mapping_features": len(weights["mapping.fc0.weight"]) if layers > 1 else None,
        "embed_features": _width(weights, "mapping.embed.weight", None),
    }


def _width(weights: Mapping[str, Tensor], name: str, default: int | None) -> int | None:
    return len(weights[name]) if name in weights else default


def _taps(resample_filter: Tensor | None) -> list[float]:
    """The taps of a filter: the sum over one axis of an outer product of taps that sum to 1."""
    if resample_filter is None or torch.equal(resample_filter.float(), setup_filter(_DEFAULT_TAPS)):
        return list(_DEFAULT_TAPS)
    return (resample_filter.sum(0) if resample_filter.ndim == 2 else resample_filter).tolist()
