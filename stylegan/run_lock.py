"""One process a run folder: a file that says who trains there.

The file, `run.lock`, holds process, host and the time the process began. While the process lives it renews the
file's time. So a lock is stale where its process is gone, or, on another machine, where nobody has renewed it.
"""

import json
import os
import platform
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

from stylegan.run_folder import LOCK

RENEWED_EVERY_SEC = 60.0
# Another machine's lock. Clocks of machines and of file servers differ by less, and pauses are shorter.
STALE_AFTER_SEC = 900.0


class RunLocked(ValueError):
    """Another process trains in this folder.

    `elsewhere`: on another machine, of which nobody can tell whether it still runs before the lock is old.
    """

    def __init__(self, text: str, *, elsewhere: bool):
        super().__init__(text)
        self.elsewhere = elsewhere


class RunLock:
    """Held as a context. Args: folder: of the run; made where it is missing.

    Raises: RunLocked, on entering, where another process holds it; OSError where the folder cannot be written.
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
        while not self._create():
            self._remove_stale()
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
        complete = self.path.with_name(f".run.lock.{uuid.uuid4().hex[:12]}.partial")
        try:
            complete.write_text(self._mine, encoding="utf-8")
            try:
                os.link(complete, self.path)
            except FileExistsError:
                return False
            except OSError:
                return self._create_without_links()
            return True
        finally:
            complete.unlink(missing_ok=True)

    def _create_without_links(self) -> bool:
        """For mounted drives that know no hard links."""
        try:
            with open(self.path, "x", encoding="utf-8") as file:
                file.write(self._mine)
        except FileExistsError:
            return False
        return True

    def _remove_stale(self) -> None:
        text = self._text()
        if text is None:
            return  # released just now
        holder = _holder(text)
        age_sec = self._age_sec()
        if _lives(holder, age_sec):
            who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
            raise RunLocked(
                f"{self.path.parent} is in use by {who}; wait for it or stop it, or set another name= "
                f"(if it is gone for certain, delete {self.path})",
                elsewhere=holder.get("host") != platform.node(),
            )
        aside = self.path.with_name(f".run.lock.{uuid.uuid4().hex[:12]}.partial")
        try:
            # Of two processes that find it stale one alone can move it.
            self.path.rename(aside)
        except FileNotFoundError:
            return
        if aside.read_text(encoding="utf-8", errors="replace") != text:
            # Another process was quicker, and this is its lock: back with it.
            aside.rename(self.path)
            return
        aside.unlink(missing_ok=True)
        self.taken_over = (
            f"process {holder.get('pid', '?')} on {holder.get('host', '?')} left its lock behind"
        )

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

    def _age_sec(self) -> float:
        try:
            return time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0


def _holder(text: str) -> dict:
    try:
        holder = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _lives(holder: dict, age_sec: float) -> bool:
    if holder.get("host") != platform.node() or not isinstance(holder.get("pid"), int):
        # A clock set back makes a lock look as if it came from the future: it may well be fresh.
        return age_sec < STALE_AFTER_SEC
    pid = holder["pid"]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it lives, and belongs to somebody else
    # The number may have been given to another process since.
    return holder.get("began") == _began(pid)


def _began(pid: int) -> str | None:
    """When a process began, on the kernel's clock and since which boot; None where the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # The name of the program, in parentheses, may hold blanks.
    return f"{boot}:{stat.rpartition(')')[2].split()[19]}"
