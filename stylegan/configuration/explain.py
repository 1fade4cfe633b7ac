"""Explanation: `explain=true`, every value of a configuration with its origin.

Hydra knows the files that it merges, and their order: the last one that names a key sets it, and the command line wins
over all of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import OmegaConf

from stylegan.configuration.compose import VERSION_BASE, Composition
from stylegan.configuration.keys import followed
from stylegan.configuration.schema import TRAIN

WIDEST_VALUE = 36  # characters; what is longer pushes its origin to the right
_FURNITURE = frozenset({"_convert_"})
Row = tuple[str, str, str]  # key, value, origin


def explained(
    composition: Composition, origins: Mapping[str, str], *, memory: str, course: Sequence[str] = ()
) -> list[str]:
    """The lines of `explain=true`.

    Args:
        composition: complete.
        origins: {dotted key: origin}.
        memory: what training will take, in one line.
        course: lines about what follows a schedule, and what is frozen.
    """
    config = OmegaConf.to_container(composition.config)
    sections = {"groups": list(_groups(composition))}
    internal = TRAIN.names(lambda key: key.internal)
    roots = {
        key: value for key, value in config.items() if not isinstance(value, Mapping) and key not in internal
    }
    sections["run"] = list(_rows({**roots, "resolution": _size(config["resolution"])}, "", origins))
    for section in TRAIN.sections:
        if section.prefix:
            sections[section.prefix] = list(_rows(config[section.prefix], f"{section.prefix}.", origins))
    return [*_table(sections), "", *course, f"memory  {memory}"]


def _groups(composition: Composition) -> Iterator[Row]:
    # Hydra lists the last one first.
    for group, option in reversed(composition.choices.items()):
        if not group.startswith("hydra/"):
            typed = any(word.startswith(f"{group}=") for word in composition.typed)
            # The groups of a run that is continued by its name come before the words that were typed.
            of_the_run = composition.stored and composition.typed and not typed
            origin = "the run that continues" if of_the_run else chosen_by(group, composition)
            yield group, option or "null", origin


def _rows(tree: Mapping[str, Any], prefix: str, origins: Mapping[str, str]) -> Iterator[Row]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        # A schedule is one value, whatever it consists of.
        if isinstance(value, Mapping) and value and key not in TRAIN.keys:
            yield from _rows(value, f"{key}.", origins)
        elif name not in _FURNITURE and followed(value) is None:
            yield key, written(value), origins.get(key, DEFAULT)


def _table(sections: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    rows = [row for section in sections.values() for row in section]
    keys = max(len(key) for key, _, _ in rows)
    values = min(max(len(value) for _, value, _ in rows), WIDEST_VALUE)
    for name, section in sections.items():
        if section:
            yield (
                ""
                if name != "groups"
                else "values that follow another key are left out; --help has the meanings"
            )
            yield name
        for key, value, origin in section:
            yield f"  {key:<{keys}}  {value:<{values}}  {origin}"


def _size(resolution: Any) -> Any:
    return "x".join(map(str, resolution)) if isinstance(resolution, list) else resolution


def written(value: Any) -> str:
    """A value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list):
        return f"[{', '.join(written(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(item)}" for key, item in value.items()) + "}"
    return str(value) or "''"


COMMAND_LINE = "command line"
DEFAULT = "default"


def origins(composition: Composition, config_name: str = "train") -> dict[str, str]:
    """{dotted key: origin}, for every value that a file or the command line names.

    Origins are `default`, `preset tiny` and so on for the files of our groups, and for those of the user's
    `command line`, `experiment <name>`, `--config-dir <file>`.
    """
    overrides = OverridesParser.create().parse_overrides(list(composition.overrides))
    folders = _search_path(overrides)
    found: dict[str, str] = {}
    for path, package in _merged_files(config_name, composition.overrides):
        origin = _origin_of(path, config_name)
        tree = _read(path, folders)
        found |= {key: origin for key in _leaves(tree, package) if not key.startswith("defaults")}
    for override in overrides:
        if override.key_or_group not in composition.choices or isinstance(override.value(), dict):
            found |= {key: COMMAND_LINE for key in _leaves(override.value(), override.key_or_group)}
    return found


def users_keys(found: Mapping[str, str]) -> frozenset[str]:
    """The keys that the user has set, in any way."""
    return frozenset(key for key, origin in found.items() if is_users(origin))


def is_users(origin: str) -> bool:
    return origin.startswith((COMMAND_LINE, "experiment ", "--config-dir "))


def chosen_by(group: str, composition: Composition) -> str:
    """Who chose the file of a group: `command line`, `experiment <name>`, or `default`."""
    overrides = OverridesParser.create().parse_overrides(list(composition.overrides))
    if any(override.key_or_group == group for override in overrides):
        return COMMAND_LINE
    experiment = composition.choices.get("experiment")
    if experiment is not None and group != "experiment":
        tree = _read(f"experiment/{experiment}", _search_path(overrides))
        named = [entry for entry in tree.get("defaults", []) if isinstance(entry, dict)]
        if any(key.split()[-1].lstrip("/") == group for entry in named for key in entry):
            return f"experiment {experiment}"
    return DEFAULT


def _merged_files(config_name: str, overrides: Collection[str]) -> Iterator[tuple[str, str]]:
    """(path, package) of each file of ours or the user's, first merged first."""
    with initialize_config_module("conf", version_base=VERSION_BASE):
        loader = GlobalHydra.instance().config_loader()
        merged = loader.compute_defaults_list(config_name, list(overrides), RunMode.RUN).defaults
    for part in merged:
        if part.config_path and not part.config_path.startswith("hydra/"):
            yield part.config_path, part.package or ""


def _origin_of(path: str, config_name: str) -> str:
    group, _, name = path.rpartition("/")
    if path == config_name:
        return DEFAULT
    if group == "experiment" or _shipped(path).is_file():
        return f"{group} {name}"
    return f"--config-dir {path}.yaml"


def _shipped(path: str) -> Any:
    return resources.files("conf").joinpath(f"{path}.yaml")


def _read(path: str, folders: Collection[Path]) -> Mapping[str, Any]:
    """The values of a file; ours come before the user's of the same name, as for Hydra."""
    for file in (_shipped(path), *(folder / f"{path}.yaml" for folder in folders)):
        if file.is_file():
            tree = OmegaConf.to_container(OmegaConf.create(file.read_text(encoding="utf-8")))
            return tree if isinstance(tree, Mapping) else {}
    # A schema, which holds no values, or a place that only Hydra can read.
    return {}


def _search_path(overrides: Collection[Override]) -> list[Path]:
    added = [override.value() for override in overrides if override.key_or_group == "hydra.searchpath"]
    return [Path(str(place).removeprefix("file://")) for places in added for place in places or ()]


def _leaves(tree: Any, prefix: str) -> Iterator[str]:
    if not isinstance(tree, Mapping) or prefix in TRAIN.keys:
        yield prefix
        return
    for key, value in tree.items():
        yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
