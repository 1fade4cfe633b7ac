"""Lock file: a record that is whole or not there, made by one process alone, on any mount; and what becomes of it."""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Taking over a stale record takes milliseconds.
CLAIMED_FOR_SEC = 60.0
# Between the tries of a record that the system refuses to read: a mounted drive is often away for a moment.
PAUSES_SEC = (0.5, 2.0, 5.0)


def create(path: Path, text: str) -> bool:
    """Makes a file, whole, where there is none.  Returns: whether it did.  Raises: OSError."""
    # A link of a file that is complete: no process ever reads half a record.
    with complete(path, text) as own:
        try:
            os.link(own, path)
        except FileExistsError:
            return False
        except OSError:
            return _create_without_links(path, text)
        return True


@contextmanager
def complete(path: Path, text: str) -> Iterator[Path]:
    """A file that holds the text, next to the place where it is to be; gone afterwards, if it is still there."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _create_without_links(path: Path, text: str) -> bool:
    """For mounted drives without hard links."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


@contextmanager
def claimed(path: Path, stale: str) -> Iterator[bool]:
    """Inside, no other process takes over a stale record: by a file that one alone can make.

    Gives: False where another process has made it.
    """
    digest = hashlib.sha256(stale.encode()).hexdigest()[:12]
    claim = path.with_name(f".{path.name}.{digest}.partial")
    try:
        open(claim, "x").close()
    except FileExistsError:
        if age_sec(claim) > CLAIMED_FOR_SEC:
            claim.unlink(missing_ok=True)  # who made it is gone
        time.sleep(0.01)
        yield False
        return
    try:
        yield True
    finally:
        claim.unlink(missing_ok=True)


def text_of(path: Path) -> str | None:
    """The record; None where there is none.  Raises: OSError where the system refuses to read it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def age_sec(path: Path) -> float:
    """Seconds since a file was made or renewed, by the clocks of this machine and of the file's; 0 where it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def holder_of(text: str) -> dict:
    """What a record says; {} where it is none."""
    try:
        holder = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return holder if isinstance(holder, dict) else {}


def who(holder: dict) -> str:
    return f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"


def loss_of(path: Path, own: str, now: Path | None) -> str | None:
    """What has become of a record, and what to do, in one line; None where it is there as it was written.

    Args:
        own: the record as it was written.
        now: where its folder is by now, None = unknown.
    """
    folder, stopped = path.parent, "this run stops here, and writes nothing more"
    try:
        text = _insisting(path)
    except OSError as error:
        return (
            f"{path} cannot be read ({error.strerror or error}), and another command may have {folder} by now;"
            f" {stopped}. The same command continues once the disk answers"
        )
    if text == own:
        return None
    if text is not None:
        return (
            f"{folder} was taken over by {who(holder_of(text))}, as from a machine that sleeps or a folder that is"
            f" replaced; {stopped}. Leave the run to that process, or stop it and repeat the command"
        )
    if folder.exists():
        return (
            f"{path} was removed, and {folder} is no longer kept from other commands; {stopped}. The same command"
            " continues from the newest checkpoint"
        )
    if now is not None:
        return f"{folder} was moved to {now}; {stopped}. Move it back, and the same command continues"
    return f"{folder} was deleted or moved; {stopped}. Put it back, and the same command continues"


def _insisting(path: Path) -> str | None:
    """The record, read again where the system refuses. Raises: OSError of the last time."""
    for pause_sec in PAUSES_SEC:
        try:
            return text_of(path)
        except OSError:
            time.sleep(pause_sec)
    return text_of(path)
