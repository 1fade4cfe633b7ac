"""Error messages: errors of Hydra, OmegaConf and constructors in one line, with key, value and way out."""

import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from stylegan.configuration.command_line import literal
from stylegan.configuration.habits import option_called
from stylegan.configuration.keys import followed
from stylegan.configuration.schema import TRAIN
from stylegan.configuration.suggestions import nearest, nearest_key
from stylegan.configuration.user_code import arguments_of, in_words
from stylegan.configuration.word_errors import explain_several, explain_word, key_called, without_kinds
from stylegan.errors import BadImageError, UserError
from stylegan.machine.files import refusal


@contextmanager
def from_input() -> Iterator[None]:
    """While settings and data are read, a wrong value or a missing file is the user's mistake."""
    try:
        yield
    except (ValueError, OSError) as error:
        if isinstance(error, HydraException | OmegaConfBaseException | BrokenPipeError | UserError):
            raise
        raise UserError(_in_one_line(_of_system(error) or str(error))) from error


def _of_system(error: Exception) -> str | None:
    """A file that the system refuses, and why, in words; None for errors of ours, which say all that."""
    if not isinstance(error, OSError) or error.filename is None or error.strerror is None:
        return None
    way_out = (
        "; see to it that you may use it, or name another one" if isinstance(error, PermissionError) else ""
    )
    return refusal(error) + way_out


