"""Signals before the first step: the command leaves at once, with the code of the signal and nothing half-written.

From the first step on `callbacks.Preemption` answers them.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Inside, SIGTERM, SIGUSR1 and SIGHUP end the command as SystemExit(128 + signal); SIGINT does by itself."""
    names = ("SIGTERM", "SIGUSR1", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # `nohup` lets the terminal's end be ignored.
    numbers = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # only the main thread may set handlers
    before = {number: signal.signal(number, _leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
