"""From a command line to a configuration: one way for the commands, notebooks and tests.

A plain run goes through Hydra's compose function, which touches neither logging nor the working folder.
Hydra's own main is left the rest: `--multirun`, and flags that only show something (`--help`, `--cfg job`).
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import hydra
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

import stylegan.config  # noqa: F401  (registers the schema that train.yaml begins with)
from stylegan.cli.free_text import quote, quote_free_text
from stylegan.cli.mistakes import UserMistake, exit_code_of

VERSION_BASE = "1.3"


@dataclass(frozen=True)
class Composition:
    """A composed configuration, and what it alone does not tell."""

    config: DictConfig
    choices: Mapping[str, str | None]  # group -> the file that was chosen
    swept: Mapping[str, str] = field(default_factory=dict)  # with --multirun: key -> this job's value
    overrides: Sequence[str] = ()  # what it was composed with, in Hydra's grammar


def run_command(
    config_name: str, task: Callable[[Composition], int], argv: Sequence[str] | None, *, program: str
) -> int:
    """Composes `conf/<config_name>.yaml` with the command line, runs `task` on it, and returns the exit code.

    With `--multirun` the task runs once a job; the code is that of the first job that failed.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)

    def guarded(composition: Composition) -> int:
        return exit_code_of(lambda: task(composition), program=program)

    def command() -> int:
        line = _CommandLine(arguments)
        if line.for_hydra:
            return _run_by_hydra(config_name, guarded, line)
        return task(composed(config_name, line.overrides, config_dir=line.config_dir))

    return exit_code_of(command, program=program, keys=lambda: keys_of(config_name))


def composed(
    config_name: str, overrides: Sequence[str] = (), *, config_dir: str | None = None
) -> Composition:
    """The configuration, composed without side effects; `overrides` are in Hydra's grammar.

    Args: config_dir: a folder with the user's own groups, searched beside ours.
    Raises: Hydra's and OmegaConf's errors; UserMistake where config_dir is no folder.
    """
    overrides = list(overrides)
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise UserMistake(f"--config-dir {config_dir}: there is no such folder")
        overrides.append(_searchpath(config_dir))
    with initialize_config_module("conf", version_base=VERSION_BASE):
        config = compose(config_name, overrides, return_hydra_config=True)
    choices = OmegaConf.to_container(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return Composition(config, choices, overrides=tuple(overrides))


def _searchpath(config_dir: str) -> str:
    return f"hydra.searchpath=[{quote('file://' + os.path.abspath(config_dir))}]"


def keys_of(config_name: str) -> list[str]:
    """All groups and dotted keys of a configuration as it is without a command line."""
    composition = composed(config_name)
    groups = [group for group in composition.choices if not group.startswith("hydra/")]
    return groups + list(_dotted(OmegaConf.to_container(composition.config)))


def _dotted(tree: Mapping, prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield prefix + str(key)
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")


class _CommandLine:
    """The command line, free text quoted, and whether it asks for more than a plain run."""

    def __init__(self, arguments: Sequence[str]):
        flags = [argument for argument in arguments if argument in ("-m", "--multirun")]
        self.multirun = bool(flags)
        # Hydra's parser loses what follows a flag in the midst of overrides, so the flag goes first.
        rest = [argument for argument in arguments if argument not in flags]
        self.arguments = flags + quote_free_text(rest, multirun=self.multirun)
        self.config_dir: str | None = None
        self.overrides: list[str] = []
        self.for_hydra = False
        rest = iter(self.arguments)
        for argument in rest:
            if argument in ("--config-dir", "-cd"):
                self.config_dir = next(rest, "")
            elif argument.startswith("--config-dir="):
                self.config_dir = argument.partition("=")[2]
            elif argument.startswith("-"):
                self.for_hydra = True
            else:
                self.overrides.append(argument)


def _run_by_hydra(config_name: str, task: Callable[[Composition], int], line: _CommandLine) -> int:
    codes = [0]
    parser = OverridesParser.create()
    swept_keys = set()
    if line.multirun:
        parsed = parser.parse_overrides([argument for argument in line.overrides if "=" in argument])
        swept_keys = {override.get_key_element() for override in parsed if override.is_sweep_override()}

    def job(config: DictConfig) -> None:
        settings = HydraConfig.get()
        by_config = settings.sweeper.get("params") or {}
        values = {
            override.get_key_element(): str(override.value())
            for override in parser.parse_overrides(list(settings.overrides.task))
        }
        swept = {key: value for key, value in values.items() if key in swept_keys or key in by_config}
        overrides = [*settings.overrides.task, *([_searchpath(line.config_dir)] if line.config_dir else [])]
        code = task(Composition(config, dict(settings.runtime.choices), swept, tuple(overrides)))
        if code > 128:
            # A signal is meant for the sweep, not for one of its jobs.
            raise SystemExit(code)
        codes.append(code)

    with _as_command_line(line.arguments):
        hydra.main(version_base=VERSION_BASE, config_path="pkg://conf", config_name=config_name)(job)()
    return next((code for code in codes if code), 0)


@contextmanager
def _as_command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra's main reads `sys.argv`, and by default prints errors itself and leaves with code 1."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = [argv[0], *arguments], "1"
    try:
        yield
    finally:
        sys.argv = argv
        os.environ.pop("HYDRA_FULL_ERROR")
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error
