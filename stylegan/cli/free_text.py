r"""Free text on the command line: values that Hydra's grammar would tear apart.

A path or a list of seeds may hold commas, blanks, `=`, brackets or `${`. Hydra would sweep over the comma,
stop at the blank and look up the `${...}`. So the values of the keys below are put in quotes before Hydra
sees them, and the user writes what any other program would take: `data.path=my,pictures (1).zip`.

Two grammars read the text one after the other:
- Hydra's: inside single quotes only a quote, and backslashes before it or at the end, need a backslash;
- OmegaConf's: `${` would be an interpolation, and `\${` is the text `${`. Backslashes before it count twice.
"""

import re
from collections.abc import Collection, Sequence

FREE_TEXT_KEYS = frozenset(
    {
        "name",
        "runs_dir",
        "data.path",
        "data.labels_path",
        "data.cache_dir",
        "transfer.path",
        "resume",
        "network",
        "seeds",
        "label",
        "out",
        "detector_path",
        "cache_dir",
        "callbacks.metrics.detector_path",
        "callbacks.metrics.cache_dir",
        "logger.wandb.name",
        "logger.wandb.project",
    }
)

_OVERRIDE = re.compile(r"(?P<key>(?:\+\+?)?(?P<name>[\w.]+))=(?P<value>.*)", re.DOTALL)
_ONE_PAIR_OF_QUOTES = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_CHOICE = re.compile(r"choice\(.*\)", re.DOTALL)


def quote_free_text(
    arguments: Sequence[str], *, multirun: bool = False, keys: Collection[str] = FREE_TEXT_KEYS
) -> list[str]:
    """The command line with the values of free-text keys quoted for Hydra; the rest as it is.

    Left alone: `null`, text that is already in one pair of quotes, and with `multirun` a `choice(...)`, which
    asks for a sweep. Not to be had is the text `???`: OmegaConf keeps it for values that are missing.
    """
    return [_quote_argument(argument, multirun, keys) for argument in arguments]


def _quote_argument(argument: str, multirun: bool, keys: Collection[str]) -> str:
    match = _OVERRIDE.fullmatch(argument)
    if match is None or match["name"] not in keys:
        return argument
    value = match["value"]
    if value == "null" or _ONE_PAIR_OF_QUOTES.fullmatch(value) or (multirun and _CHOICE.fullmatch(value)):
        return argument
    return f"{match['key']}={quote(value)}"


def quote(text: str) -> str:
    """`text` in the quotes and escapes that bring it through Hydra and OmegaConf unchanged."""
    # Backslashes before a quote, the closing one included, are read in pairs.
    inner = re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), literal(text))
    return f"'{inner}'"


def literal(text: str) -> str:
    """`text` as a value that OmegaConf gives back as it is, `${` being no interpolation."""
    if "${" not in text:
        return text
    return re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + r"\${", text)
