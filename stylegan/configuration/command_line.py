"""Command line: flags and overrides, free text quoted, and whether it asks for more than one run."""

import difflib
import re
import shlex
from collections.abc import Collection, Sequence

from stylegan.configuration.habits import (
    answer,
    is_known,
    is_switch,
    takes_numbers,
    unknown_word,
    word_alone,
)
from stylegan.configuration.keys import Command
from stylegan.configuration.other_programs import truth
from stylegan.configuration.schema import FREE_TEXT_KEYS
from stylegan.errors import UserError

# Of Hydra's own parser, which answers an unknown flag with half a page.
FLAGS_WITH_VALUE = {
    **{"--cfg": "job", "-c": "job", "--package": "generator", "-p": "generator"},
    **{"--config-dir": "my_conf", "-cd": "my_conf", "--config-path": "my_conf", "-cp": "my_conf"},
    **{"--config-name": "train", "-cn": "train", "--experimental-rerun": "config.pickle"},
}
HELP_FLAGS, VERSION_FLAGS = ("--help", "-h"), ("--version", "-V")
FLAGS = (
    *(*HELP_FLAGS, *VERSION_FLAGS, "--hydra-help", "--resolve", "--run", "-r", "--multirun", "-m"),
    *("--shell-completion", "-sc", "--info", "-i", *FLAGS_WITH_VALUE),
)
SHOWN_BY_CFG = ("job", "hydra", "all")
SHOWN_BY_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


class CommandLine:
    """What a command line asks for.

    Args:
        arguments: the words after the program.
        command: whose keys are suggested in place of a flag that there is not; None = none are.
    Attributes:
        flags, overrides: its words, free text quoted.
        config_dir: the folder given by --config-dir; None = none.
        multirun: one run a value.
        help, version: it asks for the command's own help, or for the version.
        for_hydra: it asks for several runs, or for something that Hydra shows.
    Raises:
        UserError: flags that there are not, or that lack their value, words parted by blanks around `=`, and words
            alone that are known to mean something, one line each.
    """

    def __init__(self, arguments: Sequence[str], command: Command | None = None):
        self.multirun = any(argument in ("-m", "--multirun") for argument in arguments)
        self.config_dir: str | None = None
        self.flags: list[str] = []
        self.overrides: list[str] = []
        self.help = self.for_hydra = False
        self.version = False
        words, faults = _put_together(arguments)
        # As typed, the option or key, its value: what another program would understand.
        foreign: list[tuple[str, str, str]] = []
        while words:
            word = words.pop(0)
            if not _is_flag(word):
                self.overrides += quote_free_text([word], multirun=self.multirun)
                unknown = command is not None and unknown_word(word, command) is not None
                alone = "=" not in word and not word.startswith("~")
                foreign.append((word, *word.split("=", 1)) if unknown else (word, word if alone else "", ""))
                continue
            flag, _, value = word.partition("=")
            if flag not in FLAGS:
                value = value or (words.pop(0) if words and _is_value(flag, words[0], command) else "")
                while (
                    value
                    and command
                    and takes_numbers(flag, command)
                    and words
                    and _NUMBER.fullmatch(words[0])
                ):
                    value += f",{words.pop(0)}"
                typed = f"{flag} {value}" if value else flag
                if command is None or (near := _near_flag(flag, command)):
                    faults.append(f"{flag}: there is no such flag{near if command else ''}")
                else:
                    foreign.append((typed, flag, value))
                continue
            if flag in FLAGS_WITH_VALUE:
                value = value or (words.pop(0) if words else "")
                if flag == "--cfg" and command and value and value not in SHOWN_BY_CFG:
                    foreign.append((f"{flag} {value}", flag, value))
                    continue
                faults += _value_faults(flag, value)
            elif flag in ("--info", "-i") and not value and words and words[0] in SHOWN_BY_INFO:
                value = words.pop(0)
            foreign += [(part, "", "") for part in (flag, value) if part]
            if flag in ("--config-dir", "-cd"):
                self.config_dir = value
            elif flag in HELP_FLAGS:
                self.help = True
                continue
            elif flag in VERSION_FLAGS:
                self.version = True
                continue
            else:
                self.for_hydra = True
            self.flags += [flag, value] if value else [flag]
        if command and any(_is_flag(option) for _, option, _ in foreign):
            faults += answer(foreign, command)
        elif command:
            faults += [
                line
                for typed, option, _ in foreign
                if option == typed and (line := word_alone(typed, command))
            ]
        if faults:
            raise UserError("\n".join(faults))

    @property
    def for_parser(self) -> list[str]:
        """All words in the order that Hydra's parser needs: it loses what follows a flag among overrides."""
        return self.flags + self.overrides


