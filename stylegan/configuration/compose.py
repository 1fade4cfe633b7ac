"""Composition: from a command line to a configuration, one way for the commands, notebooks and tests.

A plain run goes through Hydra's compose function, which touches neither logging nor the working folder.
Hydra's own main is left the rest: `--multirun`, and flags that only show something (`--cfg job`)."""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from stylegan.configuration.command_line import quote
from stylegan.configuration.schema import (
    BY_THE_COMMAND,
    COMMANDS,
)  # the module registers the schema of train.yaml, too
from stylegan.configuration.suggestions import nearest_key, options_of
from stylegan.configuration.unknown_keys import nest_schedules
from stylegan.configuration.user_code import leave_out_unasked, settle_booleans
from stylegan.errors import UserError
from stylegan.sizes import parse_size, size_text

VERSION_BASE = "1.3"


@dataclass(frozen=True)
class Composition:
    """A composed configuration, and what it alone does not say."""

    config: DictConfig
    choices: Mapping[str, str | None]  # group -> the file that was chosen
    swept: Mapping[str, str] = field(default_factory=dict)  # with --multirun: key -> this job's value
    overrides: Sequence[str] = ()  # what it was composed with, in Hydra's grammar
    config_dir: str | None = None  # a folder with the user's own groups
    typed: Sequence[str] = ()  # the words of the command line as they are, where there is one
    stored: Collection[str] = ()  # keys whose values are those of the run that continues

    @property
    def words(self) -> list[str]:
        """The overrides without the place of the user's own groups, which `config_dir` says."""
        ours = None if self.config_dir is None else searchpath(self.config_dir)
        return [word for word in self.overrides if word != ours]


def composed(
    config_name: str, overrides: Sequence[str] = (), *, config_dir: str | None = None
) -> Composition:
    """The configuration, composed without side effects; `overrides` are in Hydra's grammar.

    Args: config_dir: a folder with the user's own groups, searched besides ours.
    Raises: Hydra's and OmegaConf's errors; UserError where config_dir is not a folder.
    """
    overrides = list(overrides)
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise UserError(f"--config-dir {config_dir}: there is no such folder")
        overrides.append(searchpath(config_dir))
    with initialize_config_module("conf", version_base=VERSION_BASE):
        config = compose(config_name, overrides, return_hydra_config=True)
    choices = OmegaConf.to_container(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    leave_out_unasked(config, lambda: without_the_users(config_name, choices))
    settle_booleans(config, config_name)
    nest_schedules(config)
    return Composition(config, choices, overrides=tuple(overrides), config_dir=config_dir)


def without_the_users(config_name: str, choices: Mapping[str, str | None]) -> DictConfig:
    """The configuration of our files alone: the groups that are chosen, and no value set anywhere else."""
    chosen = [f"{group}={option}" for group, option in choices.items() if option in options_of(group)]
    return composed(config_name, [word for word in chosen if not word.startswith("experiment=")]).config


def refuse_empty_groups(overrides: Sequence[str]) -> None:
    """`data=null` chooses no file, nor does `data={path: 3}`, and `~seed` leaves nothing.

    Raises: UserError with the files there are, one line a fault.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    empty = [override for override in parsed if override.key_or_group == ""]
    faults = [f"{override.input_line}: the key before = is missing" for override in empty]
    for override in parsed:
        group, options, value = override.key_or_group, options_of(override.key_or_group), override.value()
        if override.is_delete():
            if not options and _is_always_there(group):
                faults.append(
                    f"~{group}: this key is always there; leave the word out, and it has its default"
                )
            continue
        swept = getattr(value, "list", None) if override.is_sweep_override() else None
        if options and swept and any(item is None for item in swept):
            faults.append(
                f"{override.input_line}: null cannot be one of several; run without {group} in a command of its own"
            )
        elif options and isinstance(value, dict):
            faults.append(
                f"{override.input_line}: choose one of {', '.join(options)}, and set its keys one by one, as in"
                f" {group}={options[0]} {group}.KEY=VALUE"
            )
        elif options and not isinstance(value, str | list) and not override.is_sweep_override():
            faults.append(f"{override.input_line}: choose one of {', '.join(options)}, or leave it out")
    if faults:
        raise UserError("\n".join(faults))


def _is_always_there(key: str) -> bool:
    """Whether a key is one that no command can do without: at the root, or of a section that has no other keys."""
    sections = [command.section_of(key) for command in COMMANDS.values() if key in command.keys]
    return any(not section.prefix or section.closed for section in sections)


def searchpath(config_dir: str) -> str:
    return f"hydra.searchpath=[{quote('file://' + os.path.abspath(config_dir))}]"


def keys_of(config_name: str, overrides: Sequence[str] = (), *, config_dir: str | None = None) -> list[str]:
    """All groups and dotted keys of a configuration; without overrides, of the unchanged one."""
    composition = composed(config_name, overrides, config_dir=config_dir)
    groups = [group for group in composition.choices if not group.startswith("hydra/")]
    return groups + [
        key for key in _dotted(OmegaConf.to_container(composition.config)) if key not in BY_THE_COMMAND
    ]


def _dotted(tree: Mapping, prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield prefix + str(key)
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")


_AS_IN = (
    "; they are named as in 'allow_change=[loss.r1_gamma]', or whole sections, as in 'allow_change=[loss]'"
)


def unknown_kinds(config: DictConfig) -> Iterator[str]:
    """What `allow_change` names and there is not: a misspelt key would let nothing change, in silence."""
    keys = [key for key in _dotted(OmegaConf.to_container(config)) if "_target_" not in key]
    for kind in config.allow_change:
        if kind not in keys:
            yield f"allow_change=[{kind}]: there is no key {kind}" + (nearest_key(kind, keys) or _AS_IN)


LONGEST_NAME = 150  # characters; file systems take 255 bytes


def run_name(composition: Composition, resolution: Any) -> tuple[str, dict[str, str]]:
    """The run's name, and its origin where it is not the user's."""
    config, choices = composition.config, composition.choices
    name, origin = config.name, {}
    if name is None:
        size = parse_size(resolution)
        text = size_text(size) if size[0] != size[1] else str(size[0])
        name = f"{choices['data']}{text}-{choices.get('preset')}"
        origin = {"name": "formula <data><resolution>-<preset>"}
    return _checked_name(name + job_suffix(composition.swept)), origin


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
            f"name must be that of one folder inside runs_dir, got {name!r}; set runs_dir for another place"
        )
    return name
