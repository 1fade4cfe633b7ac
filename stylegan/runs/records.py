"""A run folder's own records: configuration, events, and whether it can be written."""

import json
import os
import shlex
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from stylegan.configuration.command_line import literal
from stylegan.errors import EXIT_TRY_AGAIN, UserError
from stylegan.machine.files import append_whole, refusal, replacing
from stylegan.runs.config_diff import Change
from stylegan.runs.folder import RunFolder
from stylegan.runs.lock import RunLock, RunLockedError
from stylegan.version import __version__


def refuse_unwritable(folder: RunFolder) -> None:
    """Raises: ValueError where the run folder cannot be made or written, which would show only after minutes."""
    if any("\udc80" <= character <= "\udcff" for character in str(folder.path)):
        raise ValueError(
            f"{folder.path}: this name is no UTF-8, which files of TensorBoard must have; set name=... or runs_dir=..."
        )
    place = next(path for path in (folder.path, *folder.path.absolute().parents) if path.exists())
    if not place.is_dir():
        raise ValueError(f"{folder.path} cannot be made: {place} is a file; set runs_dir=... or name=...")
    # Those within it, too: a checkpoint that cannot be written is noticed after hours.
    for inner in (place, folder.checkpoints, folder.snapshots):
        if inner.exists() and not os.access(inner, os.W_OK | os.X_OK):
            raise ValueError(
                f"{folder.path} cannot be written: {inner} is read-only for you; set runs_dir=..."
            )
        if inner.exists() and not os.access(inner, os.R_OK):
            raise ValueError(f"{folder.path} cannot be used: you may not read {inner}; set runs_dir=...")


def locked(folder: RunFolder) -> RunLock:
    """The lock of a folder, held.

    Raises: ValueError where another process has it, or none can be made; UserError with the code to try again
    where it is unknown whether that process is gone, as on another machine: one that was taken away leaves its
    lock behind, which ages.
    """
    lock = RunLock(folder.path)
    try:
        lock.acquire()
    except RunLockedError as error:
        if error.may_be_gone:
            raise UserError(str(error), exit_code=EXIT_TRY_AGAIN) from error
        raise
    except OSError as error:
        raise ValueError(f"{folder.path} cannot be written ({error.strerror}); set runs_dir=...") from error
    return lock


def wandb_id_values(config: DictConfig, before: Mapping[str, Any]) -> dict[str, str]:
    """The id of a run at Weights & Biases, which it keeps, so that a run that continues is one curve there, too.

    Args: before: the values that the folder's run was last started with.
    Returns: {"logger.wandb.id": id}, or {} where none is needed.
    """
    node = config.logger.get("wandb")
    if node is None or "id" not in node or node.id is not None:
        return {}
    loggers = before.get("logger")
    stored = loggers.get("wandb") if isinstance(loggers, Mapping) else None
    known = stored.get("id") if isinstance(stored, Mapping) else None
    # Else a `_target_` in a stranger's folder would be called with the logger.
    return {"logger.wandb.id": literal(known) if known and isinstance(known, str) else uuid.uuid4().hex[:8]}


def record_start(
    folder: RunFolder,
    words: Sequence[str],
    *,
    choices: Mapping[str, str | None],
    resume: str,
    checkpoint: Path | None,
) -> None:
    """Appends to `events.jsonl` the command of this start, as a shell takes it, where it was given, and its groups.

    Args:
        words: of the command line, as they were typed.
        choices: group -> the file that was chosen.
        resume: the value of that key.
        checkpoint: from which the run continues; None = it begins.
    """
    chosen = {group: option for group, option in choices.items() if not group.startswith("hydra/")}
    command = f"python train.py {shlex.join(words)}".rstrip()
    values = {"command": command, "working_dir": os.getcwd(), "groups": chosen, "resume": resume}
    with suppress(OSError):  # a full disk costs the line, not the run
        _record(folder, "start", checkpoint, {**values, "version": __version__})


def last_start(folder: RunFolder) -> dict[str, Any]:
    """The newest `start` of `events.jsonl`; {} where there is none that can be read."""
    return next(reversed(starts(folder)), {})


