"""The words of a command line: flags and overrides, free text quoted, and whether it asks for more than a run."""

from collections.abc import Sequence

from stylegan.cli.free_text import quote_free_text
from stylegan.cli.mistakes import UserMistake
from stylegan.cli.nearest import nearest

# Of Hydra's own parser, which answers a flag it does not know with half a page.
FLAGS = (
    *(
        "--help",
        "-h",
        "--hydra-help",
        "--version",
        "--cfg",
        "-c",
        "--resolve",
        "--package",
        "-p",
        "--run",
        "-r",
    ),
    *("--multirun", "-m", "--shell-completion", "-sc", "--config-path", "-cp", "--config-name", "-cn"),
    *("--config-dir", "-cd", "--experimental-rerun", "--info", "-i"),
)


class CommandLine:
    """What a command line asks for.

    arguments: all words, as Hydra reads them. overrides: those that set or choose something.
    config_dir: the folder given by --config-dir, None = none. multirun: one run a value.
    for_hydra: it asks for several runs, or only to be shown something.
    Raises: UserMistake for a flag that there is not, or one without its folder.
    """

    def __init__(self, arguments: Sequence[str]):
        flags = [argument for argument in arguments if argument in ("-m", "--multirun")]
        self.multirun = bool(flags)
        # Hydra's parser loses what follows a flag in the midst of overrides, so the flag goes first.
        rest = [argument for argument in arguments if argument not in flags]
        self.arguments = flags + quote_free_text(rest, multirun=self.multirun)
        self.config_dir: str | None = None
        self.overrides: list[str] = []
        self.for_hydra = False
        words = iter(self.arguments)
        for word in words:
            flag, _, value = word.partition("=")
            if flag in ("--config-dir", "-cd"):
                self.config_dir = value or next(words, "")
                if not self.config_dir:
                    raise UserMistake(f"{flag}: a folder is missing, as in {flag} my_conf")
            elif word.startswith("-"):
                if flag not in FLAGS:
                    raise UserMistake(f"{flag}: there is no such flag" + nearest(flag, FLAGS))
                if flag in ("--cfg", "-c") and (value or next(words, "")) not in ("job", "hydra", "all"):
                    raise UserMistake(f"{flag}: say what to print, as in {flag} job")
                self.for_hydra = True
            else:
                self.overrides.append(word)
