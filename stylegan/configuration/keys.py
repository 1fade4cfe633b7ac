"""Key, section, group and command: the vocabulary of the schema, and what is looked up in it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, make_dataclass
from enum import Enum
from functools import cached_property
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from omegaconf import MISSING

_FOLLOWS = re.compile(r"\$\{(?:oc\.select:)?(?P<key>[\w.]+)(?:,[^}]*)?\}")


def followed(value: Any) -> str | None:
    """The key that a value follows, `${loss.r1_gamma}` or `${oc.select:batch_size,1}`; None for a value of its own."""
    match = _FOLLOWS.fullmatch(value) if isinstance(value, str) else None
    return match["key"] if match else None


class Resume(Enum):
    """Whether a resumed run may have another value than before."""

    HARMLESS = "yes: it changes nothing that the next step computes, or is meant to be changed"
    RISKY = "only where allow_change names it: it changes what is learned"
    FIXED = "no: the weights in the checkpoint would mean something else"


class Filled(Enum):
    """Who fills in a key that is null."""

    USER = "the user"
    PRESET = "the preset"
    DATA = "the data"
    COMMAND = "the command"


class Follows(Enum):
    """What a number is right for: another batch, or other devices, need another one."""

    BATCH = "batch"
    DEVICES = "devices"


@dataclass(frozen=True)
class Key:
    """A key of the configuration.

    Args:
        name: dotted.
        type: as the constructor annotates it.
        meaning: one sentence, for `--help`.
        unit: of the number; "" = none.
        resume: may a resumed run change it? None = as its section says.
        filled: who fills in null; None = as its section says.
        follows: what the preset's number depends on; None = neither.
        null_is_none: null is a value of its own, "none", and nothing fills it in.
        free_text: the value is quoted before Hydra parses it.
        alias: what other programs and papers call it, with `_` for `-`.
        example: a value as it is typed.
        internal: stored in `config.yaml` and filled in by the command; not the user's to set or to see.
    """

    name: str
    type: Any
    meaning: str
    unit: str = ""
    resume: Resume | None = None
    filled: Filled | None = None
    follows: Follows | None = None
    null_is_none: bool = False
    free_text: bool = False
    alias: tuple[str, ...] = ()
    example: str = ""
    internal: bool = False

    @property
    def leaf(self) -> str:
        """The last word of its name."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class Section:
    """Keys that belong together, under one title of `--help`.

    Args:
        title: in words.
        prefix: what their dotted names begin with; "" = the root.
        keys: in the order of `--help`.
        resume: of keys that do not say, and of those without a line, which a user's own constructor takes.
        filled: of keys that do not say.
        closed: there are only these keys, with these types; else the constructor named by `_target_` knows.
    """

    title: str
    prefix: str
    keys: tuple[Key, ...]
    resume: Resume = Resume.FIXED
    filled: Filled = Filled.USER
    closed: bool = False


@dataclass(frozen=True)
class Group:
    """A question that one of several files in `conf/<name>/` answers.

    Args:
        name: of the folder.
        meaning: the question, in a few words.
        alias: as of a key.
    """

    name: str
    meaning: str
    alias: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A command and all that can be set for it.

    Args:
        name: of its file in `conf/`.
        summary: what it does, in one sentence.
        examples: command lines without the program.
        groups: in the order of its defaults list.
        sections: in the order of `--help` and `explain`.
    """

    name: str
    summary: str
    examples: tuple[str, ...]
    groups: tuple[Group, ...]
    sections: tuple[Section, ...]

    @cached_property
    def keys(self) -> dict[str, Key]:
        """The keys by their dotted names."""
        return {key.name: key for section in self.sections for key in section.keys}

    def names(self, chosen: Callable[[Key], bool]) -> frozenset[str]:
        """The dotted names of the keys for which `chosen` is true."""
        return frozenset(name for name, key in self.keys.items() if chosen(key))

    def filled_by(self, who: Filled) -> list[str]:
        """The dotted names of the keys that are filled in, in order."""
        return [
            key.name
            for section in self.sections
            for key in section.keys
            if (key.filled or section.filled) is who
        ]

    def resume_of(self, name: str) -> Resume:
        """Whether a resumed run may change a key, also one without a line."""
        section = self.section_of(name)
        key = self.keys.get(name)
        return (key and key.resume) or (section.resume if section else Resume.FIXED)

    def section_of(self, name: str) -> Section | None:
        """The section that a dotted name belongs to; None where there is none."""
        if name in self.keys:
            return next(section for section in self.sections if self.keys[name] in section.keys)
        prefix = name.partition(".")[0]
        return next((section for section in self.sections if section.prefix == prefix), None)

    def called(self, alias: str) -> list[str]:
        """The keys and groups that other programs call `alias`."""
        return [entry.name for entry in (*self.groups, *self.keys.values()) if alias in entry.alias]

    def own_keys(self) -> Iterator[tuple[Section, list[Key]]]:
        """The keys that are the user's to set, by section; sections without any are left out."""
        for section in self.sections:
            if keys := [key for key in section.keys if not key.internal]:
                yield section, keys

    def structured(self) -> type:
        """The dataclass that Hydra checks names and types against: a field a root key, one a prefix."""
        roots, prefixes = [], []
        for section in self.sections:
            if not section.prefix:
                roots += [_field(key) for key in section.keys]
            elif section.closed:
                closed = make_dataclass(f"{section.prefix.title()}Config", map(_field, section.keys))
                prefixes.append((section.prefix, closed, field(default_factory=closed)))
            else:
                prefixes.append((section.prefix, dict[str, Any], field(default_factory=dict)))
        return make_dataclass(f"{self.name.title()}Config", roots + prefixes)


def _field(key: Key) -> tuple[str, Any, Any]:
    nullable = NoneType in get_args(key.type)
    return key.leaf, _checkable(key.type), field(default=None if nullable else MISSING)


def _checkable(hint: Any) -> Any:
    """The type as OmegaConf can check it: Any for one of several."""
    options = [option for option in get_args(hint) if option is not NoneType]
    several = get_origin(hint) is not list and len(options) > 1
    return Any if several or get_origin(hint) is Literal else hint
