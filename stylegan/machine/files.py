"""Files: replaced as a whole, appended by whole lines, the cache folder, and a disk that is full."""

import difflib
import errno
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from platformdirs.unix import Unix


@contextmanager
def replacing(path: str | os.PathLike, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends, and vanishes when it fails.

    Args:
        durable: flushed to the disk before the rename, and the rename after it; a power cut loses neither.
    Raises: OSError where the folder cannot be written, or is full.
    """
    path = Path(path)
    # In the same folder, since a rename is atomic within one file system only; hidden and with another ending, so
    # that nothing takes it for the file.
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


def append_whole(path: str | os.PathLike, text: str | bytes) -> None:
    """Adds lines to a file in one write, so that a kill leaves at most one unfinished line, the last; makes its folder.

    An unfinished line that is there is ended first, so that it does not swallow the new one.
    Raises: OSError, as where the disk is full; nothing of the text is in the file then, unless another process has
      added to the file in the meantime.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b", buffering=0) as file:
        whole = file.seek(0, os.SEEK_END)
        unfinished = False
        if whole:
            file.seek(whole - 1)
            unfinished = file.read(1) != b"\n"
        added = text.encode() if isinstance(text, str) else text
        content = memoryview((b"\n" if unfinished else b"") + added)
        written = 0
        try:
            while written < len(content):
                written += file.write(content[written:])
        except OSError:
            # What got through of it would be an unfinished line. Where the file is longer, it is not the last.
            if os.fstat(file.fileno()).st_size == whole + written:
                os.ftruncate(file.fileno(), whole)
            raise


def sweep_partials(folder: str | os.PathLike, pattern: str = "*") -> None:
    """Deletes what killed processes left of files that `pattern` matches; no other process may be writing there."""
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


def cache_folder(kind: str) -> Path | None:
    """The cache folder of the user for one kind of things, `~/.cache/stylegan-lightning/<kind>`.

    It is the same on every system, and `$XDG_CACHE_HOME` counts.
    Returns: None where the user has no home.
    """
    try:
        # Not `user_cache_path`, which would look elsewhere on macOS and Windows than earlier versions did.
        folder = Unix("stylegan-lightning").user_cache_path
    except RuntimeError:
        return None
    return folder / kind if folder.is_absolute() else None


def expanded(path: str | os.PathLike, *, key: str = "") -> Path:
    """A path with `~` and `~user` as the home folders that they mean.

    Args: key: of the configuration, for the message.
    Raises: ValueError where there is no such user, or a user without a home, as in a container.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        first = Path(path).parts[0]
        whose = f"user {first[1:]}" if first != "~" else "you"
        raise ValueError(
            f"{f'{key}=' if key else ''}{path}: this system knows no home folder of {whose};"
            f" write the folder out, or ./{path} for one that is called so"
        ) from error


def refusal(error: OSError) -> str:
    """`runs/foxes/stats.csv: Permission denied`: which file the system refuses, if it says so, and why."""
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    return reason if error.filename is None else f"{os.fsdecode(error.filename)}: {reason}"


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# torch's writer of archives reports a failed write by these words alone.
_TORCH_WORDS = ("PytorchStreamWriter", "inline_container", "unexpected pos")


def is_full_disk(error: BaseException) -> bool:
    """Whether a file could not be written for lack of room: OSError of that kind, or torch's error for it."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _TORCH_WORDS)


def nearest_place(path: Path, *, fits: Callable[[Path], bool] = Path.exists) -> Path | None:
    """A folder or zip that is there, for a mistyped path: of a similar name, or of the same one with or without `.zip`.

    The first part of the path that is not there may be the wrong one.
    Args: fits: whether a place is of the kind that is looked for.
    Returns: None where no name is near.
    """
    with suppress(OSError):  # a folder that is not ours to read
        missing = next((place for place in reversed((path, *path.parents)) if not place.exists()), None)
        if missing is None:
            return None
        rest = path.relative_to(missing)
        there = [place for place in missing.parent.iterdir() if not place.name.startswith(".")]
        names = {
            place.name.lower(): place for place in there if place.is_dir() or place.suffix.lower() == ".zip"
        }
        wanted = missing.name.lower()
        same = [wanted, f"{wanted}.zip", wanted.removesuffix(".zip")]
        near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
        found = (names[name] / rest for name in [*same, *near] if name in names)
        return next((place for place in found if fits(place)), None)
    return None
