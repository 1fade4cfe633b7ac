"""A run's folder before the training: whether it can be written, what it goes on from, what is moved aside."""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from stylegan.atomic import replacing
from stylegan.checkpoint_files import damage_of, images_in, newest_good
from stylegan.cli.drift import Change
from stylegan.cli.free_text import literal
from stylegan.cli.mistakes import EXIT_TRY_AGAIN, UserMistake
from stylegan.run_folder import RunFolder, images_of
from stylegan.run_lock import RunLock, RunLocked


@contextmanager
def _disk_may_answer_later() -> Iterator[None]:
    """Inside, a file that the system refuses ends the command as what may pass by itself; nothing else is taken."""
    try:
        yield
    except OSError as error:
        refused = "renamed" if error.filename2 else "read"
        raise UserMistake(
            f"{error.filename or 'a checkpoint'} cannot be {refused} ({error.strerror}), and no older checkpoint is"
            " taken for it; repeat the command once the disk answers, or move that away by hand",
            exit_code=EXIT_TRY_AGAIN,
        ) from error


@_disk_may_answer_later()
def last_good(folder: RunFolder) -> tuple[Path | None, list[str]]:
    """As `newest_good`. Raises: UserMistake with the code to try again where the disk does not answer."""
    return newest_good(folder)


@_disk_may_answer_later()
def find_checkpoint(
    resume: str, folder: RunFolder, *, overwrite: bool = False
) -> tuple[Path | None, list[str]]:
    """The checkpoint that `resume` asks to go on from, None = begin; and what is to be said about it.

    Of a run's folder it is the newest that is as it was written; a damaged one is set aside as `….ckpt.bad`.
    A run that began from another one goes on from its own, once it has any.

    Args: resume: `auto`, `never`, or the path of a checkpoint or of a run folder. overwrite: the folder will be
        moved aside before the run begins.
    Raises: ValueError where the path leads to none, or where a beginning would be mixed with an older run;
        UserMistake with the code to try again where a checkpoint cannot be read now.
    """
    if resume == "auto":
        found, said = newest_good(folder)
        if said and found is None:
            said.append("no other checkpoint is there: the run begins anew")
        return found, said
    newest = folder.newest_checkpoint()
    if resume == "never":
        if folder.in_use and not overwrite:
            holds = f" ({newest.name})" if newest else ""
            raise ValueError(
                f"resume=never, but {folder.path} holds a run already{holds}; set another name=..., or"
                " overwrite=true, which moves it aside"
            )
        return None, []
    return _named_checkpoint(resume, folder, newest)


def _named_checkpoint(resume: str, folder: RunFolder, newest: Path | None) -> tuple[Path, list[str]]:
    """As `find_checkpoint`, for a path. Args: newest: the run's own newest checkpoint, None = it has none."""
    path = Path(resume)
    aside: list[str] = []
    other_run = newest is not None and not _holds(folder, path)
    if other_run and _began_from(folder, path):
        # The same command again, after an interruption: what was trained since the branch is not trained anew.
        own, aside = newest_good(folder)
        if own is not None:
            return own, [
                *aside,
                f"resume={resume}: this run began there, and goes on from its own checkpoint",
            ]
        other_run = False
    found, said = newest_good(RunFolder(path)) if path.is_dir() else (path, [])
    if found is None or not found.exists():
        raise ValueError(f"resume={resume}: there is no such checkpoint, nor a run folder that holds one")
    if other_run:
        raise ValueError(
            f"resume={resume}: {folder.path} holds a run already ({newest.name}); leave resume out, and it goes on"
            " from there, or set another name= to branch off"
        )
    # Asked again: of this very folder a damaged one may have been set aside just now.
    newest = folder.newest_checkpoint()
    if newest is not None and found.name != newest.name:
        raise ValueError(
            f"resume={resume}: this run has {newest.name}, and two histories in one folder would be mixed;"
            " set another name= to branch off"
        )
    damage = damage_of(found)
    if damage is not None:
        raise ValueError(
            f"resume={resume}: {found.name} cannot be continued from: {damage}; name an older one"
        )
    return found, [*aside, *said]


def _holds(folder: RunFolder, path: Path) -> bool:
    """Whether a path leads to the run itself or to one of its checkpoints."""
    return path.resolve() in (folder.path.resolve(), folder.checkpoints.resolve() / path.name)


def _began_from(folder: RunFolder, path: Path) -> bool:
    """Whether the folder's run was last started with `resume` leading there."""
    before = stored_config(folder).get("resume", "auto")
    return before not in ("auto", "never") and Path(before).resolve() == path.resolve()


