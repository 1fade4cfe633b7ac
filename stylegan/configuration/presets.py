"""What null means in a training's configuration: each value a preset stands for, and where it comes from.

Fixed numbers are read from `conf/preset/<name>.yaml`, those that all presets share from `conf/train.yaml`;
the formulas are here. Source: the public StyleGAN2-ADA implementation; Karras et al. 2020 (ADA)."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from omegaconf import OmegaConf

from stylegan.configuration.batches import effective_group
from stylegan.sizes import Size, parse_size

# Devices the papers' settings were made for. A micro-batch is what one of them worked on at a time.
REFERENCE_DEVICES = {"stylegan2": 8, "paper256": 8, "paper512": 8, "paper1024": 8, "cifar": 2}
# Null is a value of its own here, "none", and nothing is derived in its place.
NULL_IS_A_VALUE = frozenset({"ema.ramp_up", "generator.conv_clamp", "discriminator.conv_clamp"})
# What is right for one batch is not for another.
FOLLOW_THE_BATCH = ("loss.r1_gamma", "ema.half_life_kimg", "discriminator.mbstd_group")
_SECTIONS = ("generator", "discriminator", "loss", "optim", "ema")
# Set by interpolation or from the data, not by presets.
_WIRING = frozenset({"_target_", "resolution", "channels", "c_dim", "label_names"})
Settled = tuple[Any, str]  # value, origin


def names() -> list[str]:
    """The presets that are shipped."""
    files = resources.files("conf").joinpath("preset").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def keys() -> list[str]:
    """The dotted keys that presets stand for."""
    return list(_flat(_load("train.yaml")))


def derive(
    name: str,
    resolution: int | str | Sequence[int],
    batch: int | None,
    devices: int,
    *,
    rederive: bool = True,
) -> dict[str, Settled]:
    """Every value that preset `name` stands for.

    Args: resolution: px a side, or height and width, as in `parse_size`. batch: images an iteration; None = the
        preset's own. devices: how many. rederive: where the batch is another than the preset's own, R1 weight,
        half-life and minibatch-std group follow it; False = they stay what they are for the preset's own.
    Returns: {dotted config key: (value, origin)}; origin is `preset <name>`, `default`, `given`, or
        `formula <its numbers>`.
    Raises: ValueError for an unknown preset or values out of range.
    """
    size = parse_size(resolution)
    if devices < 1 or (batch is not None and batch < 1):
        raise ValueError(f"batch_size and devices must be at least 1, got {batch} and {devices}")
    if name not in names():
        raise ValueError(f"there is no preset {name!r}; there are {', '.join(names())}")
    fixed = _flat(_load(f"preset/{name}.yaml"))
    values = {key: (value, "default") for key, value in _flat(_load("train.yaml")).items()}
    values |= {
        key: (value, f"preset {name}")
        for key, value in fixed.items()
        if value is not None or key in NULL_IS_A_VALUE
    }

    if values["batch_size"][0] is None:
        values["batch_size"] = _auto_batch(max(size), devices)
    own = values["batch_size"][0]
    if batch is not None:
        values["batch_size"] = (batch, "given")
    batch = own if batch is None else batch

    formulas = _by_batch(size, batch if rederive else own, devices) | _by_resolution(max(size))
    if not rederive and batch != own:
        formulas |= {
            key: (value, f"{origin}, for the preset's own batch")
            for key, (value, origin) in formulas.items()
            if key in FOLLOW_THE_BATCH
        }
    formulas["micro_batch"] = _micro_batch(batch, own, devices, REFERENCE_DEVICES.get(name))
    open_keys = [key for key, (value, _) in values.items() if value is None and key not in NULL_IS_A_VALUE]
    values |= {key: formulas[key] for key in open_keys}
    if rederive and batch != own:
        kept = {key: fixed[key] for key in FOLLOW_THE_BATCH if fixed.get(key) is not None}
        values |= _scaled(kept, own, batch, devices)
    return values


def _auto_batch(side: int, devices: int) -> Settled:
    batch = max(min(devices * min(4096 // side, 32), 64), devices)
    return batch, f"formula max(min({devices}*min(4096//{side}, 32), 64), {devices})"


def _by_batch(size: Size, batch: int, devices: int) -> dict[str, Settled]:
    height, width = size
    return {
        "discriminator.mbstd_group": (
            min(max(1, batch // devices), 4),
            f"formula min({batch}//{devices}, 4)",
        ),
        "loss.r1_gamma": (0.0002 * (height * width) / batch, f"formula 0.0002*{height}*{width}/{batch}"),
        "ema.half_life_kimg": (batch * 10 / 32, f"formula {batch}*10/32"),
    }


def _micro_batch(batch: int, own: int, devices: int, reference_devices: int | None) -> Settled:
    """What a device works on at a time: all it gets, or what a device of the reference's would have got."""
    share = max(1, batch // devices)
    if reference_devices is None:
        return share, f"formula {batch}//{devices}"
    limit = min(share, own // reference_devices)
    # 28 images cannot be split into parts of 3: a number that the user did not ask for gives way.
    return (
        effective_group(share, limit),
        f"formula largest divisor of {batch}//{devices} up to {own}//{reference_devices}",
    )


def _scaled(kept: Mapping[str, Any], own: int, batch: int, devices: int) -> dict[str, Settled]:
    """A fixed preset's numbers at another batch: as strong a penalty an image, as many steps a half-life."""
    share = max(1, batch // devices)
    rules = {
        "loss.r1_gamma": lambda gamma: (gamma * own / batch, f"formula {gamma:g}*{own}/{batch}"),
        "ema.half_life_kimg": lambda half: (half * batch / own, f"formula {half:g}*{batch}/{own}"),
        "discriminator.mbstd_group": lambda group: (
            min(group, share),
            f"formula min({group}, {batch}//{devices})",
        ),
    }
    scaled = {key: rules[key](value) for key, value in kept.items()}
    return {key: settled for key, settled in scaled.items() if settled[0] != kept[key]}


def _by_resolution(side: int) -> dict[str, Settled]:
    rate = 0.002 if side >= 1024 else 0.0025, f"formula 0.002 if {side} >= 1024 else 0.0025"
    base = 32768 if side >= 512 else 16384, f"formula 32768 if {side} >= 512 else 16384"
    return {
        "optim.generator_lr": rate,
        "optim.discriminator_lr": rate,
        "generator.channel_base": base,
        "discriminator.channel_base": base,
    }


@cache
def _load(path: str) -> dict[str, Any]:
    text = resources.files("conf").joinpath(path).read_text(encoding="utf-8")
    # OmegaConf's reader, as Hydra's: PyYAML's own takes 1e-8 for text.
    return OmegaConf.to_container(OmegaConf.create(text))


def _flat(tree: dict[str, Any]) -> dict[str, Any]:
    """The values that belong to a preset, by dotted key."""
    flat = {key: tree[key] for key in ("batch_size", "micro_batch", "total_kimg") if key in tree}
    for section in _SECTIONS:
        flat |= {
            f"{section}.{key}": value for key, value in tree.get(section, {}).items() if key not in _WIRING
        }
    return flat
