"""One command, from its words to its exit code: composing, jobs of a sweep, mistakes in one line.

A plain run goes through Hydra's compose function, which touches neither logging nor the working folder.
Hydra's own main is left the rest: `--multirun`, and flags that only show something (`--help`, `--cfg job`)."""

import os
import select
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from stylegan.configuration.command_line import CommandLine, quote
from stylegan.configuration.compose import (
    VERSION_BASE,
    Composition,
    composed,
    keys_of,
    refuse_empty_groups,
    searchpath,
    without_the_users,
)
from stylegan.configuration.habits import unknown_word
from stylegan.configuration.help import help_lines
from stylegan.configuration.hydra_errors import explain
from stylegan.configuration.keys import Command
from stylegan.configuration.schema import COMMANDS
from stylegan.configuration.suggestions import options_of
from stylegan.configuration.user_code import (
    importable,
    leave_out_unasked,
    mistyped,
    refuse_hidden,
    settle_booleans,
)
from stylegan.errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, EXIT_USER_ERROR, UserError
from stylegan.machine.console import refuse_lost_output, say_error
from stylegan.machine.process import refuse_lost_folder
from stylegan.version import __version__


@dataclass(frozen=True)
class Result:
    """What a command came to.

    Args:
        exit_code: of the command.
        scores: the best value of each result, for sweeps.
        folder: of the run; None = it has none.
    """

    exit_code: int
    scores: Mapping[str, float] = field(default_factory=dict)
    folder: Path | None = None


Task = Callable[[Composition], Result]
Report = Callable[[str], None]


def run_command(
    config_name: str,
    task: Task,
    argv: Sequence[str] | None,
    *,
    program: str,
    report: Report | None = None,
    closing: Callable[[Sequence[Result]], None] | None = None,
    implied: Callable[[Sequence[str]], list[str]] | None = None,
) -> int:
    """Composes `conf/<config_name>.yaml` with the command line, and runs `task` on it.

    With `--multirun` the task runs once a job; the exit code is that of the first job that failed.
    Args:
        program: what begins a line about a mistake.
        report: gets each such line in place of the console.
        closing: called after a sweep of several jobs with what those came to that were not refused.
        implied: gives the words that those of the command line imply, which come before them.
    Returns: the exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)

    def keys() -> list[str]:
        return keys_of(config_name)

    results: list[Result] = []

    def guarded(composition: Composition) -> int:
        def job() -> int:
            results.append(task(composition))
            return results[-1].exit_code

        return exit_code_of(job, program=program, keys=keys, report=report)

    def command() -> int:
        refuse_lost_folder()
        refuse_hidden()
        line = CommandLine(arguments, COMMANDS[config_name])
        refuse_empty_groups(line.overrides)
        if implied is not None and not (line.help or line.version):
            line.overrides = [*implied(line.overrides), *line.overrides]
        with importable(line.config_dir):
            if line.config_dir is not None:
                refuse_hidden()
            shows = line.help or line.version or line.for_hydra
            if report is not None and not line.multirun and shows:
                return 0  # one process shows it
            if line.version:
                return _print_version()
            if line.help:
                return _print_help(config_name, line)
            if line.for_hydra:
                _refuse_unknown(line.overrides, COMMANDS[config_name])
                code = _run_by_hydra(config_name, guarded, line, quiet=report is not None)
                if not line.multirun:
                    refuse_lost_output()  # it only showed something
                elif closing is not None and len(results) > 1:
                    closing(results)
                return code
            try:
                composition = composed(config_name, line.overrides, config_dir=line.config_dir)
            except Exception as error:
                raise UserError("\n".join(_all_faults(config_name, line, error))) from error
            return task(replace(composition, typed=tuple(arguments))).exit_code

    return exit_code_of(command, program=program, keys=keys, report=report)


def _print_help(config_name: str, line: CommandLine) -> int:
    composition = composed(config_name, line.overrides, config_dir=line.config_dir)
    for text in help_lines(COMMANDS[config_name], composition, width=shutil.get_terminal_size().columns):
        print(text)
    refuse_lost_output()
    return 0


def _print_version() -> int:
    print(f"stylegan-lightning {__version__}")
    sys.stdout.flush()
    return 0


def _refuse_unknown(words: Iterable[str], command: Command) -> None:
    """Raises: UserError for words of other programs, which Hydra would answer in its own way."""
    if faults := [fault for word in words if (fault := unknown_word(word, command))]:
        raise UserError("\n".join(faults))


def _all_faults(config_name: str, line: CommandLine, first: Exception) -> list[str]:
    """All that is wrong with the words of a command line, not only what Hydra met first.

    Raises: `first`, or another one that is not a mistake of the user's.
    """
    groups = [word for word in line.overrides if options_of(word.partition("=")[0])]
    accepted: list[str] = []
    faults: list[str] = []
    # What a key may be depends on the groups chosen, so these are checked before.
    for word in groups + [word for word in line.overrides if word not in groups]:
        try:
            composed(config_name, [*accepted, word], config_dir=line.config_dir)
            accepted.append(word)
        except Exception as error:
            chosen = [word for word in groups if word in accepted]
            fault = unknown_word(word, COMMANDS[config_name]) or explain(
                error,
                lambda: keys_of(config_name, chosen, config_dir=line.config_dir),  # noqa: B023
            )
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


def _run_by_hydra(
    config_name: str, task: Callable[[Composition], int], line: CommandLine, *, quiet: bool
) -> int:
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
        overrides = [*settings.overrides.task, *([searchpath(line.config_dir)] if line.config_dir else [])]
        with _sweep_at_rest():
            leave_out_unasked(config, lambda: without_the_users(config_name, choices))
            settle_booleans(config, config_name)
            code = task(Composition(config, choices, swept, tuple(overrides), line.config_dir))
        if code > 128:
            # A signal is meant for the sweep, not for one of its jobs.
            raise SystemExit(code)
        codes.append(code)

    # "Launching 3 jobs": one of several processes says it.
    silence = ["hydra/hydra_logging=none"] if quiet else []
    with TemporaryDirectory() as scratch, _as_command_line([*_sweeping_in(scratch, line), *silence]):
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


def exit_code_of(
    command: Callable[[], int],
    *,
    program: str,
    keys: Callable[[], Iterable[str]] = tuple,
    report: Report | None = None,
) -> int:
    """Runs `command` and turns mistakes, Ctrl-C and SystemExit into an exit code.

    Args:
        keys: gives the keys of the configuration, from which the nearest right one is suggested.
        report: gets each line about a mistake in place of the console.
    Raises: every error that is not a user's mistake.
    """
    try:
        return command()
    except KeyboardInterrupt:
        if report is None:
            say_error(f"{program}: interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        if not _has_no_reader():
            raise  # a pipe to another process of ours
        # `| head` has seen enough. What Python still holds for it must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except Exception as error:
        return report_fault(error, program=program, keys=keys, report=report)


def report_fault(
    error: Exception,
    *,
    program: str,
    keys: Callable[[], Iterable[str]] = tuple,
    report: Report | None = None,
) -> int:
    """Says a mistake of the user's, one line a fault.  Returns: the exit code.  Raises: `error`, where it is none."""
    text = explain(error, keys)
    if text is None:
        raise error
    for fault in text.splitlines() or [""]:
        if report is None:
            say_error(f"{program}: {fault}")
        else:
            report(fault)
    return error.exit_code if isinstance(error, UserError) else EXIT_USER_ERROR


def _has_no_reader() -> bool:
    """Whether the reader of what is said is gone."""
    try:
        number = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return False  # a notebook's or a test's
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
