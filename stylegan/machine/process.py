"""Processes: this one (cores, allocator, signals before the first step), those it starts, and questions about others.

From the first step on `callbacks.Preemption` answers signals. Allocator and threads are set before torch is loaded,
since its runtimes read them once.
"""

import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from stylegan.errors import EXIT_TRY_AGAIN, UserError

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def prepare_host() -> None:
    """Make CPU work steady.

    Idle OpenMP threads spin for microseconds only and then sleep: next to another busy process a long-spinning thread
    takes the core from the very thread it waits for. And freed memory stays
    with the process: activations are tens of megabytes each, which glibc would hand back to the kernel and fetch
    page by page again, at every operation. What the user has set in the environment is left alone.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        # Another C library, such as musl, has no such switch and needs none.
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, 64 << 20)


def give_back_memory() -> None:
    """Hands freed memory back to the kernel anyway, for another process to have."""
    gc.collect()
    if sys.platform.startswith("linux"):
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Inside, SIGTERM, SIGUSR1 and SIGHUP end the command as SystemExit(128 + signal), SIGINT as KeyboardInterrupt.

    So what is half-written is removed.
    """
    names = ("SIGTERM", "SIGUSR1", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # `nohup` lets the terminal's end be ignored.
    numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # only the main thread may set handlers
    answers = dict.fromkeys(numbers, _leave)
    if numbers and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        answers[signal.SIGINT] = signal.default_int_handler
    before = {number: signal.signal(number, answer) for number, answer in answers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def refuse_lost_folder() -> None:
    """Raises: UserError where the working folder is gone, as in a shell whose folder another one has deleted."""
    try:
        os.getcwd()
    except OSError as error:
        raise UserError(
            f"the working folder cannot be used ({error.strerror}): it was deleted or moved; cd to another"
        ) from error


# The process that started this one, without which it is of no use.
STARTED_BY = "STYLEGAN_STARTED_BY"
_PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


def environment_of_child() -> dict[str, str]:
    """This process's environment, for one that it starts."""
    return {
        **os.environ,
        STARTED_BY: str(os.getpid()),
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
    }


def end_with_starter() -> None:
    """Lets the system end this process where the one that started it is killed; on Linux, else it notices later."""
    starter = os.environ.get(STARTED_BY)
    if starter is None or not sys.platform.startswith("linux"):
        return
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(starter):
        sys.exit(EXIT_TRY_AGAIN)  # it was killed before


def is_there(pid: int) -> bool:
    """Whether a process of this number runs on this system."""
    import psutil  # here, not above: most commands start without these questions

    return psutil.pid_exists(pid)


def started_sec(pid: int) -> float | None:
    """When a process started, in seconds since the system did; None where the system does not say.

    Not the time of day, which changes for a process that runs when the clock is set.
    """
    import psutil

    try:
        return round(psutil.Process(pid).create_time() - psutil.boot_time(), 2)
    except (psutil.Error, OSError, RuntimeError):
        return None


def kernel_and_namespace() -> tuple[str | None, str | None]:
    """Which run of which kernel this is, and in which of its spaces of process numbers, as in a container.

    Returns: two texts that no other kernel or start of it has in common, and that alone tell whether a process number
    means the same process; None where the system does not say.
    """
    texts: list[str | None] = []
    for read in (
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        lambda: os.readlink("/proc/self/ns/pid"),
    ):
        try:
            texts.append(read())
        except OSError:
            texts.append(None)
    return texts[0], texts[1]


def usable_cores() -> int:
    """Processor cores that this process may use, which may be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
