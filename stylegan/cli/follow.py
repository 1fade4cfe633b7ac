"""A process of a run that is not the first: it composes nothing, and does what it is told."""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stylegan.cli.command import exit_code_of
from stylegan.cli.fitting import build, fit, quiet_lightning
from stylegan.configuration.command_line import CommandLine
from stylegan.configuration.hydra_errors import explain, instantiate_part
from stylegan.configuration.user_code import importable
from stylegan.distributed.launch import Team
from stylegan.distributed.processes import Process, is_lost_connection
from stylegan.errors import EXIT_TRY_AGAIN, ProcessLostError, TrainingUnstableError
from stylegan.machine.process import end_with_starter


def follow(process: Process, argv: Sequence[str]) -> int:
    """Takes part in the runs that rank 0 leads, one after the other.  Returns: the exit code."""
    end_with_starter()
    quiet_lightning()
    return exit_code_of(lambda: _follow(process, argv), program=f"process {process.rank} of {process.world}")


def _follow(process: Process, argv: Sequence[str]) -> int:
    with importable(CommandLine(argv).config_dir):
        try:
            team = Team(process)
            message = team.hear()
            while "leave" not in message:
                message = _take_part(team, message)
            team.leave()
            return message["leave"]
        except ProcessLostError:
            return EXIT_TRY_AGAIN  # rank 0 says so, if it is there
        except RuntimeError as error:
            if is_lost_connection(error):
                return EXIT_TRY_AGAIN
            raise


def _take_part(team: Team, message: dict[str, Any]) -> dict[str, Any]:
    """One run.  Returns: what comes after it."""
    config = OmegaConf.create(message["config"])
    checkpoint, fault = _path(message), None
    try:
        data = _opened(config, checkpoint)
        parts = build(config)
    except Exception as error:
        # Whatever it is: rank 0 waits for the answer.
        told = str(error) if isinstance(error, ValueError | OSError) else explain(error)
        if told is None:
            traceback.print_exc()
        fault = f"{team.name}: {' '.join((told or repr(error)).split())}"
    team.report(fault)
    answer = team.hear()
    if "leave" in answer:
        return answer
    if not answer["go"]:
        return team.hear()
    while True:
        if message["rollbacks"] is not None:
            parts.module.went_back(message["rollbacks"])
        try:
            fit(parts, data, checkpoint)
        except Exception as error:
            if not isinstance(error, TrainingUnstableError):
                raise
        message = team.hear()
        if "rollbacks" not in message or "config" in message:
            return message
        checkpoint = _path(message)
        parts = build(config)


def _opened(config: DictConfig, checkpoint: Path | None) -> Any:
    """The data.  Raises: ValueError where this process sees other files than rank 0."""
    if checkpoint is not None and not checkpoint.exists():
        raise ValueError(f"{checkpoint} is not there; runs_dir must lie on a disk that all nodes share")
    data = instantiate_part(config, "data", _convert_="all")
    data.setup("fit")
    if getattr(data, "fingerprint", None) != config.data_fingerprint:
        raise ValueError(
            f"the pictures in {config.data.get('path')} are not those of process 0; copy the same to each node"
        )
    return data


def _path(message: dict[str, Any]) -> Path | None:
    return None if message["checkpoint"] is None else Path(message["checkpoint"])
