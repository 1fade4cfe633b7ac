"""Run lock: one process a run folder.

The file `run.lock` is a record of who holds it: process, host, and when the process started. While the process lives
it renews the file's time (a lease). On top of the record is a lock of the operating system's (filelock), where
the mount has such locks. What each is for:

    the system's lock   exact and free of races among processes of one kernel, also where neither sees the other's
                        number, as in two containers of one host name; gone with its process
    the record          names the holder in the refusal; counts alone on mounts without locks, and against other
                        machines: a network mount may grant the system's lock to each of its hosts

So a lock is stale where its process is gone and no process holds the system's lock; on another machine, or where the
system does not say when a process started, where no process has renewed it. filelock's own leases cannot take the
record's place: only a process that has watched one for its whole duration takes it over, and a command that is
refused does not wait.
"""

import hashlib
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

from stylegan.machine.process import is_there, started_sec
from stylegan.runs.folder import LOCK

if TYPE_CHECKING:
    from filelock import FileLock

RENEWED_EVERY_SEC = 60.0
# Where a process cannot be asked. Clocks of machines and of file servers differ by less, and pauses are shorter.
STALE_AFTER_SEC = 900.0
# Taking over a stale lock takes milliseconds, and so does a look whether it is held.
CLAIMED_FOR_SEC = 60.0
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
        self._own = json.dumps(
            {
                "pid": os.getpid(),
                "host": platform.node(),
                "started_sec": started_sec(os.getpid()),
                "key": uuid.uuid4().hex,
            }
        )
        self._released = threading.Event()
        self._made: list[Path] = []
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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while not (self._create() or self._take_over()):
            pass
        self._system = _system_lock(self.path)
        if self._text() != self._own:
            # Another process saw neither this one nor, in that moment, the system's lock.
            self._release_system()
            raise self._refusal(_holder(self._text() or ""))
        threading.Thread(target=self._renew, daemon=True).start()

    def release(self) -> None:
        """Gives the lock back, and removes the folders that were made for it alone."""
        self._released.set()
        self._release_system()
        if self._text() == self._own:
            self.path.unlink(missing_ok=True)
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()

    def follow(self, aside: Path) -> None:
        """Takes the lock back to its place after the folder was moved to `aside` with it.

        Raises: RunLockedError where another process has taken the place in the meantime.
        """
        self._release_system()
        (aside / self.path.name).unlink(missing_ok=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._create():
            raise self._refusal(_holder(self._text() or ""))
        self._system = _system_lock(self.path)

    def _release_system(self) -> None:
        """The record still stands: no process gets in before it is gone."""
        if self._system is not None:
            self._system.release()
            self._system = None

    def _create(self) -> bool:
        # A link of a file that is complete: no process ever reads half a record.
        with self._complete() as own:
            try:
                os.link(own, self.path)
            except FileExistsError:
                return False
            except OSError:
                return self._create_without_links()
            return True

    @contextmanager
    def _complete(self) -> Iterator[Path]:
        """A file that holds this lock's record, next to the place where it is to be."""
        path = self.path.with_name(f".run.lock.{uuid.uuid4().hex[:12]}.partial")
        try:
            path.write_text(self._own, encoding="utf-8")
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _create_without_links(self) -> bool:
        """For mounted drives without hard links."""
        try:
            with open(self.path, "x", encoding="utf-8") as file:
                file.write(self._own)
        except FileExistsError:
            return False
        return True

    def _take_over(self) -> bool:
        """Takes the lock of a holder that is gone.

        Returns: whether it did; else the lock has just changed.  Raises: RunLockedError where the holder lives.
        """
        text = self._text()
        if text is None:
            return False  # released just now
        holder = _holder(text)
        if _lives(holder, _age_sec(self.path)):
            raise self._refusal(holder)
        with self._alone_at(text) as alone:
            if not alone or self._text() != text:
                return False
            with self._complete() as own:
                own.replace(self.path)
        self.taken_over = f"{_who(holder)} left its lock behind"
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
                with self._claimed(stale) as claimed:
                    yield claimed
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
            if self._text() != stale:
                return False
            if time.monotonic() > deadline:
                # Longer than any other process looks at it.
                raise self._refusal(_holder(stale))
            time.sleep(0.01)

    @contextmanager
    def _claimed(self, stale: str) -> Iterator[bool]:
        """As `_alone_at`, on mounts without locks: by a file that one alone can make."""
        digest = hashlib.sha256(stale.encode()).hexdigest()[:12]
        claim = self.path.with_name(f".run.lock.{digest}.partial")
        try:
            open(claim, "x").close()
        except FileExistsError:
            if _age_sec(claim) > CLAIMED_FOR_SEC:
                claim.unlink(missing_ok=True)  # who made it is gone
            time.sleep(0.01)
            yield False
            return
        try:
            yield True
        finally:
            claim.unlink(missing_ok=True)

    def _refusal(self, holder: dict) -> RunLockedError:
        return RunLockedError(
            f"{self.path.parent} is in use by {_who(holder)}; wait for it or stop it, or set another name= "
            f"(if it is gone for certain, delete {self.path})",
            may_be_gone=not _can_be_asked(holder),
        )

    def _renew(self) -> None:
        while not self._released.wait(RENEWED_EVERY_SEC):
            with suppress(OSError):  # the folder may be away for a moment; others wait longer than that
                os.utime(self.path)

    def _text(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None


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


def _age_sec(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _holder(text: str) -> dict:
    try:
        holder = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _who(holder: dict) -> str:
    return f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"


def _lives(holder: dict, age_sec: float) -> bool:
    """Whether the holder may still be there, as its record says.

    Args:
        age_sec: since the record was renewed.
    """
    # A clock set back makes a lock look as if it came from the future: it may well be fresh.
    fresh = age_sec < STALE_AFTER_SEC
    if not _can_be_asked(holder):
        return fresh
    pid = holder["pid"]
    if not is_there(pid):
        return False
    started, recorded = started_sec(pid), holder.get("started_sec")
    # The number may have been given to another process since. Where that is unknown, the lock's age decides.
    if started is None or not isinstance(recorded, int | float):
        return fresh
    return abs(started - recorded) < SAME_START_SEC


def _can_be_asked(holder: dict) -> bool:
    """Whether this system can tell if the holder's process is there."""
    return holder.get("host") == platform.node() and isinstance(holder.get("pid"), int)