def starts(folder: RunFolder) -> list[dict[str, Any]]:
    """Each `start` of `events.jsonl` that can be read, oldest first."""
    found = []
    with suppress(OSError):
        for line in folder.events.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, RecursionError):
                event = json.loads(line)
                if isinstance(event, dict) and event.get("event") == "start":
                    found.append(event)
    return found


def record_changes(folder: RunFolder, changes: Iterable[Change], checkpoint: Path | None) -> None:
    """Appends to `events.jsonl` what was changed under a resumed run."""
    for change in changes:
        _record(folder, "allow_change", checkpoint, change._asdict())


def record_transfer(folder: RunFolder, path: str, sha256: str, shares: Mapping[str, float]) -> None:
    """Appends to `events.jsonl` from which file a run began, and the share of each network that came from it."""
    with suppress(OSError):  # a full disk costs the line, not the run
        _record(folder, "transfer", None, {"path": path, "sha256": sha256, "shares": dict(shares)})


def record_rollback(
    folder: RunFolder, reason: str, kimg: float, checkpoint: Path | None, rollbacks: int
) -> None:
    """Appends to `events.jsonl` that the run goes back, or would have."""
    with suppress(OSError):  # a full disk costs the line, not the run
        _record(folder, "rollback", checkpoint, {"reason": reason, "kimg": kimg, "rollbacks": rollbacks})


def _record(folder: RunFolder, event: str, checkpoint: Path | None, values: Mapping[str, Any]) -> None:
    name = checkpoint.name if checkpoint else None
    line = json.dumps({"timestamp": time.time(), "event": event, "checkpoint": name, **values})
    append_whole(folder.events, f"{line}\n")


def unusable_file(error: OSError) -> UserError:
    """The one line about a file of the run that the system refuses, before anything is trained."""
    which = "a file of the run: " if error.filename is None else ""
    return UserError(
        f"{which}{refusal(error)}; nothing was trained; correct that, and the same command continues"
    )


@contextmanager
def needing_files() -> Iterator[None]:
    """Inside, a file that the system refuses ends the start.  Raises: UserError."""
    try:
        yield
    except OSError as error:
        raise unusable_file(error) from error


@contextmanager
def put_back_unless(begun: Callable[[], bool], folder: RunFolder) -> Iterator[None]:
    """Gives a folder back the configuration and events that it had, where the change was never trained.

    Else a checkpoint that does not fit the change would be refused to the command that it was made with, too.
    A folder that was empty is so again.
    Raises: UserError where these two cannot be read.
    """
    with needing_files():
        own = (folder.config, folder.events, folder.transfer_json, folder.transfer_text)
        former = {path: path.read_bytes() for path in own if path.exists()}
    empty = not folder.in_use
    try:
        yield
    finally:
        if (former or empty) and not begun():
            with suppress(OSError):  # its own error says what went wrong
                for path in own:
                    _put_back(path, former.get(path))
                if empty:
                    folder.remove_contents()


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    elif not path.exists() or path.read_bytes() != content:
        with replacing(path) as file:
            file.write(content)


def write_config(config: DictConfig, folder: RunFolder) -> None:
    """Writes `config.yaml`: every value resolved, for OmegaConf to read back as it is.

    Raises: ValueError where the folder cannot be written.
    """
    text = resolved_text(config)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        with replacing(folder.config) as file:
            file.write(text.encode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"{folder.path} cannot be written ({reason}); set runs_dir=...") from error


def resolved_text(config: DictConfig) -> str:
    """A complete configuration as YAML, every value resolved, for OmegaConf to read back as it is."""

    plain = escaped(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    return OmegaConf.to_yaml(OmegaConf.create(plain))


def escaped(value: Any) -> Any:
    """Plain values as OmegaConf gives them back as they are: a `${...}` in a text is looked up nowhere."""
    return with_texts(value, literal)


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Plain values with each text changed, at any depth; keys stay."""
    if isinstance(value, dict):
        return {key: with_texts(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [with_texts(item, change) for item in value]
    return change(value) if isinstance(value, str) else value
