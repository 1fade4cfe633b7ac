"""Habits: what is typed for the public programs of StyleGAN2-ADA, as it is typed here.

An option that differs in name alone is an alias of its key in the schema; those that differ in more are in
`other_programs.py`."""

import difflib
import os
import shlex
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any, get_args, get_origin

from stylegan.configuration.artist_programs import (
    OF_ARTISTS,
    PROGRAMS_OF_ARTISTS,
    SWITCHES_OF_ARTISTS,
    has_swapped_rows,
)
from stylegan.configuration.keys import Command, Key
from stylegan.configuration.other_programs import (
    LENGTH,
    LENGTHS,
    SPECIAL,
    SWITCHES,
    SWITCHES_OF,
    WITHOUT_COUNTERPART,
    NoCounterpartError,
    truth,
)
from stylegan.configuration.schema import BY_THE_COMMAND
from stylegan.configuration.suggestions import option_needed, options_of, task_with

_SPECIAL = {**SPECIAL, "generate": {**SPECIAL["generate"], **OF_ARTISTS}}
_SWITCHES = (*SWITCHES, *SWITCHES_OF_ARTISTS)

_EVERY_WORD = "every word is key=value, as in seed=1"
_FOR_HELP = ("help", "usage", "?")


def in_words_of(name: str, value: str, command: Command, given: Mapping[str, str] | None = None) -> list[str]:
    """What another program's option is here, as `key=value` words; none where it asks for what is so anyway.

    Args:
        name: of the option, without dashes before it and with `_` for `-`.
        value: "" where it has none.
        command: whose keys these are.
        given: all options, for those that go together.
    Raises: NoCounterpartError; KeyError for a name that no program known here has.
    """
    special = _SPECIAL.get(command.name, {}).get(name)
    if special is not None:
        return special(value, given or {})
    if "total_kimg" in command.keys and name in LENGTHS:
        raise NoCounterpartError(LENGTH)
    if name in command.keys and command.keys[name].internal:
        raise NoCounterpartError(BY_THE_COMMAND[name])
    names = _names_here(name, command)
    if not names and name in WITHOUT_COUNTERPART:
        raise NoCounterpartError(WITHOUT_COUNTERPART[name])
    if not names:
        raise KeyError(name)
    return [word for one in names for word in _typed(one, value, command)]


def _names_here(name: str, command: Command) -> list[str]:
    """The keys and groups that an option stands for: its own, or by another name, or one key's last word."""
    own = [key.name for key in command.keys.values() if not key.internal]
    if name in own or name in _groups(command):
        return [name]
    # A course of a value over the training has the value's own last word.
    leaves = [key for key in own if key.rpartition(".")[2] == name and not key.startswith("schedules.")]
    dotted = [key for key in own if key.replace(".", "_") == name]
    return command.called(name) or dotted or (leaves if len(leaves) == 1 else [])


def is_known(flag: str, command: Command) -> bool:
    """Whether a flag is another program's, or a key of ours with dashes before it."""
    try:
        in_words_of(_plain(flag), "", command)
    except NoCounterpartError:
        return True
    except KeyError:
        return False
    return True


def is_switch(name: str, command: Command) -> bool:
    """Whether an option of another program may stand without a value, which is then true."""
    keys = [command.keys.get(one) for one in _names_here(name, command)]
    known = name in _SPECIAL.get(command.name, {}) or name in WITHOUT_COUNTERPART
    switch = name in _SWITCHES and known or name in SWITCHES_OF.get(command.name, ())
    return switch or any(key is not None and takes_truth(key) for key in keys)


def _typed(name: str, value: str, command: Command) -> list[str]:
    """A key or group of ours with its value, and the kind of data that it is of."""
    key = command.keys.get(name)
    if key is None:
        if value not in options_of(name):
            raise NoCounterpartError(
                f"here there are {', '.join(f'{name}={known}' for known in options_of(name))}"
            )
        return [f"{name}={value}"]
    if takes_truth(key):
        known = truth(value or "true")
        value = value if known is None else str(known).lower()
    if name == "trainer.devices" and value:
        _refuse_uncounted(value)
    needed = option_needed(name, command.name)
    kind = [f"{name.partition('.')[0]}={needed}"] if needed else []
    return [*kind, f"{name}={_written(value, key) if value else '...'}"]