def _put_together(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words, with those as one that blanks around `=` have parted, as in `seed = 3`; and a line about each."""
    rest, words, faults = list(arguments), [], []
    while rest:
        parts = [rest.pop(0)]
        if "=" not in parts[0] and rest and rest[0].startswith("="):
            parts.append(rest.pop(0))
        opened = re.fullmatch(r"[^=]+=", "".join(parts))
        if opened and rest and "=" not in rest[0] and not _is_flag(rest[0]):
            parts.append(rest.pop(0))
        words.append("".join(parts))
        if len(parts) > 1:
            faults.append(f"{' '.join(parts)}: write it without blanks around =: {shlex.quote(words[-1])}")
    return words, faults


def _is_flag(word: str) -> bool:
    """Whether a word is a flag; a number below 0 is a value."""
    return re.match(r"-[^\d.]", word) is not None


def _is_value(flag: str, word: str, command: Command | None) -> bool:
    """Whether a word after a flag is its value, and neither a flag nor an override."""
    if command and is_switch(flag.lstrip("-").replace("-", "_"), command):
        return truth(word) is not None
    override = _OVERRIDE.fullmatch(word)
    known = override and (
        command is None or override["name"] in command.keys or override["name"] in _groups(command)
    )
    return not _is_flag(word) and not known


def _groups(command: Command) -> list[str]:
    return [group.name for group in command.groups]


def _value_faults(flag: str, value: str) -> list[str]:
    """What is wrong with the value of one of Hydra's flags, as a list of one line or none."""
    shows = flag in ("--cfg", "-c")
    if not value or shows and value not in SHOWN_BY_CFG:
        return [f"{flag}: a word is missing, as in {flag} {FLAGS_WITH_VALUE[flag]}"]
    return []


def _near_flag(flag: str, command: Command) -> str:
    """`; did you mean --config-dir?`, where a flag of ours is near and no option of another program is meant."""
    close = difflib.get_close_matches(flag, FLAGS, n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close and not is_known(flag, command) else ""


_OVERRIDE = re.compile(r"(?P<key>(?:\+\+?)?(?P<name>[\w.]+))=(?P<value>.*)", re.DOTALL)
_NUMBER = re.compile(r"[-+]?[\d.]+(?:e[-+]?\d+)?")
_ONE_PAIR_OF_QUOTES = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_CHOICE = re.compile(r"choice\(.*\)", re.DOTALL)
_CHOICE_ITEM = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?<=[(,])[^,'"]*\$\{[^{},'"]*\}?[^,'"()]*""", re.DOTALL
)
# Backslashes before it are read in pairs, and one that is left over makes it plain text.
_REFERENCE = re.compile(r"(\\*)\$\{")


def quote_free_text(
    arguments: Sequence[str], *, multirun: bool = False, keys: Collection[str] = FREE_TEXT_KEYS
) -> list[str]:
    """The command line with the values of free-text keys quoted for Hydra; the rest as it is.

    Left alone: `null`, text that is already in one pair of quotes, and with `multirun` a `choice(...)`, which
    asks for a sweep, but for `${` in its items. The text `???` cannot be given: OmegaConf keeps it for missing values.
    """
    return [_quote_argument(argument, multirun, keys) for argument in arguments]


def _quote_argument(argument: str, multirun: bool, keys: Collection[str]) -> str:
    match = _OVERRIDE.fullmatch(argument)
    if match is None or match["name"] not in keys:
        return argument
    value = match["value"]
    if value == "null" or _ONE_PAIR_OF_QUOTES.fullmatch(value):
        return argument
    if multirun and _CHOICE.fullmatch(value):
        return f"{match['key']}={_CHOICE_ITEM.sub(_literal_item, value)}"
    return f"{match['key']}={quote(value)}"


def _literal_item(item: re.Match[str]) -> str:
    """One of a `choice(...)`, in which `${` is text; an item without it stays as it is."""
    text = item[0]
    if not refers(text):
        return text
    if text[0] not in "'\"":
        return quote(text.strip())
    # What the user has escaped is so already.
    return _REFERENCE.sub(lambda m: m[0] if len(m[1]) % 2 else literal(m[0]), text)


def quote(text: str) -> str:
    """`text` in the quotes and escapes that bring it through Hydra and OmegaConf unchanged."""
    # Backslashes before a quote, the closing one included, are read in pairs.
    inner = re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), literal(text))
    return f"'{inner}'"


def literal(text: str) -> str:
    """`text` as a value that OmegaConf gives back as it is, `${` being no interpolation."""
    return _REFERENCE.sub(lambda m: m[1] * 2 + r"\${", text)


def unescaped(written: str) -> str:
    """The text that `literal` was given. What refers to another key stays as it is written, and is not looked up."""
    return _REFERENCE.sub(lambda m: m[1][: len(m[1]) // 2] + "${" if len(m[1]) % 2 else m[0], written)


def refers(written: str) -> bool:
    """Whether a value, as it is written, follows another one by `${...}`; what `literal` gives does not."""
    return any(len(found[1]) % 2 == 0 for found in _REFERENCE.finditer(written))
