"""User code: parts from files next to the user's configuration, and the types that constructors ask for.

The types of the arguments of a `_target_` are the constructor's annotations. They are read here, before anything is
built, so that a wrong value is reported by its key."""

import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import shlex
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from stylegan.configuration.habits import takes_truth
from stylegan.configuration.keys import followed
from stylegan.configuration.other_programs import VALUES_ELSEWHERE, truth
from stylegan.configuration.schema import COMMANDS
from stylegan.configuration.suggestions import nearest, nearest_key
from stylegan.errors import UserError
from stylegan.machine.text import plain_signs

OURS = ("stylegan", "datamodules", "callbacks", "pytorch_lightning")


@contextmanager
def importable(folder: str | None) -> Iterator[None]:
    """While a command runs, `_target_: my_loss.Hinge` finds `my_loss.py` in the folder given by --config-dir.

    Afterwards its modules are forgotten, and the next command of the same process reads its own.
    """
    if folder is None:
        yield
        return
    folder = os.path.abspath(folder)
    # The user's groups are folders with the names of packages of ours (`callbacks`). Without an `__init__.py` they
    # do not hide those.
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(os.path.join(folder, "")):
                del sys.modules[name]


def refuse_hidden() -> None:
    """Raises: UserError where a module or package of the user's has the name of one of ours, and comes first.

    `python -m` looks into the working folder first, --config-dir into that one: `conf.py` there is found for our conf.
    """
    ours = Path(__file__).absolute().parents[2]
    for name in ("conf", "datamodules", "callbacks"):
        found = importlib.util.find_spec(name)
        places = [] if found is None else [found.origin, *(found.submodule_search_locations or ())]
        places = [place for place in places if place]
        if places and not any(Path(place).absolute().is_relative_to(ours / name) for place in places):
            raise UserError(
                f"{places[0]} hides the package {name} of this program: rename it, or run the command from"
                " another folder"
            )


def leave_out_unasked(config: DictConfig, ours: Callable[[], DictConfig]) -> None:
    """Removes from the user's own parts the settings of our parts that they do not take.

    `discriminator: {_target_: my_critic.Critic}` is merged with the settings of our discriminator. Those that the
    user's constructor does not take are left out; one that the user has set stays, for the constructor to refuse.

    Args:
        config: changed in place.
        ours: gives the configuration without the values that the user has set.
    """
    for key, node in config.items():
        target = node.get("_target_") if isinstance(node, DictConfig) else None
        taken = None if target is None or str(target).partition(".")[0] in OURS else arguments_of(target)
        if taken is None:
            continue
        default = ours().get(key)
        before = OmegaConf.to_container(default) if isinstance(default, DictConfig) else {}
        for name, value in OmegaConf.to_container(node).items():
            if name not in taken and not name.startswith("_") and name in before and before[name] == value:
                with open_dict(node):
                    del node[name]


def settle_booleans(config: DictConfig, command: str) -> None:
    """Makes 1 and 0, yes and no, on and off true and false, for the keys that are booleans.

    Args:
        config: changed in place.
        command: the name of the one whose keys these are.
    """
    for name, key in COMMANDS[command].keys.items():
        node, _, leaf = name.rpartition(".")
        section = OmegaConf.select(config, node) if node else config
        if not takes_truth(key) or not isinstance(section, DictConfig) or leaf not in section:
            continue
        # As it is written: a reference to another key is settled there.
        value = OmegaConf.to_container(section, resolve=False).get(leaf)
        if isinstance(value, int | str) and not isinstance(value, bool):
            known = truth(str(value))
            if known is not None:
                section[leaf] = known


def arguments_of(target: str) -> set[str] | None:
    """The names of a constructor's arguments; None where it takes any, or cannot be read."""
    try:
        return taken_by(part_named(target))
    except Exception:
        # An error in the import of a user's own file is reported when the part is built.
        return None


def taken_by(part: Callable) -> set[str] | None:
    """The names of the arguments of a class or function; None where it takes any."""
    parameters = inspect.signature(part).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return set(parameters)


def part_named(target: str) -> Any:
    """The class or function that a `_target_` names. Raises: any error of its import, or AttributeError."""
    return pkgutil.resolve_name(target)


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
}


def mistyped(
    config: DictConfig, *, later: Collection[str] = (), only: Collection[str] | None = None
) -> list[str]:
    """Type faults: the values of another type than the constructor asks for, and the keys that it does not take.

    Arguments without an annotation or with Any pass, since their constructors check them; so do targets that do not
    exist, which are reported when they are built.

    Args:
        config: whole.
        later: dotted keys that are null so far, and filled in before anything is built.
        only: the keys to look at; None = all.
    Returns:
        One line a value, in the order of the configuration.
    """
    wrong = {key: line for key, line in _mistyped(config, "") if key not in later}
    return [line for key, line in wrong.items() if only is None or key in only]


def _mistyped(node: DictConfig, prefix: str) -> Iterator[tuple[str, str]]:
    target = None if OmegaConf.is_missing(node, "_target_") else node.get("_target_")
    hints, taken = _asked_by(target)
    written = OmegaConf.to_container(node)
    for name in node:
        if taken is not None and name not in taken and not str(name).startswith("_"):
            yield (
                f"{prefix}{name}",
                f"there is no key {prefix}{name}" + _nearest_argument(prefix, name, taken),
            )
            continue
        # A value that follows another key is reported by that one, which is the one to set.
        source = followed(written[name])
        key = source or prefix + str(name)
        if OmegaConf.is_missing(node, name):
            continue
        value = node[name]
        if isinstance(value, DictConfig) and ("_target_" in value or name not in hints):
            yield from () if source else _mistyped(value, f"{key}.")
        elif name in hints:
            plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            if not _fits(plain, hints[name]):
                kind = in_words(hints[name])
                yield key, f"{key} must be {kind}, got {shown(plain)}{_way_out(plain, hints[name], key)}"