def explain(error: Exception, keys: Callable[[], Iterable[str]] = tuple) -> str | None:
    """The user's mistake in one line; None where the error is not the user's."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, BadImageError) or _is_misconfiguration(error):
        return _in_one_line(str(error))
    if isinstance(error, InstantiationException):
        return _explain_constructor(error)
    if isinstance(error, MissingConfigException) and error.options is not None:
        return _explain_option(error)
    if isinstance(error, OverrideParseException):
        return explain_word(error)
    if isinstance(error, yaml.MarkedYAMLError):
        return _explain_yaml(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _explain_composition(error, keys)
    # Hydra raises bare ValueErrors for flags that do not go together.
    if isinstance(error, ValueError) and _innermost_package(error) in ("hydra", "omegaconf"):
        return _in_one_line(str(error))
    return None


def _explain_composition(error: Exception, keys: Callable[[], Iterable[str]]) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    text = f"{error}\n{cause}"
    found = re.search(r"full_key: (\S+)", text)
    asked = re.search(r"Could not override '([^']+)'", text)
    key = asked[1] if asked else found[1] if found else None
    if deleted := re.search(r"Could not delete from config. '([^']+)'", text):
        return f"~{deleted[1]}: there is no key {deleted[1]}" + nearest_key(deleted[1], keys())
    if "not in struct" in text or re.search(r"Key '.*' not in '\w+'", text):
        place = re.search(r"In '(\w+)/[^']+'", text)
        if place and place[1] == key:
            return (
                _where(text)
                + "a recipe begins with the line `# @package _global_`, and below it keys: values"
            )
        return _where(text) + f"there is no key {key}" + nearest_key(key or "", keys())
    if several := re.search(r"Ambiguous value for argument '((\w[^=]*)=(.*))'", text):
        return explain_several(*several.groups())
    if "No match in the defaults list" in text and key:
        return _where(text) + f"there is no group {key}" + nearest(key, keys())
    message = re.sub(r"(full_key: |object_type=|reference_type=).*", "", str(cause))
    message = without_kinds(_in_one_line(re.sub(r"In '[^']+': (?=\w+ raised while)", "", message)))
    wrong = re.fullmatch(r"Value (.*?)(?: of type '.*')? could not be converted to (\w+)", message)
    if key and wrong and wrong[2] in _TYPES:
        return _where(text) + f"{key} must be {in_words(_TYPES[wrong[2]])}, got {wrong[1]}"
    if key and "is not a ListConfig, list or tuple" in message:
        known = key_called(key)
        example = f", as in {shlex.quote(f'{key}={known.example}')}" if known and known.example else ""
        return _where(text) + f"{key} must be a list{example}"
    if key and (given := re.search(r"Invalid type assigned: .* value: (.*)", message)):
        return (
            _where(text)
            + f"{key}={given[1]}: {key} is a group of keys; set one of them, as in {key}.KEY={given[1]}"
        )
    if key and "is not Optional" in message:
        return _where(text) + f"{key} cannot be null; leave it out for the default"
    return f"{key}: {message}" if key and key not in message else message


# What OmegaConf calls them.
_TYPES = {"Integer": int, "Float": float, "Boolean": bool, "String": str}


def _where(text: str) -> str:
    """The file that names a key, where it is not the command line."""
    place = re.search(r"In '([^']+)'", text)
    return f"in {place[1]}.yaml: " if place else ""


def _explain_option(error: MissingConfigException) -> str:
    missing = error.missing_cfg_file or ""
    # Hydra's own groups are in a folder; what follows ours may be a path.
    group, _, option = missing.rpartition("/") if missing.startswith("hydra/") else missing.partition("/")
    options = ", ".join(error.options or ())
    if group == "data" and Path(option).exists():
        return f"data={option} is not a kind of data; for images of your own: data=folder data.path={option}"
    hint = nearest(option, error.options or ()) or option_called(group, option, TRAIN)
    return f"{group}={option}: there is no such file; there are {options}{hint}"


def _explain_yaml(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"{mark.name}, line {mark.line + 1}" if mark else "a configuration file"
    return f"{place}: this is not YAML ({error.problem or error.context}); correct the line, or the one before it"


def instantiate_part(config: DictConfig, key: str, **arguments: Any) -> Any:
    """Builds the part that a key's `_target_` names.

    Args:
        config: whole, since its parts follow keys of each other.
        key: dotted, as in `module` or `callbacks.stats`.
        arguments: further ones of the constructor; they win over the configuration's.
    Raises:
        UserError: a value that a constructor refuses, in one line that names the key to set.
        InstantiationException: an error from inside a constructor.
    """
    try:
        return instantiate(_to_be_read_twice(config, key), **arguments)
    except InstantiationException as error:
        line = _explain_constructor(error, OmegaConf.to_container(config))
        if line is None:
            raise
        raise UserError(line) from error


def _to_be_read_twice(config: DictConfig, key: str) -> Any:
    """A part with nothing left to look up, as Hydra must have it.

    Hydra writes into a copy what the references come to, and then reads the copy, references and all: a folder that is
    called `a ${seed}` would be looked up. So each text is escaped once for either. And constructors get plain lists and
    dicts, unless the part says `_convert_`: those of OmegaConf would look it up a third time.
    """

    def escaped(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: escaped(item) for name, item in value.items()}
        if isinstance(value, list):
            return [escaped(item) for item in value]
        return literal(literal(value)) if isinstance(value, str) else value

    node = OmegaConf.select(config, key)
    if not OmegaConf.is_config(node):
        return node
    plain = escaped(OmegaConf.to_container(node, resolve=True))
    if isinstance(plain, dict):
        plain = {"_convert_": "all"} | plain
    alone = OmegaConf.create()
    # In its place, by which errors name their keys.
    OmegaConf.update(alone, key, plain, force_add=True)
    return OmegaConf.select(alone, key)


def key_to_set(written: Any, key: str) -> str:
    """The key that the user sets: `module.r1.gamma` is `${loss.r1_gamma}`, so it is `loss.r1_gamma`.

    Args:
        written: the whole configuration as plain mappings, nothing resolved.
        key: dotted.
    """
    node, names = written, key.split(".")
    for position, name in enumerate(names):
        if not isinstance(node, dict) or name not in node:
            break
        node = node[name]
        if source := followed(node):
            return key_to_set(written, ".".join([source, *names[position + 1 :]]))
    return key


def _by_key(text: str, part: str, written: dict) -> str:
    """What a constructor says of its argument, with the key to set in the argument's place.

    Args:
        text: a message; `gamma must be at least 0, got -1; try gamma=1` begins with an argument.
        part: the dotted key that the constructor was built from.
        written: as of `key_to_set`.
    """
    name = re.match(r"\w+(?=[ :=])", text)
    node = OmegaConf.select(OmegaConf.create(written), key_to_set(written, part))
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    if name is None or target is None or name[0] not in node and name[0] not in (arguments_of(target) or ()):
        return text
    key = key_to_set(written, f"{part}.{name[0]}")
    return key + re.sub(rf"(?<![\w.]){name[0]}(?==)", lambda _: key, text[name.end() :])


def _explain_constructor(error: InstantiationException, written: dict | None = None) -> str | None:
    """Wrong values and names of arguments are the user's; errors from inside a constructor are ours."""
    cause = error.__cause__ or error.__context__
    key = re.search(r"full_key: (\S+)", str(error))
    prefix = f"{key[1]}: " if key else ""
    if re.search(r"backend found|invalid accelerator", str(cause)):
        return f"{prefix}{_in_one_line(str(cause))} trainer=auto takes the device that there is"
    if isinstance(cause, ValueError | OSError) or _is_misconfiguration(cause):
        text = _in_one_line(str(cause))
        return text if key is None or written is None else _by_key(text, key[1], written)
    if isinstance(cause, TypeError) and _innermost_package(cause) == "hydra":
        return prefix + _in_one_line(str(cause))
    if cause is None or isinstance(cause, ImportError) and _is_unknown_name(cause):
        reason = re.sub(r"full_key: \S+", "", str(error)).partition(", set env var")[0]
        return (
            f"{prefix}{_in_one_line(reason)}; a file of your own belongs in the folder given by --config-dir"
        )
    return None


def _is_unknown_name(error: BaseException) -> bool:
    """Whether a `_target_` does not exist; a module that exists and fails during its import is a bug."""
    while error.__cause__ is not None:
        error = error.__cause__
    return set(_packages(error)) <= {"hydra", "importlib"}


def _innermost_package(error: BaseException) -> str:
    return next(reversed(_packages(error)), "")


def _packages(error: BaseException) -> list[str]:
    """The top packages of the code that raised an error, outermost first."""
    frames = traceback.walk_tb(error.__traceback__)
    return [frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in frames]


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _is_misconfiguration(error: BaseException | None) -> bool:
    """Whether it is Lightning's, of an accelerator that is missing or settings that exclude each other."""
    # Importing Lightning takes seconds, and it is imported already where it has raised something.
    exceptions = sys.modules.get("lightning_fabric.utilities.exceptions")
    return exceptions is not None and isinstance(error, exceptions.MisconfigurationException)
