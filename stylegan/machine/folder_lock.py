"""Folder lock: the kernel's lock of a folder itself.

No file has to stay for it, so tidying up does not remove it; it ends with its process, and it counts among all
processes of one kernel, also where neither sees the other's number, as in two containers.
"""

import os
import sys
import weakref
from pathlib import Path

# A folder that is replaced between being opened and being locked is tried again; where that never ends, the mount
# gives one folder several identities.
_ATTEMPTS = 5


class FolderLock:
    """A folder that is locked for this process, until `release` or the end of the process.

    Args: descriptor: of the folder, locked; it is closed by `release`.
    """

    def __init__(self, descriptor: int):
        self._descriptor: int | None = descriptor
        _HELD.add(self)

    def release(self) -> None:
        """Gives it back; harmless when repeated."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def place(self) -> Path | None:
        """Where the folder is now, under whatever name; None where it is deleted, or the system does not say."""
        try:
            place = Path(os.readlink(f"/proc/self/fd/{self._descriptor}"))
            return place if os.path.samestat(os.stat(place), os.fstat(self._descriptor)) else None
        except (OSError, TypeError):
            return None


def lock_folder(folder: str | os.PathLike) -> FolderLock | None:
    """Locks a folder, at once or not at all.

    Returns: the lock; None where the mount or the system has none for folders.
    Raises: BlockingIOError where another process holds it; FileNotFoundError where there is no such folder.
    """
    # Here, not above: commands that lock nothing start faster without it.
    from filelock import has_fcntl, lock_descriptor

    if not has_fcntl:
        return None
    for _ in range(_ATTEMPTS):
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except PermissionError:
            return None  # a folder may be for writing alone
        try:
            if not lock_descriptor(descriptor, blocking=False):
                raise BlockingIOError(f"another process holds the lock of {folder}")
            if os.path.samestat(os.fstat(descriptor), os.stat(folder)):
                lock = FolderLock(descriptor)
                descriptor = -1
                return lock
        except (BlockingIOError, FileNotFoundError):
            raise
        except OSError:
            return None  # as on NFS, which locks files alone
        finally:
            if descriptor >= 0:
                os.close(descriptor)
    return None


def pid_of_holder(folder: str | os.PathLike) -> int | None:
    """The number of the process that holds a folder's lock; None where the system does not say."""
    try:
        inode = os.stat(folder).st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            # "1: FLOCK  ADVISORY  WRITE 12163 fe:00:2261119 0 EOF"; a process that is not seen from here is no number.
            if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}") and int(fields[4]) > 0:
                return int(fields[4])
    except (OSError, ValueError, IndexError):
        pass
    return None


# A child that is forked, as a reader of images, shares the lock: one that outlives its parent would keep it.
_HELD: "weakref.WeakSet[FolderLock]" = weakref.WeakSet()


def _release_in_child() -> None:
    for lock in list(_HELD):
        lock.release()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_release_in_child)
