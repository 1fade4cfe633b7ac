"""Shared work: rows computed by all processes together, watched, and stopped on a signal or when time is up.

The order of the rows does not show how many processes there were.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from stylegan.distributed.collectives import gather_to_first, largest_over_ranks, rank, world
from stylegan.machine.console import say

T = TypeVar("T")

# One size for all chunks: kernels are chosen by it, and each rounds in its own way.
CHUNK = 32

_STOPPED, _TIME_IS_UP = 2, 1
_QUIET_SEC, _EVERY_SEC = 5.0, 10.0

Rows = dict[str, Tensor]


class EvaluationStoppedError(RuntimeError):
    """The work was not finished.

    Args:
        by_signal: whether the process was asked to leave; else the work's time was up.
    """

    def __init__(self, by_signal: bool):
        super().__init__(by_signal)  # as it is, so that it can be sent to other processes
        self.by_signal = by_signal

    def __str__(self) -> str:
        return "the process was asked to leave" if self.by_signal else "its time was up"


class Watch:
    """Watches a piece of work done in rounds, by all processes together.

    Args:
        asked_to_stop: whether the process was asked to leave.
        time_limit_sec: None = no limit.
        say: shows a line of progress; None = a line now and then on the console.
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
        self.say = say or _say_on_rank_zero

    def rounds(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """The items; before each, all processes agree to continue.

        Args:
            items: equally many on every process.
            total: how many there are.
            what: for the lines of progress.
        Raises: EvaluationStoppedError, on all processes alike.
        """
        return self._watched(items, total, what, self.check)

    def rounds_alone(self, total: int, what: str) -> Iterator[int]:
        """0 .. total-1, for work that one process does while the others wait for it.

        Raises: EvaluationStoppedError.
        """
        return self._watched(range(total), total, what, self.check_alone)

    def chunks_alone(self, total: int) -> Iterator[range]:
        """0 .. total-1 in chunks, for work that one process does while the others wait for it.

        Raises: EvaluationStoppedError.
        """
        for numbers in chunks_of(total):
            self.check_alone()
            yield numbers

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
        _raise(largest_over_ranks(self._own_answer()))

    def check_alone(self) -> None:
        """The same for work that one process does while the others wait for it."""
        _raise(self._own_answer())

    def _own_answer(self) -> int:
        if self.asked_to_stop():
            return _STOPPED
        return _TIME_IS_UP if self.end is not None and time.monotonic() >= self.end else 0


def _raise(answer: int) -> None:
    if answer:
        raise EvaluationStoppedError(answer == _STOPPED)


def _say_on_rank_zero(line: str) -> None:
    if rank() == 0:
        say(f"metrics     {line}")


def chunks_of(total: int) -> list[range]:
    """0 .. total-1 in ranges of at most CHUNK numbers."""
    return [range(first, min(first + CHUNK, total)) for first in range(0, total, CHUNK)]


def rows_of_all(num: int, compute: Callable[[range], Rows], watch: Watch, what: str) -> Rows | None:
    """Rows of all of 0 .. num-1, in chunks that are split among the processes in turn.

    Args:
        num: how many rows, at least 1.
        compute: a range of at most CHUNK numbers → tensors of as many rows, by name, on the CPU.
        watch: over the chunks.
        what: for the lines of progress.
    Returns: on rank 0 the rows by name, in order; None on the others.
    Raises: EvaluationStoppedError, on all.
    """
    chunks = chunks_of(num)
    own: list[Rows] = []
    rounds = range(rank(), len(chunks) + (-len(chunks)) % world(), world())
    for place in watch.rounds(rounds, len(rounds), what):
        if place < len(chunks):
            own.append(compute(chunks[place]))
    if world() == 1:
        return {name: torch.cat([rows[name] for rows in own]) for name in own[0]}
    return _in_order(gather_to_first(own), len(chunks))


def _in_order(parts: list[list[Rows]] | None, num_chunks: int) -> Rows | None:
    if parts is None:
        return None
    ordered = [parts[place % len(parts)][place // len(parts)] for place in range(num_chunks)]
    return {name: torch.cat([rows[name] for rows in ordered]) for name in ordered[0]}