def is_done(config: DictConfig, checkpoint: Path) -> bool:
    """Whether the checkpoint has seen all images that `total_kimg` asks for."""
    try:
        seen = images_of(checkpoint)
    except ValueError:
        # A file that the user renamed. Asked here: once it is loaded, an iteration is made before the end is noticed.
        seen = images_in(checkpoint)
    return seen is not None and seen >= round(config.total_kimg * 1000)


def refuse_unwritable(folder: RunFolder) -> None:
    """Raises: ValueError where the run folder cannot be made or written, which would show only after minutes."""
    place = next(path for path in (folder.path, *folder.path.absolute().parents) if path.exists())
    if not place.is_dir():
        raise ValueError(f"{folder.path} cannot be made, for {place} is a file; set runs_dir=... or name=...")
    # Those within it, too: a checkpoint that cannot be written is noticed after hours.
    for inner in (place, folder.checkpoints, folder.snapshots):
        if inner.exists() and not os.access(inner, os.W_OK | os.X_OK):
            raise ValueError(
                f"{folder.path} cannot be written: {inner} is read-only to you; set runs_dir=..."
            )


def stored_config(folder: RunFolder) -> dict[str, Any]:
    """The values that the folder's run was last started with; none where there are none.

    Raises: ValueError where `config.yaml` cannot be read.
    """
    if not folder.config.exists():
        return {}
    try:
        stored = OmegaConf.to_container(OmegaConf.load(folder.config))
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise ValueError(_unreadable(folder, str(error).splitlines()[0])) from error
    if not isinstance(stored, dict) or "generator" not in stored:
        raise ValueError(_unreadable(folder, "it is not that of a run"))
    return stored


def _unreadable(folder: RunFolder, reason: str) -> str:
    return (
        f"{folder.config} cannot be read ({reason}); mend it, or remove it, and the run goes on with what is"
        " configured now"
    )


def locked(folder: RunFolder) -> RunLock:
    """The lock of a folder, held.

    Raises: ValueError where another process has it, or none can be made; UserMistake with the code to try again
    where nobody can tell whether that process is gone, as on another machine: one that was taken away leaves its
    lock behind, which ages.
    """
    lock = RunLock(folder.path)
    try:
        lock.acquire()
    except RunLocked as error:
        if error.may_be_gone:
            raise UserMistake(str(error), exit_code=EXIT_TRY_AGAIN) from error
        raise
    except OSError as error:
        raise ValueError(f"{folder.path} cannot be written ({error.strerror}); set runs_dir=...") from error
    return lock


def settle_run_id(config: DictConfig, before: Mapping[str, Any]) -> None:
    """A run keeps its id at Weights & Biases, so that a run that goes on is one curve there, too."""
    node = config.logger.get("wandb")
    if node is not None and "id" in node and node.id is None:
        loggers = before.get("logger")
        stored = loggers.get("wandb") if isinstance(loggers, Mapping) else None
        known = stored.get("id") if isinstance(stored, Mapping) else None
        # Else a `_target_` in a stranger's folder would be called with the logger.
        node.id = literal(known) if known and isinstance(known, str) else uuid.uuid4().hex[:8]


def record_changes(folder: RunFolder, changes: Iterable[Change], checkpoint: Path | None) -> None:
    """Appends to `events.jsonl` what was changed under a run that goes on."""
    for change in changes:
        _record(folder, "allow_change", checkpoint, change._asdict())


def record_rollback(
    folder: RunFolder, reason: str, kimg: float, checkpoint: Path | None, rollbacks: int
) -> None:
    """Appends to `events.jsonl` that the run goes back, or would have."""
    with suppress(OSError):  # a full disk costs the line, not the run
        _record(folder, "rollback", checkpoint, {"reason": reason, "kimg": kimg, "rollbacks": rollbacks})


def _record(folder: RunFolder, event: str, checkpoint: Path | None, values: Mapping[str, Any]) -> None:
    name = checkpoint.name if checkpoint else None
    line = json.dumps({"timestamp": time.time(), "event": event, "checkpoint": name, **values})
    with open(folder.events, "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


@contextmanager
def put_back_unless(begun: Callable[[], bool], folder: RunFolder) -> Iterator[None]:
    """Gives a folder back the configuration and events that it had, where what was changed never came to be trained.

    Else a checkpoint that does not fit the change would be refused to the command that it was made with, too.
    """
    former = {path: path.read_bytes() for path in (folder.config, folder.events) if path.exists()}
    try:
        yield
    finally:
        if former and not begun():
            with suppress(OSError):  # what went wrong is told by its own error
                for path in (folder.config, folder.events):
                    _put_back(path, former.get(path))


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    elif path.read_bytes() != content:
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

    def escaped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: escaped(item) for key, item in value.items()}
        if isinstance(value, list):
            return [escaped(item) for item in value]
        return literal(value) if isinstance(value, str) else value

    plain = escaped(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    return OmegaConf.to_yaml(OmegaConf.create(plain))
