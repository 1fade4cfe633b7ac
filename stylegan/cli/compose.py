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
from tempfile import TemporaryDirectory

import hydra
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

import stylegan.config  # noqa: F401  (registers the schema that train.yaml begins with)
from stylegan.cli.arguments import mistyped
from stylegan.cli.command_line import CommandLine
from stylegan.cli.free_text import literal, quote
from stylegan.cli.mistakes import UserMistake, exit_code_of, explain
from stylegan.cli.nearest import options_of
from stylegan.cli.own_files import importable, leave_out_unasked

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

    def keys() -> list[str]:
        return keys_of(config_name)

    def run(composition: Composition) -> int:
        _find_home(composition.config)
        return task(composition)

    def guarded(composition: Composition) -> int:
        return exit_code_of(lambda: run(composition), program=program, keys=keys)

    def command() -> int:
        line = CommandLine(arguments)
        refuse_empty_groups(line.overrides)
        with importable(line.config_dir):
            if line.for_hydra:
                return _run_by_hydra(config_name, guarded, line)
            try:
                composition = composed(config_name, line.overrides, config_dir=line.config_dir)
            except Exception as error:
                raise UserMistake("\n".join(_all_faults(config_name, line, error))) from error
            return run(composition)

    return exit_code_of(command, program=program, keys=keys)


def _find_home(config: DictConfig) -> None:
    """Writes out `~` in `runs_dir`: the shell leaves it in the middle of a word, and much is read from this key."""
    place = config.get("runs_dir")
    if isinstance(place, str) and place.startswith("~"):
        config.runs_dir = literal(os.path.expanduser(place))


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
    leave_out_unasked(config, lambda: _without_the_users(config_name, choices))
    return Composition(config, choices, overrides=tuple(overrides))


def _without_the_users(config_name: str, choices: Mapping[str, str | None]) -> DictConfig:
    """The configuration of our files alone: the groups that are chosen, and no value set anywhere else."""
    chosen = [f"{group}={option}" for group, option in choices.items() if option in options_of(group)]
    return composed(config_name, [word for word in chosen if not word.startswith("experiment=")]).config


def refuse_empty_groups(overrides: Sequence[str]) -> None:
    """`data=null` chooses no file.  Raises: UserMistake with the files there are, one line a group."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    empty = [override for override in parsed if override.key_or_group == ""]
    faults = [f"{override.input_line}: the key before = is missing" for override in empty]
    for override in parsed:
        options = options_of(override.key_or_group)
        chosen = isinstance(override.value(), str | list | dict) or override.is_sweep_override()
        if options and not chosen and not override.is_delete():
            faults.append(f"{override.input_line}: choose one of {', '.join(options)}, or leave it out")
    if faults:
        raise UserMistake("\n".join(faults))


def _all_faults(config_name: str, line: CommandLine, first: Exception) -> list[str]:
    """All that is wrong with the words of a command line, not only what Hydra met first.

    Raises: `first`, or another one that is no mistake of the user's.
    """
    groups = [word for word in line.overrides if options_of(word.partition("=")[0])]
    accepted: list[str] = []
    faults: list[str] = []
    # What a key may be depends on the groups chosen, so these are judged before.
    for word in groups + [word for word in line.overrides if word not in groups]:
        try:
            composed(config_name, [*accepted, word], config_dir=line.config_dir)
            accepted.append(word)
        except Exception as error:
            chosen = [word for word in groups if word in accepted]
            fault = explain(error, lambda: keys_of(config_name, chosen, config_dir=line.config_dir))  # noqa: B023
            if fault is None:
                raise
            faults.append(fault)
    if not faults:
        raise first
    # The constructors are read for the rest only where something is said to them: their import takes seconds.
    keys = {word.partition("=")[0].lstrip("+") for word in accepted if "." in word.partition("=")[0]}
    if keys:
        faults += mistyped(composed(config_name, accepted, config_dir=line.config_dir).config, only=keys)
    return faults


def _searchpath(config_dir: str) -> str:
    return f"hydra.searchpath=[{quote('file://' + os.path.abspath(config_dir))}]"


def keys_of(config_name: str, overrides: Sequence[str] = (), *, config_dir: str | None = None) -> list[str]:
    """All groups and dotted keys of a configuration; without overrides, of the one nobody has changed."""
    composition = composed(config_name, overrides, config_dir=config_dir)
    groups = [group for group in composition.choices if not group.startswith("hydra/")]
    return groups + list(_dotted(OmegaConf.to_container(composition.config)))


def _dotted(tree: Mapping, prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield prefix + str(key)
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")


@contextmanager
def _sweep_at_rest() -> Iterator[None]:
    """Inside a job of --multirun: lets the job compose for itself, which Hydra allows but one at a time."""
    sweep = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().clear()
        GlobalHydra.instance().initialize(sweep)


def _run_by_hydra(config_name: str, task: Callable[[Composition], int], line: CommandLine) -> int:
    codes = [0]
    parser = OverridesParser.create()
    swept_keys = set()
    if line.multirun:
        parsed = parser.parse_overrides([argument for argument in line.overrides if "=" in argument])
        swept_keys = {override.get_key_element() for override in parsed if override.is_sweep_override()}

    def job(config: DictConfig) -> None:
        settings = HydraConfig.get()
        choices = dict(settings.runtime.choices)
        by_config = settings.sweeper.get("params") or {}
        values = {
            override.get_key_element(): str(override.value())
            for override in parser.parse_overrides(list(settings.overrides.task))
        }
        swept = {key: value for key, value in values.items() if key in swept_keys or key in by_config}
        overrides = [*settings.overrides.task, *([_searchpath(line.config_dir)] if line.config_dir else [])]
        with _sweep_at_rest():
            leave_out_unasked(config, lambda: _without_the_users(config_name, choices))
            code = task(Composition(config, choices, swept, tuple(overrides)))
        if code > 128:
            # A signal is meant for the sweep, not for one of its jobs.
            raise SystemExit(code)
        codes.append(code)

    with TemporaryDirectory() as scratch, _as_command_line(_sweeping_in(scratch, line)):
        hydra.main(version_base=VERSION_BASE, config_path="pkg://conf", config_name=config_name)(job)()
    return next((code for code in codes if code), 0)


def _sweeping_in(scratch: str, line: CommandLine) -> list[str]:
    """The command line with Hydra's own notes on a sweep sent to `scratch`: the runs' folders hold all of ours.

    A launcher of the user's choice may need a folder that other machines see, and keeps the configured one.
    """
    chosen = any(word.lstrip("+").startswith(("hydra.sweep", "hydra/launcher")) for word in line.overrides)
    if not line.multirun or chosen:
        return line.for_parser
    return [*line.for_parser, f"hydra.sweep.dir={quote(scratch)}"]


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
