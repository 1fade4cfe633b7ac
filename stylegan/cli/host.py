"""How the process waits and allocates: set before torch is loaded, since its runtimes read it once."""

import ctypes
import gc
import os
import sys
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def prepare_host() -> None:
    """Make CPU work steady.

    Idle OpenMP threads spin for microseconds only and then sleep: beside another busy process a long-spinning thread
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
    """Hands freed memory back to the kernel all the same, for another process to have."""
    gc.collect()
    if sys.platform.startswith("linux"):
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
