"""From a composed configuration to a complete one: nulls derived, name settled, nonsense refused."""

import os
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stylegan.cli.arguments import mistyped
from stylegan.cli.compose import Composition
from stylegan.cli.free_text import literal
from stylegan.cli.mistakes import UserMistake
from stylegan.config import (
    RunConfig,
    accumulation,
    check_resolution,
    check_scalars,
    count_devices,
    effective_group,
)
from stylegan.presets import NULL_IS_A_VALUE, derive, names
from stylegan.run_folder import RunFolder

LONGEST_NAME = 150  # characters; file systems take 255 bytes


def complete(composition: Composition) -> RunFolder:
    """Fills in what is null in `composition.config`, from the preset and the rest; values that are set stay.

    Raises: ValueError or UserMistake, naming the key, for values that make no sense.
    """
    config = composition.config
    _refuse_unknown(config)
    for group in ("data", "trainer"):
        if "_target_" not in config[group]:
            raise ValueError(f"{group} is empty; choose one: {group}=...")
    check_resolution(config.resolution)
    check_scalars(batch_size=config.batch_size, micro_batch=config.micro_batch, total_kimg=config.total_kimg)
    devices = count_devices(config.trainer.devices, config.trainer.get("num_nodes", 1))
    if devices > 1:
        raise ValueError(f"trainer.devices: training runs on one device so far, got {devices}")
    micro_batch_is_ours = config.micro_batch is None
    fill_nulls(config, composition.choices.get("preset"), devices)
    if micro_batch_is_ours and config.batch_size % devices == 0:
        # 28 // 8 = 3 does not divide a batch of 28: the user did not ask for it, so the next smaller part will do.
        config.micro_batch = effective_group(config.batch_size // devices, config.micro_batch)
    wrong = mistyped(config, later=("name", "run_dir", "generator.c_dim", "discriminator.c_dim"))
    if wrong:
        raise UserMistake("\n".join(wrong))
    accumulation(batch_size=config.batch_size, micro_batch=config.micro_batch, devices=devices)
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ValueError(f"{missing[0]} must be set: {missing[0]}=...")

    name = config.name
    if name is None:
        choices = composition.choices
        name = f"{choices['data']}{config.resolution}-{choices.get('preset')}"
    name = _checked_name(name + job_suffix(composition.swept))
    config.name = literal(name)
    config.run_dir = literal(str(Path(config.runs_dir) / name))
    return RunFolder(config.run_dir)


def fill_nulls(config: DictConfig, preset: str | None, devices: int) -> None:
    """Writes the derived value wherever a key of the preset's is null.

    A preset of the user's own has no formulas; its nulls are derived as those of `auto`.
    """
    known = preset if preset in names() else "auto"
    for key, (value, _) in derive(known, config.resolution, config.batch_size, devices).items():
        section, _, leaf = key.rpartition(".")
        node = config[section] if section else config
        # A player of the user's own need not have the reference's arguments.
        if leaf in node and node[leaf] is None and key not in NULL_IS_A_VALUE:
            node[leaf] = value


def job_suffix(swept: Mapping[str, str]) -> str:
    """What a job of a sweep adds to the name of its run: `-seed=1-loss.r1_gamma=0.5`; `name` adds nothing."""
    text = "".join(f"-{key.replace('/', '.')}={value}" for key, value in swept.items() if key != "name")
    plain = re.sub(r"[^\w.=+-]", "_", text)
    if plain == text and len(plain) <= LONGEST_NAME:
        return text
    # Two jobs that differ only in what was replaced or cut must not share a folder.
    return (
        f"{plain[:LONGEST_NAME]}-{blake2b(text.encode(errors='surrogateescape'), digest_size=3).hexdigest()}"
    )


def _checked_name(name: str) -> str:
    if name in ("", ".", "..") or any(character in name for character in "/\\\0"):
        raise ValueError(
            f"name is that of one folder inside runs_dir, got {name!r}; set runs_dir for another place"
        )
    return name


def _refuse_unknown(config: DictConfig) -> None:
    """`+key=value` adds any key, the misspelt too; where the schema is closed nothing would ever read it."""
    for field in fields(RunConfig):
        closed = is_dataclass(field.type) and {inner.name for inner in fields(field.type)}
        for key in set(config[field.name]) - closed if closed else ():
            raise ValueError(f"there is no key {field.name}.{key}")
    for key in set(config) - {field.name for field in fields(RunConfig)}:
        raise ValueError(f"there is no key {key}")


def fill_label_width(config: DictConfig, label_width: int) -> None:
    """Tells both players the width of a label, K, which only the data know."""
    for player in ("generator", "discriminator"):
        node = config[player]
        if "c_dim" in node and node.c_dim is None:
            node.c_dim = label_width
        elif node.get("c_dim", label_width) != label_width:
            raise ValueError(
                f"{player}.c_dim is {node.c_dim}, the data's labels are {label_width} wide; let it be null"
            )


def write_config(config: DictConfig, folder: RunFolder) -> None:
    """Writes `config.yaml`: every value resolved, for OmegaConf to read back as it is."""
    text = OmegaConf.to_yaml(OmegaConf.create(_resolved(config)))
    folder.path.mkdir(parents=True, exist_ok=True)
    temporary = folder.config.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, folder.config)


def refuse_other_run(config: DictConfig, folder: RunFolder) -> None:
    """A run goes on with the players and the data it began with.

    Raises: ValueError naming the first value that differs from the folder's `config.yaml`.
    """
    if not folder.config.exists():
        return
    before, now = OmegaConf.to_container(OmegaConf.load(folder.config)), _resolved(config)
    for section, keys in {
        "generator": None,
        "discriminator": None,
        "data": ("_target_", "path", "labels"),
    }.items():
        old, new = before.get(section, {}), now[section]
        # The width of the labels is not known before the data are read.
        for key in keys or sorted((old.keys() | new.keys()) - {"c_dim"}):
            if _comparable(key, old.get(key)) != _comparable(key, new.get(key)):
                raise ValueError(
                    f"{folder.path} was begun with {section}.{key}={old.get(key)}, not {new.get(key)};"
                    " give this run another name=..."
                )


def _comparable(key: str, value: Any) -> Any:
    return os.path.abspath(value) if key == "path" and value is not None else value


def _resolved(config: DictConfig) -> Any:
    def escaped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: escaped(item) for key, item in value.items()}
        if isinstance(value, list):
            return [escaped(item) for item in value]
        return literal(value) if isinstance(value, str) else value

    return escaped(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
