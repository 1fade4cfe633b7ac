"""Files that are whole or not there, written beside their final name and renamed when they are complete; and files
that grow by whole lines."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | os.PathLike, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends, and vanishes when it fails.

    Args: durable: flushed to the disk before the rename, and the rename after it; a power cut loses neither.
    Raises: OSError where the folder cannot be written, or is full.
    """
    path = Path(path)
    # In the same folder, since a rename is atomic within one file system only; hidden and with another ending, so
    # that nobody takes it for the file.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    if durable:
        _sync_folder(path.parent)


def append_whole(path: str | os.PathLike, text: str) -> None:
    """Adds text to a file in one write, so that a kill leaves at most one unfinished line, the last; makes its folder.

    Raises: OSError, as where the disk is full; nothing of the text is in the file then.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab", buffering=0) as file:
        whole, rest = file.tell(), memoryview(text.encode())
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            # What got through of it would join the next line.
            os.ftruncate(file.fileno(), whole)
            raise


def sweep_partials(folder: str | os.PathLike, pattern: str = "*") -> None:
    """Deletes what killed processes left of files that `pattern` matches; nobody else may be writing there."""
    for left_over in Path(folder).glob(f".{pattern}.partial"):
        left_over.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems cannot; the file itself is on the disk
    finally:
        os.close(descriptor)