def _refuse_uncounted(value: str) -> None:
    """Raises: NoCounterpartError for -1, all, auto: of devices here the number is said."""
    numbers = value.strip("[]() ").rstrip(",").split(",")
    if not all(number.strip().isdecimal() for number in numbers) or value == "0":
        raise NoCounterpartError(
            "the number of devices must be said, as in trainer.devices=2, or which, as in 'trainer.devices=[0,1]';"
            " without GPUs trainer=cpu"
        )


def _written(value: str, key: Key) -> str:
    """A value of another program as it is typed here: `0,0.99` of a list is `[0,0.99]`, and none is null."""
    kinds = kinds_of(key)
    if value.lower() == "none" and NoneType in kinds and not {str, Any} & {*kinds}:
        return "null"
    if not takes_list(key) or value == "null":
        return value
    items = [item.strip() for item in value.strip("[]() ").split(",") if item.strip()]
    alone = any(kind is not NoneType and get_origin(kind) is not list for kind in kinds)
    listed = len(items) != 1 or value[0] in "[(" or value.endswith(",")
    return f"[{','.join(items)}]" if listed or not alone else items[0]


def kinds_of(key: Key) -> tuple[Any, ...]:
    """The types of which a key's value is one; NoneType for null."""
    return (key.type,) if get_origin(key.type) is list else get_args(key.type) or (key.type,)


def takes_list(key: Key) -> bool:
    """Whether a key is a list, alone or beside other values."""
    return not key.free_text and any(get_origin(kind) is list for kind in kinds_of(key))


def takes_numbers(flag: str, command: Command) -> bool:
    """Whether numbers may follow each other after a flag, as in `--betas 0 0.99`."""
    keys = [command.keys.get(one) for one in _names_here(_plain(flag), command)]
    return any(key is not None and takes_list(key) for key in keys)


def takes_truth(key: Key) -> bool:
    """Whether a key is a boolean, alone or beside other words, as in `data.cache=auto`."""
    return key.type is bool or bool in get_args(key.type)


def _alone(word: str, command: Command) -> list[str]:
    """What a word alone stands for, as `key=value` words: a network, a run, pictures, or the first word of a fork's
    command; none for any other word."""
    is_there = os.path.exists(word)
    if command.name == "generate" and not is_there and word in PROGRAMS_OF_ARTISTS:
        return list(PROGRAMS_OF_ARTISTS[word])
    if "network" in command.keys:
        return [f"network={word}"] if is_there or os.sep in word else []
    if word.endswith(".ckpt") and is_there or os.path.isfile(os.path.join(word, "config.yaml")):
        return [f"resume={word}"]
    if os.path.isdir(word) or word.endswith(".zip") and is_there:
        return ["data=folder", f"data.path={word}"]
    return []


def word_alone(word: str, command: Command) -> str | None:
    """The answer to a path alone, to a fork's command, and to `help`; None for all other words."""
    if word.lower() in _FOR_HELP:
        return f"{word}: python {command.name}.py --help shows all that can be set"
    here = _alone(word, command)
    return f"{word}: {_EVERY_WORD}; here it is {shlex.join(here)}" if here else None


def answer(words: Iterable[tuple[str, str, str]], command: Command) -> list[str]:
    """The whole command that words of other programs stand for, in one line; and one line for what is left out.

    Args: words: (as typed, option or key, value); a flag begins with a dash, and what is right already has no option.
    """
    words = list(words)
    given = {_plain(option): value for _, option, value in words if option}
    flags = [option for _, option, _ in words if option.startswith("-")]
    meant = [(typed, option, *_meant(typed, option, value, given, command)) for typed, option, value in words]
    chosen = _chosen_alone(meant, command)
    here, left_out = [], []
    for typed, option, found, reason in meant:
        other = next(
            (one for word in found if (one := chosen.get(word.partition("=")[0], word)) != word), None
        )
        if option and other:
            reason = f"here it is {shlex.join(found)}, and {other} is given, too"
        if reason:
            left_out.append((typed, reason))
        else:
            here += found
    here = _with_task(_with_data(_in_order(here), command), command)
    if not here and left_out:
        return [f"{typed}: {reason}" for typed, reason in left_out]
    none = f"{', '.join(flags)}: there {'are no such flags' if len(flags) > 1 else 'is no such flag'}"
    if not here:
        return [f"{none}; leave it out: that is so anyway"]
    swapped = command.name == "generate" and has_swapped_rows(given)
    remark = " (rows give layers to columns here, so the two change places)" if swapped else ""
    lines = [f"{none}; the whole command here{remark}: python {command.name}.py {shlex.join(here)}"]
    reasons = "; ".join(f"{typed} ({reason})" for typed, reason in left_out)
    return lines + ([f"left out there: {reasons}"] if reasons else [])