def _way_out(value: Any, hint: Any, key: str) -> str:
    """`1e3` is a fraction in YAML, where people mean a whole number; `rgba` means 4; else, which words there are."""
    if isinstance(value, float) and value.is_integer() and _fits(int(value), hint):
        return f"; write {int(value)}"
    if (near := VALUES_ELSEWHERE.get(key, {}).get(str(value).lower())) is not None:
        return f"; did you mean {key}={near}?"
    meaning = next((command.keys[key].meaning for command in COMMANDS.values() if key in command.keys), "")
    return f"; there are {meaning}" if hint is str and " | " in meaning else ""


def _nearest_argument(prefix: str, name: str, taken: Collection[str]) -> str:
    hint = nearest(f"{prefix}{name}", [prefix + argument for argument in taken])
    return hint or f"; {prefix.rstrip('.')} takes {', '.join(sorted(taken)) or 'none'}"


def shown(value: Any) -> str:
    """A value as YAML has it, text in quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _asked_by(target: Any) -> tuple[Mapping[str, Any], Collection[str] | None]:
    """The annotations and the names of the arguments of the constructor or function that `_target_` names.

    Without a readable target there are no annotations; the names are None where any name is taken.
    """
    if not isinstance(target, str):
        return {}, None
    try:
        found = part_named(target)
        function: Callable = found.__init__ if isinstance(found, type) else found
        return typing.get_type_hints(function), taken_by(found)
    except Exception:
        # An error in the import of a user's own file is reported when the part is built.
        return {}, None


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value as YAML has it can be passed for an annotation.

    By hand, since typeguard's `check_type` asks whether the value is an instance: it lets true pass for a number and
    text for a list of texts, and refuses a list for a tuple, text for a path, and all that stands for an object. Each
    of these would need a checker of its own, and the messages would remain ours.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is typing.Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in inner)
    if origin is typing.Annotated:
        return _fits(value, inner[0])
    if origin is typing.Literal:
        return any(value == option and type(value) is type(option) for option in inner)
    if hint is type(None):
        return value is None
    if hint in (int, float):
        return isinstance(value, int | hint) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    kind = origin or hint
    if not isinstance(kind, type):
        return True
    if issubclass(kind, os.PathLike):
        return isinstance(value, str)
    if issubclass(kind, Mapping):
        return isinstance(value, dict)
    if issubclass(kind, Collection):
        one_type = inner and (kind is not tuple or inner[-1] is Ellipsis)
        return isinstance(value, list) and (not one_type or all(_fits(item, inner[0]) for item in value))
    # An object of some class: nothing that can be written in a configuration but a part, which has a `_target_`.
    return value is not None


def in_words(hint: Any) -> str:
    """An annotation as messages have it: `int | None` → "a whole number or null"."""
    return " or ".join(dict.fromkeys(_each_in_words(hint)))


def _each_in_words(hint: Any) -> Iterator[str]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    kind = origin or hint
    if origin in (typing.Union, types.UnionType):
        for option in inner:
            yield from _each_in_words(option)
    elif origin is typing.Literal:
        yield from (str(option) for option in inner)
    elif hint in _WORDS:
        yield _WORDS[hint]
    elif isinstance(kind, type) and issubclass(kind, os.PathLike):
        yield "a path"
    elif isinstance(kind, type) and issubclass(kind, Mapping):
        yield "a set of keys"
    elif isinstance(kind, type) and issubclass(kind, Collection):
        yield f"a list of {in_words(inner[0])}" if inner else "a list"
    else:
        yield getattr(kind, "__name__", str(kind))


def mistyped_keys(config: DictConfig, command: str, names: Collection[str]) -> Iterator[str]:
    """One line for each of a command's root keys whose value has another type than its line in the schema says.

    For keys that no part of the configuration takes; those of parts are reported by `mistyped`.
    """
    for name in names:
        key = COMMANDS[command].keys[name]
        if name in config and not _fits(config[name], key.type):
            yield f"{name} must be {in_words(key.type)}, got {shown(config[name])}"


def nonsense_in(config: DictConfig, keys: Collection[str], *, later: Collection[str] = ()) -> Iterator[str]:
    """The faults in the values of a command that takes `network` and `runs_dir`, one line each.

    Args:
        config: whole.
        keys: that there are; `+key=value` adds any key, misspelt ones too.
        later: as of `mistyped`.
    """
    for key in config:
        if key not in keys:
            yield f"there is no key {key}" + nearest_key(key, keys)
    if not isinstance(config.runs_dir, str) or config.runs_dir == "":
        yield f"runs_dir must be a folder, got {shown(config.runs_dir)}; leave it out for runs in `runs`"
    yield from _signs_in_seeds(config.get("seeds"))
    if config.network == "":
        yield "network is empty; leave it out for the newest run"
    if config.get("out") == "":
        yield "out is empty; leave it out for the run's own folder"
    yield from mistyped(config, later=later)


def _signs_in_seeds(seeds: Any) -> Iterator[str]:
    """A range that was copied from a text has its dash: `0–15`. A name of a file may well have one."""
    typed = plain_signs(seeds) if isinstance(seeds, str) else seeds
    if typed != seeds and re.fullmatch(r"[\d\s,-]+", typed, re.ASCII):
        sign = next(sign for sign in seeds if plain_signs(sign) != sign)
        yield f"seeds={seeds}: {sign} is no sign of a range; write {shlex.quote(f'seeds={typed}')}"
