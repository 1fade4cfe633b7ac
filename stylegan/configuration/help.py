"""Help: what `--help` of a command prints, read from the schema and from the values that were composed."""

import shlex
import textwrap
from collections.abc import Iterator
from typing import Any

from omegaconf import OmegaConf

from stylegan.configuration.compose import Composition
from stylegan.configuration.explain import written
from stylegan.configuration.keys import Command, Filled, Key, Section, followed
from stylegan.configuration.suggestions import option_values, options_of

# Columns where the text begins; a key that is longer has it on the next line.
TEXT_COLUMN = 34
WIDEST = 120  # columns; longer lines are hard to read
# Of a key that the command has.
SWEPT = {"train": "seed=1,2,3", "generate": "truncation=0.5,0.7", "evaluate": "num_fakes=500,2000"}
FLAGS = (
    (
        "--config-dir FOLDER",
        "configuration files of your own, in folders named as the groups, and parts in .py files",
    ),
    ("--multirun, -m", "one run for each of several values, as in {swept}"),
    ("--cfg job", "the configuration as YAML, as it was composed, and end"),
    ("--help, -h", "this text, with the values that follow from the other words"),
)


def help_lines(command: Command, composition: Composition, *, width: int = 80) -> Iterator[str]:
    """The lines of `--help`: examples, groups with their options, keys with default, unit and meaning.

    Args:
        command: whose keys are printed, and no others.
        composition: of the command line without `--help`; its values are printed as the defaults.
        width: of the terminal, in columns.
    """
    width = min(width, WIDEST)
    program = f"python {command.name}.py"
    yield command.summary
    yield ""
    yield f"  {program} group=option ... key=value ..."
    yield from ("", "Examples", *(f"  {program} {example}" for example in command.examples))
    yield from ("", "Groups")
    for group in command.groups:
        chosen = composition.choices.get(group.name) or "null"
        options = ", ".join(options_of(group.name))
        yield from _entry(f"{group.name}={chosen}", f"{group.meaning}: {options}", width)
    values = OmegaConf.to_container(composition.config)
    for section, keys in command.own_keys():
        lines = [line for key in keys for line in _key_lines(key, section, values, width)]
        if lines:
            yield from ("", section.title, *lines)
    yield from ("", "Flags")
    for flag, meaning in FLAGS:
        yield from _entry(flag, meaning.format(swept=SWEPT[command.name]), width)


def _key_lines(key: Key, section: Section, values: dict[str, Any], width: int) -> Iterator[str]:
    """One key; none where its value follows another key, which is the one to set."""
    options, value = [], _at(values, key.name)
    if value is _ABSENT:
        having = option_values(key.name)
        if not having:
            return
        value = next(iter(having.values()))
        options = [f"{section.prefix}={option}" for option in having]
        # A key of every kind needs no word about them.
        options = [] if len(having) == len(options_of(section.prefix)) else options
    if followed(value):
        return
    text = key.meaning
    if value is None and "null" not in text and (filled := key.filled or section.filled) is not Filled.USER:
        text += f"; null = set by {filled.value}"
    if key.example:
        # A shell takes brackets and stars for patterns of its own.
        text += f", as in {shlex.quote(key.example)}"
    if key.unit:
        text += f" [{key.unit}]"
    if options:
        text += f" (with {' or '.join(options)})"
    yield from _entry(f"{key.name}={'...' if value == '???' else written(value)}", text, width)


_ABSENT = object()


def _at(values: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(values, dict) or part not in values:
            return _ABSENT
        values = values[part]
    return values


def _entry(head: str, text: str, width: int) -> Iterator[str]:
    """A head and its text next to it, or below where the head is long."""
    margin = " " * TEXT_COLUMN
    lines = textwrap.wrap(text, max(width - TEXT_COLUMN, 20), break_on_hyphens=False)
    if len(head) + 4 <= TEXT_COLUMN:
        yield f"  {head:<{TEXT_COLUMN - 2}}{lines[0]}"
        lines = lines[1:]
    else:
        yield f"  {head}"
    yield from (margin + line for line in lines)
