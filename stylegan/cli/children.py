"""Processes that a command starts on this machine: they find the same modules, and end with it."""

import ctypes
import os
import signal
import sys
from contextlib import suppress

from stylegan.cli.mistakes import EXIT_TRY_AGAIN

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
