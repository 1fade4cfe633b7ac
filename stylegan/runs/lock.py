"""Run lock: one process a run folder.

The file `run.lock` is a record of who holds it: process, host, kernel, and when the process started. While the process
lives it renews the file's time (a lease). Under the record are two locks of the kernel's (filelock), where the mount
has them. What each is for:

    the folder's lock   exact and free of races among processes of one kernel, also where neither sees the other's
                        number, as in two containers; gone with its process. It stays where `run.lock` is removed
    the record's lock   the same on mounts that lock files alone, as NFS does, and against earlier versions
    the record          names the holder in the refusal; counts alone on mounts without locks, and against other
                        machines: a network mount may grant the kernel's locks to each of its hosts

So a lock is stale where its process is gone and no process holds the kernel's locks; on another machine, or where the
system does not say when a process started, where no process has renewed it. filelock's own leases cannot take the
record's place: only a process that has watched one for its whole duration takes it over, and a command that is
refused does not wait.

None of this helps a holder that sleeps, as a suspended machine does, while another process takes over by the age of
its record, or whose folder is deleted. So the record has a key, which the holder reads again before it writes
anything (`verify`).
"""

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stylegan.errors import RunFolderLostError
from stylegan.machine.folder_lock import FolderLock, lock_folder, pid_of_holder
from stylegan.machine.process import is_there, kernel_and_namespace, started_sec
from stylegan.runs.folder import LOCK
from stylegan.runs.lock_file import age_sec, claimed, complete, create, holder_of, loss_of, text_of, who

if TYPE_CHECKING:
    from filelock import FileLock

RENEWED_EVERY_SEC = 60.0
# Where a process cannot be asked. Clocks of machines and of file servers differ by less, and pauses are shorter.
STALE_AFTER_SEC = 900.0
# A look whether it is held takes milliseconds.
LOOKED_AT_FOR_SEC = 5.0
# The start of a process is read from a clock that may be read twice, to the second.
SAME_START_SEC = 2.0


class RunLockedError(ValueError):
    """Another process trains in this folder.

    `may_be_gone`: it is one of which it is unknown whether it still runs before the lock is old, as on another
    machine.
    """

    def __init__(self, text: str, *, may_be_gone: bool):
        super().__init__(text)
        self.may_be_gone = may_be_gone