def _meant(
    typed: str, option: str, value: str, given: Mapping[str, str], command: Command
) -> tuple[list[str], str]:
    """What one word stands for, and the reason where it stands for nothing here.  Args: as of `answer`; all options."""
    if not option:
        return [typed], ""
    if option == typed and not option.startswith("-"):
        here = _alone(typed, command)
        return here, "" if here else _EVERY_WORD
    try:
        return in_words_of(_plain(option), value, command, given), ""
    except NoCounterpartError as error:
        return [], str(error)
    except KeyError:
        return [], f"nothing here is called so{_near(_plain(option), command)}"


def _chosen_alone(meant: Iterable[tuple[str, str, list[str], str]], command: Command) -> dict[str, str]:
    """The choice of each group that a word makes, and nothing else: `logger=none`, rather than `--project`.

    Of several the last one counts, and before options of other programs what is typed as it is here.
    """
    alone = [
        found[0]
        for is_ours in (False, True)
        for _, option, found, _ in meant
        if len(found) == 1 and (not option) is is_ours
    ]
    return {word.partition("=")[0]: word for word in alone if _sets([word], *_groups(command))}


def unknown_word(word: str, command: Command) -> str | None:
    """The answer to `fp32=true` and the like: a key of other programs; None where the word is none of theirs."""
    name, equals, value = word.partition("=")
    name = name.replace("-", "_")
    if (
        not equals
        or name == "n"
        or name in command.keys
        or name in _groups(command)
        or not name.isidentifier()
    ):
        return None
    try:
        here = in_words_of(name, value, command)
    except NoCounterpartError as error:
        return f"there is no key {name}; {error}"
    except KeyError:
        return None
    return (
        f"there is no key {name}; here it is {shlex.join(here)}"
        if here
        else f"there is no key {name}; leave it out"
    )


def option_called(group: str, option: str, command: Command) -> str:
    """`; here it is ada=none` for `ada=noaug`, a word of other programs for an option of a group; else ""."""
    special = _SPECIAL.get(command.name, {}).get(group)
    try:
        return f"; here it is {' '.join(special(option, {}))}" if special else ""
    except NoCounterpartError:
        return ""


def _plain(option: str) -> str:
    return option.lstrip("-").replace("-", "_")


def _groups(command: Command) -> list[str]:
    return [group.name for group in command.groups]


def _with_data(words: list[str], command: Command) -> list[str]:
    """With what else the command needs where it names images."""
    if (
        command.name == "evaluate"
        and any(word.startswith("data.") for word in words)
        and not _sets(words, "data")
    ):
        words = ["data=folder", *words]
    if "data=folder" not in words:
        return words
    if not _sets(words, "data.path"):
        words = [*words, "data.path=..."]
    if command.name == "train" and not _sets(words, "resolution", "experiment"):
        # There, networks draw the size that all images have. Here sizes may be mixed, and none can be chosen unseen.
        words = [*words, "resolution=..."]
    return words


def _with_task(words: list[str], command: Command) -> list[str]:
    """With the task that has the keys, where the command's own choice lacks one of them; first, as groups are read."""
    if "task" not in _groups(command):
        return words
    task = next((word for word in words if word.startswith("task=")), None)
    if task is None:
        found = task_with([word.partition("=")[0] for word in words], command)
        task = None if found is None else f"task={found}"
    return words if task is None else [task, *(word for word in words if word != task)]


def _in_order(words: list[str]) -> list[str]:
    """Groups first, as they are read first; of two words with one key the last one."""
    last = {word.partition("=")[0]: word for word in words if "=" in word}
    words = list(dict.fromkeys(last.get(word.partition("=")[0], word) for word in words))
    return [word for word in words if word == "data=folder"] + [
        word for word in words if word != "data=folder"
    ]


def _sets(words: Iterable[str], *keys: str) -> bool:
    return any(word.partition("=")[0] in keys for word in words)


def _near(name: str, command: Command) -> str:
    own = [key for key in command.keys.values() if not key.internal]
    leaves = {key.leaf: key.name for key in reversed(own)} | {key.name: key.name for key in own}
    close = difflib.get_close_matches(name, leaves, n=1, cutoff=0.75)
    return f"; did you mean {leaves[close[0]]}?" if close else ""
