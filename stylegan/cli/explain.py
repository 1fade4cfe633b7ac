"""`explain=true`: every value of a training's configuration with its origin."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from stylegan.cli.compose import Composition
from stylegan.cli.memory import memory_line
from stylegan.cli.origins import DEFAULT, chosen_by

# The order of `conf/train.yaml`: what is learned, then on what, then how it is told.
SECTIONS = ("generator", "discriminator", "loss", "optim", "ema", "ada", "augpipe", "data", "module")
WIDEST_VALUE = 36  # characters; what is longer pushes its origin to the right

# A value that follows another key is told where that one stands.
_FOLLOWS = re.compile(r"\$\{[\w.]+\}")
_FURNITURE = frozenset({"_convert_"})

Row = tuple[str, str, str]  # key, value, origin


def explained(composition: Composition, origins: Mapping[str, str]) -> list[str]:
    """The lines of `explain=true`.

    Args: composition: complete. origins: {dotted key: origin}.
    """
    config = OmegaConf.to_container(composition.config)
    sections = {"groups": list(_groups(composition))}
    roots = {key: value for key, value in config.items() if not isinstance(value, Mapping)}
    sections["run"] = list(_rows({**roots, "resolution": _size(config["resolution"])}, "", origins))
    for name in sorted(config.keys() - roots.keys(), key=lambda name: (_place(name), name)):
        sections[name] = list(_rows(config[name], f"{name}.", origins))
    return [*_table(sections), "", f"memory  {memory_line(composition.config)}"]


def _place(section: str) -> int:
    return SECTIONS.index(section) if section in SECTIONS else len(SECTIONS)


def _groups(composition: Composition) -> Iterator[Row]:
    # Hydra lists the last one first.
    for group, option in reversed(composition.choices.items()):
        if not group.startswith("hydra/"):
            yield group, option or "null", chosen_by(group, composition)


def _rows(tree: Mapping[str, Any], prefix: str, origins: Mapping[str, str]) -> Iterator[Row]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _rows(value, f"{key}.", origins)
        elif name not in _FURNITURE and not _FOLLOWS.fullmatch(str(value)):
            yield key, _shown(value), origins.get(key, DEFAULT)


def _table(sections: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    rows = [row for section in sections.values() for row in section]
    keys = max(len(key) for key, _, _ in rows)
    values = min(max(len(value) for _, value, _ in rows), WIDEST_VALUE)
    for name, section in sections.items():
        if section:
            yield "" if name != "groups" else "values that follow another key are left out"
            yield name
        for key, value, origin in section:
            yield f"  {key:<{keys}}  {value:<{values}}  {origin}"


def _size(resolution: Any) -> Any:
    return "x".join(map(str, resolution)) if isinstance(resolution, list) else resolution


def _shown(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list):
        return f"[{', '.join(_shown(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) + "}"
    return str(value) or "''"