class RunLock:
    """The lock of a run folder, held as a context or from `acquire` to `release`.

    Args:
        folder: of the run; made where it is missing.

    Raises: RunLockedError, on entering, where another process holds it; OSError where the folder cannot be written.
    After entering: `taken_over`, a line about the stale lock that was there, or None.
    """

    def __init__(self, folder: str | os.PathLike):
        self.path = Path(folder) / LOCK
        self.taken_over: str | None = None
        self._own = ""
        self._released = threading.Event()
        self._made: list[Path] = []
        self._of_folder: FolderLock | None = None
        self._system: FileLock | None = None

    def __enter__(self) -> "RunLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Takes the lock. Raises: as the class says."""
        folders = [self.path.parent, *self.path.parent.parents]
        self._made = [folder for folder in folders if not folder.exists()]
        self._of_folder = self._folder_locked()
        self._own = self._record()
        try:
            while not (create(self.path, self._own) or self._take_over()):
                pass
            self._lock_record()
        except BaseException:
            self._release_system()
            raise
        threading.Thread(target=self._renew, daemon=True).start()

    def _record(self) -> str:
        kernel, namespace = kernel_and_namespace()
        return json.dumps(
            {
                "pid": os.getpid(),
                "host": platform.node(),
                "started_sec": started_sec(os.getpid()),
                "kernel": kernel,
                "namespace": namespace,
                "locks_folder": self._of_folder is not None,
                "key": uuid.uuid4().hex,
            }
        )

    def _folder_locked(self) -> FolderLock | None:
        """The kernel's lock of the folder, which is made; None where the mount has none.

        Raises: RunLockedError where another process holds it.
        """
        deadline = time.monotonic() + LOOKED_AT_FOR_SEC
        while True:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return lock_folder(self.path.parent)
            except FileNotFoundError:
                continue  # another process has just removed what it had made
            except BlockingIOError:
                text = text_of(self.path)
                holder = holder_of(text or "")
                # Others look at it for a moment. One that is known to live holds it for longer.
                if _is_seen_alive(holder) or time.monotonic() > deadline:
                    raise self._refusal(holder, removed=text is None) from None
            time.sleep(0.01)

    def _lock_record(self) -> None:
        self._system = _system_lock(self.path)
        if text_of(self.path) != self._own:
            # Another process saw neither this one nor, in that moment, the kernel's locks.
            raise self._refusal(holder_of(text_of(self.path) or ""))

    def verify(self) -> None:
        """Reads the record again, before something is written to the folder.

        Raises: RunFolderLostError where it is no longer this process's.
        """
        if (lost := self.loss()) is not None:
            raise RunFolderLostError(lost)

    def loss(self) -> str | None:
        """What has become of the lock, and what to do, in one line; None where it is held as before."""
        now = self._of_folder.place() if self._of_folder is not None else None
        return loss_of(self.path, self._own, now)

    def release(self) -> None:
        """Gives the lock back, and removes the folders that were made for it alone."""
        self._released.set()
        with suppress(OSError):
            if text_of(self.path) == self._own:
                self.path.unlink(missing_ok=True)
                for folder in self._made:
                    folder.rmdir()
        self._release_system()

    def follow(self, aside: Path) -> None:
        """Takes the lock back to its place after the folder was moved to `aside` with it.

        Raises: RunLockedError where another process has taken the place in the meantime.
        """
        self._release_system()
        (aside / self.path.name).unlink(missing_ok=True)
        self._of_folder = self._folder_locked()
        if not create(self.path, self._own):
            raise self._refusal(holder_of(text_of(self.path) or ""))
        self._system = _system_lock(self.path)

    def _release_system(self) -> None:
        if self._system is not None:
            self._system.release()
            self._system = None
        if self._of_folder is not None:
            self._of_folder.release()
            self._of_folder = None

    def _take_over(self) -> bool:
        """Takes the lock of a holder that is gone.

        Returns: whether it did; else the lock has just changed.  Raises: RunLockedError where the holder lives.
        """
        text = text_of(self.path)
        if text is None:
            return False  # released just now
        holder = holder_of(text)
        if not self._was_let_go(holder) and _lives(holder, age_sec(self.path), locks=True):
            raise self._refusal(holder)
        with self._alone_at(text) as alone:
            if not alone or text_of(self.path) != text:
                return False
            with complete(self.path, self._own) as own:
                own.replace(self.path)
        self.taken_over = f"{who(holder)} left its lock behind"
        return True

    @contextmanager
    def _alone_at(self, stale: str) -> Iterator[bool]:
        """Inside, no other process takes over this stale record. Gives: False where another process was quicker.

        Raises: RunLockedError where the system's lock of the record is held: the process behind it lives after all.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            yield False
            return
        try:
            locked = self._locked_by_system(descriptor, stale)
            if locked is None:
                # Here the record counts alone.
                locks = self._of_folder is not None
                holder = holder_of(stale)
                if not self._was_let_go(holder) and _lives(holder, age_sec(self.path), locks=locks):
                    raise self._refusal(holder)
                with claimed(self.path, stale) as alone:
                    yield alone
            else:
                yield locked
        finally:
            os.close(descriptor)  # and with it the lock

    def _locked_by_system(self, descriptor: int, stale: str) -> bool | None:
        """Whether the stale record is locked for us now; None where the mount has no locks."""
        # Here, not above: commands that lock nothing start faster without it.
        from filelock import has_fcntl, lock_descriptor

        if not has_fcntl:
            return None
        deadline = time.monotonic() + LOOKED_AT_FOR_SEC
        while True:
            try:
                if lock_descriptor(descriptor, blocking=False):
                    return True
            except OSError:
                return None
            if text_of(self.path) != stale:
                return False
            if time.monotonic() > deadline:
                # Longer than any other process looks at it.
                raise self._refusal(holder_of(stale))
            time.sleep(0.01)

    def _was_let_go(self, holder: dict) -> bool:
        """Whether the holder locked the folder itself, which this process has now: the record was copied or left."""
        kernel = kernel_and_namespace()[0]
        same_kernel = kernel is not None and holder.get("kernel") == kernel
        return self._of_folder is not None and holder.get("locks_folder") is True and same_kernel

    def _refusal(self, holder: dict, *, removed: bool = False) -> RunLockedError:
        """Args: removed: a process of this system holds the folder, and its record was removed."""
        if removed:
            holder = {"pid": pid_of_holder(self.path.parent) or "?", "host": platform.node()}
            way_out = "(its run.lock was removed, at which it ends by itself; then repeat the command)"
        else:
            way_out = f"(if it is gone for certain, delete {self.path})"
        return RunLockedError(
            f"{self.path.parent} is in use by {who(holder)}; wait for it or stop it, or set another name= {way_out}",
            may_be_gone=removed or not _can_be_asked(holder),
        )

    def _renew(self) -> None:
        while not self._released.wait(RENEWED_EVERY_SEC):
            with suppress(OSError):  # the folder may be away for a moment; others wait longer than that
                if text_of(self.path) == self._own:  # else another's lease would never end
                    os.utime(self.path)


def _system_lock(path: Path) -> "FileLock | None":
    """The system's lock of a record that is ours, held; None where the mount has none, and the record counts alone.

    On Windows none is taken: no other process could read the record of a locked file.
    """
    from filelock import FileLock, has_fcntl

    if not has_fcntl:
        return None
    lock = FileLock(path, thread_local=False, fallback_to_soft=False, preserve_lock_file=True)
    try:
        # Others may look at the record for a moment.
        lock.acquire(timeout=LOOKED_AT_FOR_SEC, poll_interval=0.01)
    except OSError:
        return None
    return lock


def _lives(holder: dict, age_sec: float, *, locks: bool = False) -> bool:
    """Whether the holder may still be there, as its record says.

    Args:
        age_sec: since the record was renewed.
        locks: whether no process of this kernel that holds the kernel's locks can come this far.
    """
    # A clock set back makes a lock look as if it came from the future: it may well be fresh.
    fresh = age_sec < STALE_AFTER_SEC
    if _can_be_asked(holder):
        seen = _is_seen_alive(holder)
        # The number may have been given to another process since. Where that is unknown, the lock's age decides.
        return fresh if seen is None else seen
    kernel = holder.get("kernel")
    if locks and isinstance(kernel, str):
        # Another container of this kernel, or this machine before it started again.
        if kernel == kernel_and_namespace()[0] or holder.get("host") == platform.node():
            return False
    return fresh


def _is_seen_alive(holder: dict) -> bool | None:
    """Whether the holder is there; None where this system cannot tell."""
    if not _can_be_asked(holder):
        return None
    pid = holder["pid"]
    if not is_there(pid):
        return False
    started, recorded = started_sec(pid), holder.get("started_sec")
    if started is None or not isinstance(recorded, int | float):
        return None
    return abs(started - recorded) < SAME_START_SEC


def _can_be_asked(holder: dict) -> bool:
    """Whether this system can tell if the holder's process is there."""
    here = holder.get("host") == platform.node() and isinstance(holder.get("pid"), int)
    # Records of earlier versions do not say in which space their number counts.
    if "kernel" not in holder:
        return here
    return here and (holder["kernel"], holder.get("namespace")) == kernel_and_namespace()
