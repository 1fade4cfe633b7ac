"""The words of a command line: flags and overrides, free text quoted, and whether it asks for more than a run."""

import difflib
from collections.abc import Sequence

from stylegan.cli.free_text import quote_free_text
from stylegan.cli.mistakes import UserMistake

# Of Hydra's own parser, which answers a flag it does not know with half a page.
FLAGS_WITH_VALUE = {
    **{"--cfg": "job", "-c": "job", "--package": "generator", "-p": "generator"},
    **{"--config-dir": "my_conf", "-cd": "my_conf", "--config-path": "my_conf", "-cp": "my_conf"},
    **{"--config-name": "train", "-cn": "train", "--experimental-rerun": "config.pickle"},
}
FLAGS = (
    *("--help", "-h", "--hydra-help", "--version", "--resolve", "--run", "-r", "--multirun", "-m"),
    *("--shell-completion", "-sc", "--info", "-i", *FLAGS_WITH_VALUE),
)
SHOWN_BY_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


class CommandLine:
    """What a command line asks for.

    flags, overrides: its words, free text quoted. config_dir: the folder given by --config-dir, None = none.
    multirun: one run a value. for_hydra: it asks for several runs, or only to be shown something.
    Raises: UserMistake for a flag that there is not, or one without its value.
    """

    def __init__(self, arguments: Sequence[str]):
        self.multirun = any(argument in ("-m", "--multirun") for argument in arguments)
        self.config_dir: str | None = None
        self.flags: list[str] = []
        self.overrides: list[str] = []
        self.for_hydra = False
        words = list(quote_free_text(arguments, multirun=self.multirun))
        while words:
            word = words.pop(0)
            if not word.startswith("-"):
                self.overrides.append(word)
                continue
            flag, _, value = word.partition("=")
            if flag not in FLAGS:
                raise UserMistake(f"{flag}: there is no such flag" + _way_out(flag, value, words))
            if flag in FLAGS_WITH_VALUE:
                value = value or (words.pop(0) if words else "")
                self._check_value(flag, value)
            elif flag in ("--info", "-i") and not value and words and words[0] in SHOWN_BY_INFO:
                value = words.pop(0)
            if flag in ("--config-dir", "-cd"):
                self.config_dir = value
            else:
                self.for_hydra = True
            self.flags += [flag, value] if value else [flag]

    @property
    def for_parser(self) -> list[str]:
        """All words in the order that Hydra's parser wants: it loses what follows a flag amid overrides."""
        return self.flags + self.overrides

    @staticmethod
    def _check_value(flag: str, value: str) -> None:
        if not value or flag in ("--cfg", "-c") and value not in ("job", "hydra", "all"):
            raise UserMistake(f"{flag}: a word is missing, as in {flag} {FLAGS_WITH_VALUE[flag]}")


def _way_out(flag: str, value: str, following: list[str]) -> str:
    """A flag of ours that is near, or the word that a key wants to be."""
    if close := difflib.get_close_matches(flag, FLAGS, n=1, cutoff=0.8):
        return f"; did you mean {close[0]}?"
    key = flag.lstrip("-").replace("-", "_")
    if not value and following and not following[0].startswith("-") and "=" not in following[0]:
        value = following[0]
    return f"; keys have no dashes before them: {key}={value or '...'}" if key else ""
