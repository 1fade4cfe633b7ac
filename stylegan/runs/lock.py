"""One process a run folder: a file that says who trains there.

The file, `run.lock`, holds process, host and the time the process began. While the process lives it renews the
file's time. So a lock is stale where its process is gone; on another machine, or where the system does not say when
a process began, where nobody has renewed it."""

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

from stylegan.runs.folder import LOCK

RENEWED_EVERY_SEC = 60.0
# Where a process cannot be asked. Clocks of machines and of file servers differ by less, and pauses are shorter.
STALE_AFTER_SEC = 900.0
# Taking over a stale lock takes milliseconds.
CLAIMED_FOR_SEC = 60.0


class RunLockedError(ValueError):
    """Another process trains in this folder.

    `may_be_gone`: it is one of which nobody can tell whether it still runs before the lock is old, as on another
    machine.
    """

    def __init__(self, text: str, *, may_be_gone: bool):
        super().__init__(text)
        self.may_be_gone = may_be_gone


class RunLock:
    """Held as a context. Args: folder: of the run; made where it is missing.

    Raises: RunLockedError, on entering, where another process holds it; OSError where the folder cannot be written.
    After entering: `taken_over`, a line about the stale lock that was there, or None.
    """

    def __init__(self, folder: str | os.PathLike):
        self.path = Path(folder) / LOCK
        self.taken_over: str | None = None
        self._mine = json.dumps(
            {
                "pid": os.getpid(),
                "host": platform.node(),
                "began": _began(os.getpid()),
                "key": uuid.uuid4().hex,
            }
        )
        self._done = threading.Event()
        self._made: list[Path] = []

    def __enter__(self) -> "RunLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        folders = [self.path.parent, *self.path.parent.parents]
        self._made = [folder for folder in folders if not folder.exists()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while not (self._create() or self._take_over()):
            pass
        threading.Thread(target=self._renew, daemon=True).start()

    def release(self) -> None:
        self._done.set()
        if self._text() == self._mine:
            self.path.unlink(missing_ok=True)
        with suppress(OSError):
            # Folders that were made for the lock alone go with it.
            for folder in self._made:
                folder.rmdir()

    def follow(self, aside: Path) -> None:
        """Takes the lock back to its place after the folder was moved to `aside` with it."""
        (aside / self.path.name).unlink(missing_ok=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._create()

    def _create(self) -> bool:
        # A link of a file that is complete: nobody ever reads half a lock.
        with self._complete() as mine:
            try:
                os.link(mine, self.path)
            except FileExistsError:
                return False
            except OSError:
                return self._create_without_links()
            return True

    @contextmanager
    def _complete(self) -> Iterator[Path]:
        """A file that holds this lock, beside the place where it is to be."""
        path = self.path.with_name(f".run.lock.{uuid.uuid4().hex[:12]}.partial")
        try:
            path.write_text(self._mine, encoding="utf-8")
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _create_without_links(self) -> bool:
        """For mounted drives that know no hard links."""
        try:
            with open(self.path, "x", encoding="utf-8") as file:
                file.write(self._mine)
        except FileExistsError:
            return False
        return True

    def _take_over(self) -> bool:
        """Of a holder that is gone.  Returns: whether; else the lock has just changed.  Raises: RunLockedError."""
        text = self._text()
        if text is None:
            return False  # released just now
        holder = _holder(text)
        age_sec = _age_sec(self.path)
        if _lives(holder, age_sec):
            who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
            raise RunLockedError(
                f"{self.path.parent} is in use by {who}; wait for it or stop it, or set another name= "
                f"(if it is gone for certain, delete {self.path})",
                may_be_gone=not _can_be_asked(holder),
            )
        if not self._replace(text):
            return False
        self.taken_over = (
            f"process {holder.get('pid', '?')} on {holder.get('host', '?')} left its lock behind"
        )
        return True

    def _replace(self, stale: str) -> bool:
        """Puts this lock in the place of a stale one; there is a lock at every moment.

        Of several that find it stale one alone can claim it; and as long as it stands, nobody else writes there.
        Returns: False where another process was quicker.
        """
        digest = hashlib.sha256(stale.encode()).hexdigest()[:12]
        claim = self.path.with_name(f".run.lock.{digest}.partial")
        try:
            open(claim, "x").close()
        except FileExistsError:
            if _age_sec(claim) > CLAIMED_FOR_SEC:
                claim.unlink(missing_ok=True)  # who made it is gone
            time.sleep(0.01)
            return False
        try:
            if self._text() != stale:
                return False
            with self._complete() as mine:
                mine.replace(self.path)
            return True
        finally:
            claim.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._done.wait(RENEWED_EVERY_SEC):
            try:
                os.utime(self.path)
            except OSError:
                pass  # the folder may be away for a moment; others wait longer than that

    def _text(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None


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


def _lives(holder: dict, age_sec: float) -> bool:
    """Whether the holder may still be there. Args: age_sec: since the lock was renewed."""
    # A clock set back makes a lock look as if it came from the future: it may well be fresh.
    fresh = age_sec < STALE_AFTER_SEC
    if not _can_be_asked(holder):
        return fresh
    pid = holder["pid"]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it lives, and belongs to somebody else
    began = _began(pid)
    # The number may have been given to another process since. Where that cannot be told, the lock's age must do.
    return fresh if began is None or holder.get("began") is None else holder["began"] == began


def _can_be_asked(holder: dict) -> bool:
    """Whether the system can tell if the holder's process is there."""
    # Windows has no such question: signal 0 is Ctrl-C there, and would interrupt the training that holds the lock.
    return os.name != "nt" and holder.get("host") == platform.node() and isinstance(holder.get("pid"), int)


def _began(pid: int) -> str | None:
    """When a process began, on the kernel's clock and since which boot; None where the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # The name of the program, in parentheses, may hold blanks.
    return f"{boot}:{stat.rpartition(')')[2].split()[19]}"
