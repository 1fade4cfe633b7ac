"""Presets: the value that null stands for in a training's configuration, and where it comes from.

The numbers of a preset are read from `conf/preset/<name>.yaml`, those that all presets share from `conf/train.yaml`;
the formulas are here. Source: the public StyleGAN2-ADA implementation; Karras et al. 2020 (ADA)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stylegan.configuration.batches import effective_group
from stylegan.configuration.schema import BATCH, PRESET, TRAIN
from stylegan.sizes import Size, parse_size

# Devices the papers' settings were made for. A micro-batch is what one of them worked on at a time.
REFERENCE_DEVICES = {"stylegan2": 8, "paper256": 8, "paper512": 8, "paper1024": 8, "cifar": 2}
# Null is a value of its own here, "none", and nothing is derived in its place.
NULL_IS_A_VALUE = TRAIN.names(lambda key: key.null_is_none)
# What is right for one batch is not right for another.
FOLLOW_THE_BATCH = TRAIN.names(lambda key: key.follows is BATCH)
Settled = tuple[Any, str]  # value, origin


def names() -> list[str]:
    """The presets that are shipped."""
    files = resources.files("conf").joinpath("preset").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def keys() -> list[str]:
    """The dotted keys that presets fill in."""
    return TRAIN.filled_by(PRESET)


def derive(
    name: str,
    resolution: int | str | Sequence[int],
    batch: int | None,
    devices: int,
    *,
    rederive: bool = True,
) -> dict[str, Settled]:
    """Preset values: all that preset `name` stands for.

    Args:
        name: of a preset that is shipped.
        resolution: px a side, or height and width, as in `parse_size`.
        batch: images an iteration; None = the preset's own.
        devices: how many, at least 1.
        rederive: at another batch than the preset's own, R1 weight, half-life and minibatch-std group follow it;
            False = they stay as they are for the preset's own.
    Returns:
        {dotted config key: (value, origin)}; the origin is `preset <name>`, `default`, `given`, or
        `formula <its numbers>`.
    Raises:
        ValueError: an unknown preset, or values out of range.
    """
    size = parse_size(resolution)
    if devices < 1 or (batch is not None and batch < 1):
        raise ValueError(f"batch_size and devices must be at least 1, got {batch} and {devices}")
    if name not in names():
        raise ValueError(f"there is no preset {name!r}; there are {', '.join(names())}")
    fixed = dict(_filled_in(_load(f"preset/{name}.yaml")))
    values = {key: (value, "default") for key, value in _filled_in(_load("train.yaml"))}
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
    """Images a device works on at a time: its whole share, or the share of a device of the reference's."""
    share = max(1, batch // devices)
    if reference_devices is None:
        return share, f"formula {batch}//{devices}"
    limit = min(share, own // reference_devices)
    # 28 images cannot be split into parts of 3, and the user asked for no number.
    return (
        effective_group(share, limit),
        f"formula largest divisor of {batch}//{devices} up to {own}//{reference_devices}",
    )


def _scaled(kept: Mapping[str, Any], own: int, batch: int, devices: int) -> dict[str, Settled]:
    """A fixed preset's numbers at another batch: the same penalty per image, the same steps per half-life."""
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
def _load(path: str) -> DictConfig:
    text = resources.files("conf").joinpath(path).read_text(encoding="utf-8")
    # OmegaConf's reader, as Hydra's: PyYAML's own takes 1e-8 for text.
    return OmegaConf.create(text)


def _filled_in(tree: DictConfig) -> Iterator[tuple[str, Any]]:
    """The keys of a file that presets fill in, in the order of the schema."""
    for key in keys():
        section, _, leaf = key.rpartition(".")
        node = OmegaConf.select(tree, section) if section else tree
        if node is not None and leaf in node:
            value = node[leaf]
            yield key, OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
