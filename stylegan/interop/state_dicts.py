"""State dicts without options: what the shapes of the weights say about the network that they are of.

Names are those of the public implementation. What no shape shows is taken as its programs have it by default: leaky
ReLU, a learning rate multiplier of 0.01, no clamp, and groups of 4 in the minibatch standard deviation.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from stylegan.interop.opcodes import PickleError, shown
from stylegan.interop.pickle_globals import Attributes, TensorData
from stylegan.interop.stored_network import StoredNetwork, tensor_of

# Where files of other programs keep the state dicts, and which of the networks it is.
_PLACES = {
    "G_ema": ("G_ema", "g_ema", "generator_ema", "ema"),
    "G": ("G", "g", "generator"),
    "D": ("D", "d", "discriminator"),
}
_WRAPPERS = ("state_dict", "model", "params_ema", "params")
_MAX_WEIGHTS = 10_000
_MAX_NAME = 200
_BLOCK = re.compile(r"(?:synthesis\.)?b(\d{1,4})\.")


def networks_of_state_dicts(value: dict) -> dict[str, StoredNetwork]:
    """The networks of a state dict, or of a dictionary of such.

    Raises: PickleError where there is none of a StyleGAN2 network.
    """
    for wrapper in _WRAPPERS:
        if type(value.get(wrapper)) is dict:
            value = value[wrapper]
    found = {}
    for network, names in _PLACES.items():
        for name in names:
            if network not in found and (weights := _state_dict(value.get(name))):
                found[network] = _network(weights)
    if found:
        return {name: network for name, network in found.items() if network.kind == _kind_of_place(name)}
    if weights := _state_dict(value):
        network = _network(weights)
        return {"G_ema" if network.kind == "generator" else "D": network}
    names = ", ".join(shown(name, 20) for name in list(value)[:4])
    raise PickleError(f"it holds no networks under a known name (it has {names or 'nothing'})")


def _kind_of_place(name: str) -> str:
    return "discriminator" if name == "D" else "generator"


def _state_dict(value: object) -> dict[str, Tensor]:
    """A table of tensors alone; {} for anything else."""
    if type(value) is Attributes:
        value = value.values
    if type(value) is not dict or not 0 < len(value) <= _MAX_WEIGHTS:
        return {}
    if not all(type(name) is str and len(name) <= _MAX_NAME for name in value):
        return {}
    if not all(type(tensor) is TensorData for tensor in value.values()):
        return {}
    return {name: tensor_of(tensor) for name, tensor in value.items()}


def _network(weights: dict[str, Tensor]) -> StoredNetwork:
    if "synthesis.b4.const" in weights:
        return StoredNetwork("generator", _generator_options(weights), weights)
    if "b4.out.weight" in weights:
        return StoredNetwork("discriminator", _discriminator_options(weights), weights)
    first = shown(next(iter(weights)))
    raise PickleError(
        f"its weights are not of a StyleGAN2 network in the public names (the first is {first})"
    )


def _levels(weights: Mapping[str, Tensor]) -> list[int]:
    return sorted({int(match[1]) for name in weights if (match := _BLOCK.match(name))})


def _shape(weights: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in weights or weights[name].ndim != dimensions:
        raise PickleError(f"its weights lack {name}, or have it in another shape")
    return tuple(weights[name].shape)


def _channels(widths: Mapping[int, int]) -> dict[str, int]:
    """channel_base and channel_max with which min(base / level, max) are these widths of the levels."""
    # Of the bases with which this is so, the smallest.
    base = max(level * width for level, width in widths.items())
    return {"channel_base": base, "channel_max": max(widths.values())}


def _mapping_options(weights: Mapping[str, Tensor]) -> tuple[dict[str, object], int, int, int]:
    """Options of the mapping network, and the widths of its latent, its label and its result."""
    layers = 0
    while f"mapping.fc{layers}.weight" in weights:
        layers += 1
    embed, c_dim = _shape(weights, "mapping.embed.weight", 2) if "mapping.embed.weight" in weights else (0, 0)
    features, width = _shape(weights, "mapping.fc0.weight", 2)
    result = _shape(weights, f"mapping.fc{layers - 1}.weight", 2)[0]
    options: dict[str, object] = {"num_layers": layers, "layer_features": features if layers > 1 else None}
    return options | {"embed_features": embed or None}, width - embed, c_dim, result


def _generator_options(weights: Mapping[str, Tensor]) -> dict[str, object]:
    levels = _levels(weights)
    widths = {level: _shape(weights, f"synthesis.b{level}.conv1.weight", 4)[0] for level in levels}
    mapping, z_dim, c_dim, w_dim = _mapping_options(weights)
    highest = f"synthesis.b{levels[-1]}"
    architecture = "resnet" if f"{highest}.skip.weight" in weights else "orig"
    if "synthesis.b4.torgb.weight" in weights:
        architecture = "skip"
    synthesis = {
        **_channels(widths),
        "architecture": architecture,
        "use_noise": f"{highest}.conv1.noise_strength" in weights,
    }
    return {
        "z_dim": z_dim,
        "c_dim": c_dim,
        "w_dim": w_dim,
        "img_resolution": levels[-1],
        "img_channels": _shape(weights, f"{highest}.torgb.weight", 4)[0],
        "mapping_kwargs": mapping,
        "synthesis_kwargs": synthesis,
    }


def _discriminator_options(weights: Mapping[str, Tensor]) -> dict[str, object]:
    levels = _levels(weights)
    lowest, above = _shape(weights, "b4.conv.weight", 4)[:2]
    widths = {level: _shape(weights, f"b{level}.conv0.weight", 4)[0] for level in levels if level > 4}
    highest = f"b{levels[-1]}"
    architecture = "resnet" if f"{highest}.skip.weight" in weights else "orig"
    if "b4.fromrgb.weight" in weights:
        architecture = "skip"
    options: dict[str, object] = {
        **_channels(widths | {4: lowest}),
        "c_dim": 0,
        "img_resolution": levels[-1],
        "img_channels": _shape(weights, f"{highest}.fromrgb.weight", 4)[1],
        "architecture": architecture,
        "epilogue_kwargs": {"mbstd_num_channels": above - lowest},
    }
    if "mapping.fc0.weight" in weights:
        mapping, _, c_dim, cmap_dim = _mapping_options(weights)
        options |= {"c_dim": c_dim, "cmap_dim": cmap_dim, "mapping_kwargs": mapping}
    return options
