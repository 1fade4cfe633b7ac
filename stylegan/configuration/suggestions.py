"""Suggestions: the key, group or option nearest to a word that is wrong."""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from stylegan.configuration.keys import Command
from stylegan.configuration.schema import COMMANDS
from stylegan.machine.text import nearest_word

MOST_LISTED = 16  # keys of a section


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean ...?`, or nothing where no word is near."""
    close = nearest_word(word, words)
    return f"; did you mean {close}?" if close else ""


def nearest_key(key: str, keys: Iterable[str]) -> str:
    """What follows `there is no key <key>`, from the keys that there are."""
    keys = list(keys)
    section, _, name = key.rpartition(".")
    group = key.partition(".")[0]
    elsewhere = {f"{group}.{leaf}": option for option in options_of(group) for leaf in _read(group, option)}
    if key in elsewhere:
        options = [f"{group}={option}" for option in option_values(key)]
        return f" here; it comes with {' or '.join(options)}"
    # Of the command that has tasks, and no other.
    if "task" in keys and (tasks := tasks_with(key)):
        # A key that there is may have been meant, as seeds by seed.
        hint = f"; did you mean {key}s?" if f"{key}s" in keys else ""
        return f" here; it comes with {' or '.join(f'task={task}' for task in tasks)}{hint}"
    if key in keys:
        return " among what was chosen"
    # Of the command whose keys these are; those of training last, since evaluate shares some.
    for command in reversed(COMMANDS.values()):
        here = command.called(key) or [
            known for known in command.called(name) if section and known.startswith(f"{section}.")
        ]
        if here and {*here} <= {*keys}:
            return f"; here it is {' and '.join(here)}"
    siblings = [known for known in keys if known.rpartition(".")[0] == section]
    if section and siblings:
        known = dict.fromkeys(siblings) | (elsewhere if section == group else {})
        # The section is right, so it is the last word that is wrong.
        close = nearest_word(name, [sibling.rpartition(".")[2] for sibling in known])
        if close is None:
            leaves = sorted(sibling.rpartition(".")[2] for sibling in siblings)
            return f"; {section} has {', '.join([leaf for leaf in leaves if leaf[0] != '_'][:MOST_LISTED])}"
        found = f"{section}.{close}"
        comes_with = f", which comes with {group}={elsewhere[found]}" if found not in siblings else ""
        return f"; did you mean {found}{comes_with}?"
    return nearest(key, keys) or nearest_leaf(name, keys)


def nearest_leaf(name: str, keys: Iterable[str]) -> str:
    """For a key without its section: `r1_gamma` → `loss.r1_gamma`."""
    full = {key.rpartition(".")[2]: key for key in reversed(list(keys))}
    close = nearest_word(name, full)
    return f"; did you mean {full[close]}?" if close else ""


def options_of(group: str) -> list[str]:
    """The files of a group of ours, by name; none for a word that is not a group."""
    folder = resources.files("conf").joinpath(group)
    if not group.isidentifier() or not folder.is_dir():
        return []
    return sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml"))


def tasks_with(key: str) -> list[str]:
    """The tasks of the generate command that have a key at the root."""
    return [task for task in options_of("task") if key in _root_keys("task", task)]


def task_with(keys: Iterable[str], command: Command) -> str | None:
    """The task that has most of some keys; None where the one that the command chooses has as many."""
    tree = yaml.safe_load(
        resources.files("conf").joinpath(f"{command.name}.yaml").read_text(encoding="utf-8")
    )
    usual = next(entry["task"] for entry in tree["defaults"] if isinstance(entry, dict) and "task" in entry)
    wanted = {key for key in keys if key in command.keys and key not in tree}
    own = {task: _root_keys("task", task) for task in options_of("task")}
    # Of several that have as many, the usual one, then the usual video, then the one with fewest keys besides.
    best = max(
        own,
        key=lambda task: (len(wanted & own[task]), task == usual, task == "interpolation", -len(own[task])),
    )
    return None if best == usual else best


def _root_keys(group: str, option: str) -> set[str]:
    """The root keys that a file of ours sets, with those of the files that it begins from."""
    text = resources.files("conf").joinpath(group, f"{option}.yaml").read_text(encoding="utf-8")
    tree = yaml.safe_load(text) or {}
    below = [entry for entry in tree.get("defaults", ()) if entry != "_self_"]
    own = (
        {key for key in tree if key not in ("defaults", group)}
        if text.startswith("# @package _global_")
        else set()
    )
    return own.union(*(_root_keys(group, entry) for entry in below if isinstance(entry, str)))


def option_values(key: str) -> dict[str, Any]:
    """The options of a key's group whose files set it, each with its value; `data.path` → {"folder": "???"}."""
    group, _, rest = key.partition(".")
    section, _, leaf = rest.rpartition(".")
    found = {}
    for option in options_of(group):
        node: Any = _read(group, option)
        for name in section.split(".") if section else ():
            node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, dict) and leaf in node:
            found[option] = node[leaf]
    return found


def option_needed(key: str, command: str) -> str | None:
    """The option of a key's group to choose for it, where the command's own choice does not bring it; else None."""
    group, having = key.partition(".")[0], option_values(key)
    tree = yaml.safe_load(resources.files("conf").joinpath(f"{command}.yaml").read_text(encoding="utf-8"))
    chosen = [entry[group] for entry in tree["defaults"] if isinstance(entry, dict) and group in entry]
    if not having or not chosen:
        return None
    if chosen == [None]:
        # Any option that names a part brings what all of them have.
        return (
            None
            if {option for option in options_of(group) if sets_target(group, option)} <= {*having}
            else next(iter(having))
        )
    return None if _with_defaults(group, chosen[0]) & {*having} else next(iter(having))


def _with_defaults(group: str, option: str) -> set[str]:
    """An option and those of its group that its file begins from."""
    text = resources.files("conf").joinpath(group, f"{option}.yaml").read_text(encoding="utf-8")
    below = [entry for entry in (yaml.safe_load(text) or {}).get("defaults", ()) if entry != "_self_"]
    return {option}.union(*(_with_defaults(group, entry) for entry in below if isinstance(entry, str)))


def sets_target(group: str, option: str) -> bool:
    """Whether a file of a group names the part itself, and not only some of its values."""
    return "_target_" in _read(group, option)


def _read(group: str, option: str) -> dict[str, Any]:
    """The keys that a file of ours sets in its group; none of a file that sets keys elsewhere."""
    text = resources.files("conf").joinpath(group, f"{option}.yaml").read_text(encoding="utf-8")
    tree = {} if text.startswith("# @package _global_") else yaml.safe_load(text) or {}
    return {key: value for key, value in tree.items() if key != "defaults"}
