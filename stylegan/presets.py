"""What null means in a training's configuration: each value a preset stands for, and where it comes from.

Fixed numbers are read from `conf/preset/<name>.yaml`, those that all presets share from `conf/train.yaml`;
the formulas are here. Source: the public StyleGAN2-ADA implementation; Karras et al. 2020 (ADA).
"""

from importlib import resources
from typing import Any

from omegaconf import OmegaConf

from stylegan.config import check_resolution

# Devices the paper's settings were made for. A micro-batch is what one of them worked on at a time.
REFERENCE_DEVICES = {"stylegan2": 8, "paper256": 8, "paper512": 8, "paper1024": 8, "cifar": 2}

# Null is a value of its own here, "none", and nothing is derived in its place.
NULL_IS_A_VALUE = frozenset({"ema.ramp_up", "generator.conv_clamp", "discriminator.conv_clamp"})

_SECTIONS = ("generator", "discriminator", "loss", "optim", "ema")
# Set by interpolation or from the data, not by presets.
_WIRING = frozenset({"_target_", "resolution", "channels", "c_dim"})

Settled = tuple[Any, str]  # value, origin


def names() -> list[str]:
    """The presets that are shipped."""
    files = resources.files("conf").joinpath("preset").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def derive(name: str, resolution: int, batch: int | None, devices: int) -> dict[str, Settled]:
    """Every value that preset `name` stands for.

    Args: resolution: pixels a side. batch: images an iteration; None = the preset's own. devices: how many.
    Returns: {dotted config key: (value, origin)}; origin is `preset <name>`, `default`, `given`, or
        `formula <its numbers>`.
    Raises: ValueError for an unknown preset or values out of range.
    """
    check_resolution(resolution)
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

    if batch is not None:
        values["batch_size"] = (batch, "given")
    elif values["batch_size"][0] is None:
        values["batch_size"] = _auto_batch(resolution, devices)
    batch = values["batch_size"][0]
    formulas = _by_batch(name, resolution, batch, devices) | _by_resolution(resolution)
    open_keys = [key for key, (value, _) in values.items() if value is None and key not in NULL_IS_A_VALUE]
    return values | {key: formulas[key] for key in open_keys}


def _auto_batch(resolution: int, devices: int) -> Settled:
    batch = max(min(devices * min(4096 // resolution, 32), 64), devices)
    return batch, f"formula max(min({devices}*min(4096//{resolution}, 32), 64), {devices})"


def _by_batch(name: str, resolution: int, batch: int, devices: int) -> dict[str, Settled]:
    share, parts = max(1, batch // devices), REFERENCE_DEVICES.get(name, devices)
    return {
        "micro_batch": (max(1, batch // parts), f"formula max(1, {batch}//{parts})"),
        "discriminator.mbstd_group": (min(share, 4), f"formula min({batch}//{devices}, 4)"),
        "loss.r1_gamma": (0.0002 * resolution**2 / batch, f"formula 0.0002*{resolution}^2/{batch}"),
        "ema.half_life_kimg": (batch * 10 / 32, f"formula {batch}*10/32"),
    }


def _by_resolution(resolution: int) -> dict[str, Settled]:
    rate = 0.002 if resolution >= 1024 else 0.0025, f"formula 0.002 if {resolution} >= 1024 else 0.0025"
    base = 32768 if resolution >= 512 else 16384, f"formula 32768 if {resolution} >= 512 else 16384"
    return {
        "optim.generator_lr": rate,
        "optim.discriminator_lr": rate,
        "generator.channel_base": base,
        "discriminator.channel_base": base,
    }


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
