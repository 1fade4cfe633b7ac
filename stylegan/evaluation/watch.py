"""Long work that can be watched and broken off: progress, a signal, the end of its time."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from stylegan.distributed.collectives import largest_over_ranks, rank

T = TypeVar("T")

_STOPPED, _TIME_IS_UP = 2, 1
_QUIET_SEC, _EVERY_SEC = 5.0, 10.0


class EvaluationStoppedError(RuntimeError):
    """The work was not finished. `by_signal`: somebody asked to leave; else its time was over."""

    def __init__(self, by_signal: bool):
        super().__init__(by_signal)  # as it is, so that it can be sent to other processes
        self.by_signal = by_signal

    def __str__(self) -> str:
        return "asked to leave" if self.by_signal else "its time is over"


class Watch:
    """Looks after a piece of work done in rounds, by all processes together.

    Args: asked_to_stop: whether somebody wants the process to leave. time_limit_sec: None = no limit.
      say: what shows a line of progress; None = a line now and then on the console.
    """

    def __init__(
        self,
        *,
        asked_to_stop: Callable[[], bool] = lambda: False,
        time_limit_sec: float | None = None,
        say: Callable[[str], None] | None = None,
    ):
        self.asked_to_stop = asked_to_stop
        self.end = None if time_limit_sec is None else time.monotonic() + time_limit_sec
        self.say = say or _print

    def rounds(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """The items; before each, all processes agree to go on.

        Every process must go through equally many.
        Raises: EvaluationStoppedError, on all processes alike.
        """
        return self._watched(items, total, what, self.check)

    def rounds_alone(self, total: int, what: str) -> Iterator[int]:
        """0 .. total-1, for work that one process does while the others wait for it. Raises: EvaluationStoppedError."""
        return self._watched(range(total), total, what, self.check_alone)

    def _watched(self, items: Iterable[T], total: int, what: str, check: Callable[[], None]) -> Iterator[T]:
        began = time.monotonic()
        due, said = began + _QUIET_SEC, False
        for number, item in enumerate(items):
            check()
            if time.monotonic() >= due:
                left = (time.monotonic() - began) / max(number, 1) * (total - number)
                self.say(f"{what}: {100 * number // max(total, 1)} %, {left:.0f} s to go")
                due, said = time.monotonic() + _EVERY_SEC, True
            yield item
        if said:
            self.say(f"{what}: done in {time.monotonic() - began:.0f} s")

    def check(self) -> None:
        """Between two rounds, by all processes.

        Raises: EvaluationStoppedError where any was asked to leave, or time is up.
        """
        _raise(largest_over_ranks(self._mine()))

    def check_alone(self) -> None:
        """The same for work that one process does while the others wait for it."""
        _raise(self._mine())

    def _mine(self) -> int:
        if self.asked_to_stop():
            return _STOPPED
        return _TIME_IS_UP if self.end is not None and time.monotonic() >= self.end else 0


def _raise(answer: int) -> None:
    if answer:
        raise EvaluationStoppedError(answer == _STOPPED)


def _print(line: str) -> None:
    if rank() == 0:
        print(f"metrics     {line}", file=sys.stdout, flush=True)
