"""Checkpoints on the disk: a checksum next to each, which of them are good, and which may go.

`torch.load` does not notice a flipped byte, so the SHA-256 of `kimg0000012.800.ckpt` is in
`kimg0000012.800.ckpt.sha256`, in the form that `sha256sum --check` reads."""

import errno
import hashlib
import os
import pickle
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, TypeVar

from stylegan.machine.files import replacing
from stylegan.runs.folder import RunFolder, images_of

T = TypeVar("T")
# Between the tries of what the system refuses to read: a mounted drive is often away for a moment.
PAUSES_SEC = (0.5, 2.0, 5.0)


def write_checkpoint(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Writes a file through `write`, with its checksum; complete, or not under this name.

    Raises: what `write` raises, and OSError; the files that were there stay.
    """
    # A kill at any moment leaves a file with its own checksum or with none, never with another's.
    with replacing(path) as file:
        write(file)
        file.flush()
        digest = _digest_of(Path(file.name))
        checksum_of(path).unlink(missing_ok=True)
    with replacing(checksum_of(path)) as checksum:
        checksum.write(f"{digest}  {path.name}\n".encode())


def checksum_of(path: Path) -> Path:
    """Where the checksum of a checkpoint is."""
    return path.with_name(f"{path.name}.sha256")


def damage_of(path: Path) -> str | None:
    """What is wrong with a checkpoint's file, in a few words; None where it is as it was written.

    A file without a checksum is checked by the sums inside the archive that it is.
    Raises: OSError, with the file's name, where the system does not let it be read, at several tries. That is no
        damage: a network disk may be away, or the file belong to another user.
    """
    return _insisting(lambda: _damage_seen(path), path)


def _damage_seen(path: Path) -> str | None:
    if path.stat().st_size == 0:
        return "it is empty"
    try:
        expected = checksum_of(path).read_text(encoding="ascii", errors="replace").partition(" ")[0]
    except FileNotFoundError:
        return _damage_of_archive(path)
    return None if _digest_of(path) == expected else "its checksum differs"


def _damage_of_archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        return f"{damaged} in it is damaged" if damaged else None
    except zipfile.BadZipFile:
        return "it is incomplete"
    except OSError as error:
        # A place before the beginning, as a damaged index may name, or a decompressor's complaint: not the disk's.
        if error.errno not in (None, errno.EINVAL):
            raise
    except MemoryError:
        raise
    except Exception:
        # One bit of the index makes an archive encrypted, of a later version or of an unknown method.
        pass
    return "the index of its archive is damaged"


def _insisting(read: Callable[[], T], path: Path) -> T:
    """What `read` gives, after some tries. Raises: OSError of the last one, with the name of `path`."""
    for pause_sec in PAUSES_SEC:
        try:
            return read()
        except OSError:
            time.sleep(pause_sec)
    try:
        return read()
    except OSError as error:
        # Where a read fails, the system's own error does not tell of which file.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def images_in(path: Path) -> int | None:
    """Images that a checkpoint has seen, by what it holds, for files of other names; None where it does not say."""
    seen = _buffer_in(path, "images_seen")
    return None if seen is None else int(seen)


def p_in(path: Path) -> float | None:
    """The probability p of augmentation in a checkpoint; None where it does not say."""
    return _buffer_in(path, "ada.p")


def _buffer_in(path: Path, name: str) -> float | None:
    # Here, since commands that read no checkpoint need no torch.
    import torch

    try:
        # Mapped, not read: it is one number of gigabytes. And nothing in the file is executed.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return content["state_dict"][name].item()
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        pickle.UnpicklingError,
    ):
        return None


def newest_good(folder: RunFolder) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that is as it was written; damaged ones are set aside as `….ckpt.bad`.

    Returns: the checkpoint, None where there is none; a line for each that was set aside.
    Raises: OSError, with a file's name, where one cannot be read, or not set aside; an older one is not used instead.
    """
    said = []
    while (newest := _insisting(folder.newest_checkpoint, folder.checkpoints)) is not None:
        damage = damage_of(newest)
        if damage is None:
            break
        aside = set_aside(newest)
        said.append(f"{newest.name} is set aside as {aside.name}: {damage}")
    return newest, said


def set_aside(path: Path) -> Path:
    """Renames a checkpoint to `….ckpt.bad`, or `….ckpt.bad-2` where that is taken; nothing is deleted."""
    aside, number = path.with_name(f"{path.name}.bad"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.bad-{number}")
    path.rename(aside)
    if checksum_of(path).exists():
        os.replace(checksum_of(path), checksum_of(aside))
    return aside


def expendable(
    checkpoints: Iterable[Path], *, keep_last: int | None, keep_every_kimg: float | None
) -> list[Path]:
    """The checkpoints that a policy lets go, oldest first.

    Args: checkpoints: by the names that training gives, as `checkpoints_in` finds them.
    It keeps the `keep_last` newest (None = all), and the first one at or after each multiple of
    `keep_every_kimg` (None = none of these).
    """
    ordered = sorted(checkpoints, key=images_of)
    if keep_last is None:
        return []
    kept = set(ordered[max(0, len(ordered) - keep_last) :])
    if keep_every_kimg is not None:
        every_images, passed = max(1, round(keep_every_kimg * 1000)), 0
        for path in ordered:
            if images_of(path) // every_images > passed:
                passed = images_of(path) // every_images
                kept.add(path)
    return [path for path in ordered if path not in kept]


def delete(path: Path) -> None:
    """Deletes a checkpoint with its generator and its checksum; the checkpoint last, so that none is left alone."""
    path.with_suffix(".safetensors").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    checksum_of(path).unlink(missing_ok=True)


def _digest_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
