"""Transfer in the configuration: its keys, which values make sense, and what it changes where the user sets nothing."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stylegan.configuration.keys import Key, Resume, Section

PARTS = ("G", "D", "EMA")
# A discriminator that has learned overfits sooner, so p moves five times as fast; and the EMA generator is none of
# random weights, which a short half-life at the start would forget. Source: Karras et al. 2020 (ADA), section 4.1.
VALUES = {"ada.kimg": 100, "ema.ramp_up": None}
ORIGIN = "transfer"

# fmt: off
# ruff: noqa: E501
TRANSFER = Section("Begin from another network's weights; freeze", "transfer", resume=Resume.FIXED, closed=True, keys=(
    Key("transfer.path",        str | None, "run folder, .ckpt, .safetensors, NVIDIA's .pkl, or a name such as ffhq256, whose weights a new run begins with; kimg and p begin at 0; null = none", free_text=True, alias=("pretrained", "finetune", "init_from"), example="runs/foxes"),
    Key("transfer.parts",       list[str],  "which networks begin so: G, D, EMA; EMA alone gives G its weights, too", example="[G,D,EMA]"),
    Key("transfer.min_matched", float,      "share of a network's parameters that must come from the file, 0 to 1", resume=Resume.HARMLESS, example="0.5"),
    Key("transfer.freeze",      Any,        "parameters that do not learn: mapping, a regular expression of names, or {discriminator_layers: N}; each with from_kimg and until_kimg; null = none", resume=Resume.RISKY, example="[{names:mapping,until_kimg:20}]"),
))
# fmt: on


def transfer_faults(config: DictConfig) -> Iterator[str]:
    """What makes no sense among the keys, one line each."""
    share, parts, path = (config.transfer[key] for key in ("min_matched", "parts", "path"))
    if not 0 <= share <= 1:
        yield f"transfer.min_matched must be from 0 to 1, got {share}"
    unknown = [str(part) for part in parts if part not in PARTS]
    if unknown or not parts:
        got = f"got {', '.join(unknown)}" if unknown else "got none"
        yield f"transfer.parts must be some of {', '.join(PARTS)}, as in transfer.parts=[G,D]; {got}"
    if path == "":
        yield "transfer.path is empty; leave it out for a run that begins with random weights"


def values_of_transfer(
    config: DictConfig, origins: Mapping[str, str], *, users: Collection[str]
) -> dict[str, Any]:
    """What a transfer sets, by dotted key; {} without one.

    Args: origins: of what is set already. users: keys that the user has set, or the run that continues; they stay.
    """
    if config.transfer.path is None:
        return {}
    found = {}
    for key, value in VALUES.items():
        section, _, leaf = key.partition(".")
        # A controller of the user's own need not have the argument.
        has_it = leaf in config[section]
        if has_it and key not in users and key in origins and OmegaConf.select(config, key) != value:
            found[key] = value
    return found
