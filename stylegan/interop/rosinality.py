"""Files of rosinality/stylegan2-pytorch, which programs of latent editing read: a `.pt` of `torch.save`.

At the top `g`, `g_ema` and `d` are state dicts (`stylegan.interop.rosinality_layout`), and `latent_avg` [W] is the mean
w of `g_ema`. What the layout lacks (limit of activations, group of the minibatch standard deviation, decay of the mean
w, kimg, ...) is kept under a key of our own, which those programs pass over, so that all comes back as it was.

Its networks are square, RGB, without labels, from skip generators and resnet discriminators, with the channels of
`channel_base` 16384 or 32768; all else is refused by name.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from stylegan.interop.fitting import check_values, with_defaults
from stylegan.interop.rosinality_layout import (
    DRAWN_SEED,
    MEAN_LATENTS,
    TAPS,
    from_layout,
    is_discriminator,
    skeleton_of,
    to_layout,
)
from stylegan.interop.stored import Kind, StoredNetwork, StoredNetworks

# What a file has besides its networks.
_OURS = "stylegan_lightning"
BESIDE_NETWORKS = ("latent_avg", _OURS)
KEYS: Mapping[Kind, str] = {"generator_ema": "g_ema", "generator": "g", "discriminator": "d"}
_CHANNEL_MAX = 512
_CHANNEL_BASES = (32768, 16384)
_LARGEST_PX = 1024

# Our option -> the one value that the layout has.
_OF_GENERATOR = {
    "channels": 3,
    "c_dim": 0,
    "architecture": "skip",
    "mapping_activation": "lrelu",
    "mapping_lr_multiplier": 0.01,
    "resample_taps": TAPS,
    "activation": "lrelu",
    "use_noise": True,
}
_OF_DISCRIMINATOR = {
    "channels": 3,
    "c_dim": 0,
    "architecture": "resnet",
    "mbstd_channels": 1,
    "resample_taps": TAPS,
    "activation": "lrelu",
    "head_activation": "lrelu",
}


def content_of(stored: StoredNetworks) -> dict[str, object]:
    """What `torch.save` writes of networks with options of ours.

    Raises: ValueError that names each option which the layout does not have.
    """
    content: dict[str, object] = {}
    kept: dict[str, object] = {"facts": dict(stored.facts)}
    for kind, network in stored.networks.items():
        _refuse_other_options(kind, network)
        content[KEYS[kind]] = to_layout(network)
        own = {"options": dict(network.options)}
        if network.is_generator:
            own["w_avg"] = network.weights["mapping.w_avg"].detach().cpu().clone()
        kept[kind] = own
    drawn_from = next((kept[kind] for kind in ("generator_ema", "generator") if kind in kept), None)
    if drawn_from is not None:
        content["latent_avg"] = drawn_from["w_avg"]
    return {**content, _OURS: kept}


def lost_options(network: StoredNetwork) -> list[str]:
    """What other programs that read the file do otherwise than the network, in words."""
    lost = []
    if (clamp := network.options.get("conv_clamp")) is not None:
        lost.append(f"conv_clamp {clamp}: its programs do not limit activations")
    group = network.options.get("mbstd_group", 4)
    if not network.is_generator and group != 4:
        lost.append(f"mbstd_group {group}: its programs compare 4 images")
    return lost


def read(source: str, named: Mapping[Kind, Mapping[str, Tensor]], content: Mapping) -> StoredNetworks:
    """The networks of a file.

    Args: named: state dicts by kind. content: all of the file.
    Raises: ValueError that names what cannot be taken over.
    """
    kept = content.get(_OURS)
    kept = kept if isinstance(kept, Mapping) else {}
    facts = kept.get("facts")
    facts = {str(k): v for k, v in facts.items() if isinstance(v, str)} if isinstance(facts, Mapping) else {}
    networks = {}
    for kind, weights in named.items():
        own = kept.get(kind)
        own = own if isinstance(own, Mapping) else {}
        options = own.get("options")
        if isinstance(options, Mapping):
            _check_kept(options, kind, weights)
            _refuse_other_options(kind, StoredNetwork(options, weights))
        else:
            options = _options_of(weights)
        w_avg = None
        if kind != "discriminator":
            w_avg = _mean_given(own.get("w_avg", content.get("latent_avg")), options["w_dim"])
            if w_avg is None:
                facts["w_avg"] = f"mean over {MEAN_LATENTS:,} latents of seed {DRAWN_SEED}, not of the file"
        networks[kind] = from_layout(weights, options, w_avg)
    return StoredNetworks(source, networks, facts)


def _check_kept(options: Mapping[str, object], kind: Kind, weights: Mapping[str, Tensor]) -> None:
    """Raises: ValueError for options that no network, or none of so few weights, has."""
    name = "discriminator" if kind == "discriminator" else "generator"
    complete = with_defaults(options, kind=name)
    check_values(complete, kind=name)
    if complete["mapping_layers"] > len(weights):
        layers = complete["mapping_layers"]
        raise ValueError(f"its {kind} has {len(weights)} tensors, too few for mapping_layers={layers}")


def _options_of(weights: Mapping[str, Tensor]) -> dict[str, object]:
    """Options of ours by the shapes; activations have no limit in this layout."""
    try:
        if is_discriminator(weights):
            top, blocks = weights["convs.0.0.weight"].shape[0], 0
            while f"convs.{blocks + 1}.conv1.0.weight" in weights:
                blocks += 1
            channels = {4 << blocks: top} | {
                4 << (blocks - index): len(weights[f"convs.{index}.conv2.2.bias"])
                for index in range(1, blocks + 1)
            }
            own: dict[str, object] = {"mbstd_group": 4}
        else:
            blocks = layers = 0
            while f"to_rgbs.{blocks}.conv.weight" in weights:
                blocks += 1
            while f"style.{layers + 1}.weight" in weights:
                layers += 1
            channels = {4: len(weights["conv1.activate.bias"].flatten())} | {
                8 << index: weights[f"convs.{2 * index}.conv.weight"].shape[1] for index in range(blocks)
            }
            width = weights["conv1.conv.modulation.weight"].shape[1]
            own = {"z_dim": width, "w_dim": width, "mapping_layers": layers}
    except (KeyError, IndexError) as error:
        raise ValueError(f"it is incomplete: it lacks {error}") from error
    except TypeError as error:  # the length of a single number
        raise ValueError("its tensors' shapes are those of no network") from error
    if not blocks:
        raise ValueError("it has one block alone, and a network has two or more")
    return {
        **own,
        "resolution": 4 << blocks,
        "channel_base": _base_of(channels),
        "channel_max": _CHANNEL_MAX,
        "conv_clamp": None,
    }


def _base_of(channels: Mapping[int, int]) -> int:
    """The `channel_base` of blocks' channels.  Raises: ValueError where it is neither of the two."""
    for base in _CHANNEL_BASES:
        if all(count == min(base // level, _CHANNEL_MAX) for level, count in channels.items()):
            return base
    raise ValueError(
        f"its blocks have {dict(sorted(channels.items()))} channels, and this layout has those of channel_base"
        f" {' or '.join(map(str, sorted(_CHANNEL_BASES)))} with channel_max {_CHANNEL_MAX}"
    )


def _refuse_other_options(kind: Kind, network: StoredNetwork) -> None:
    """Raises: ValueError that names each option whose value the layout does not have."""
    skeleton = skeleton_of(network.options)
    options, fixed = skeleton.options, _OF_GENERATOR if network.is_generator else _OF_DISCRIMINATOR
    faults = [
        f"{name}={options[name]} (it has {only})" for name, only in fixed.items() if options[name] != only
    ]
    size = options["resolution"]
    if not isinstance(size, int) or size & (size - 1) or not 8 <= size <= _LARGEST_PX:
        text = size if isinstance(size, int) else f"{size[0]}x{size[1]}"
        faults.append(f"resolution={text} (it has squares of 8, 16, ... {_LARGEST_PX} px)")
    if network.is_generator:
        if options["z_dim"] != options["w_dim"]:
            faults.append(f"z_dim={options['z_dim']} with w_dim={options['w_dim']} (it has equal ones)")
        if options["mapping_features"] not in (None, options["w_dim"]):
            faults.append(f"mapping_features={options['mapping_features']} (it has w_dim)")
    if not faults:
        levels = [4 << index for index in range((size // 4).bit_length())]
        base, most = options["channel_base"], options["channel_max"]
        try:
            _base_of({level: min(base // level, most) for level in levels})
        except ValueError:
            faults.append(
                f"channel_base={base} with channel_max={most} (it has"
                f" {' or '.join(map(str, sorted(_CHANNEL_BASES)))} with {_CHANNEL_MAX})"
            )
    if faults:
        raise ValueError(f"rosinality's layout has no {kind} with {', '.join(faults)}")


def _mean_given(value: object, width: int) -> Tensor | None:
    """The mean w [W] that a file has, also where it is repeated for every layer."""
    if not isinstance(value, Tensor):
        return None
    if value.numel() == 0 or value.numel() % width:
        raise ValueError(f"its latent_avg has the shape {list(value.shape)}, and w is {width} wide")
    rows = value.reshape(-1, width).to(torch.float32)
    if not torch.equal(rows, rows[:1].expand_as(rows)):
        raise ValueError("its latent_avg differs from layer to layer, and here all layers have one")
    return rows[0].clone()
