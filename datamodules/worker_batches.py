"""Worker batches: what worker processes have read, and how a worker that hangs or dies is noticed.

All of it rests on public parts of torch and Python:

    noticing a loss   `DataLoader(timeout=...)` with a short timeout; an iterator that timed out can be asked again.
                      What a worker reads it notes in shared memory
    a stopped worker  may have sent half a batch, for which no timeout counts: a thread kills it after the deadline
    the end           an iterator ends its workers once nothing refers to it; those that do not stop are killed,
                      also at the end of the program, which would wait for them without end
"""

import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import Dataset, get_worker_info

from datamodules.datasets.pixel_memory import shared_zeros

# From one look at the workers to the next, while a batch is waited for.
LOOK_EVERY_SEC = 0.5
# So long a worker may take to end what it is reading, before it is ended.
_GRACE_SEC = 2.0
_NONE = -1


class WorkersLostError(Exception):
    """Workers hang or are dead. The message says which, since when, and reading what."""


class Reading:
    """Which item of `dataset` each of so many `workers` is reading, where the main process sees it."""

    def __init__(self, dataset: Dataset, workers: int):
        self.dataset = dataset
        self._items = shared_zeros(workers, torch.int64).fill_(_NONE)

    def clear(self) -> None:
        self._items.fill_(_NONE)

    def begin(self, index: int) -> None:
        self._items[get_worker_info().id] = index

    def end(self) -> None:
        self._items[get_worker_info().id] = _NONE

    def busy(self) -> list[int]:
        """Numbers of the workers that are reading."""
        return [number for number, item in enumerate(self._items.tolist()) if item != _NONE]

    def waited_until(self) -> float:
        """Until when, by the monotonic clock, some worker waits for files that are away; the past = none does."""
        return getattr(self.dataset, "waited_until", 0.0)

    def in_words(self, worker: int) -> str:
        """What a worker is reading; a set of a user's own may have no names for its items."""
        item = int(self._items[worker])
        if item == _NONE:
            return ""
        return f" reading {self.dataset.key(item) if hasattr(self.dataset, 'key') else f'item {item}'}"


class WorkerBatches:
    """One pass over a loader in worker processes. `end` leaves none of them behind.

    Args:
        iterator: of torch's, that times out every `LOOK_EVERY_SEC`; nothing else may refer to it.
        workers: its processes, in the order of their numbers.
        reading: what they read.
        timeout_sec: how long to wait for a batch, from when none of them waits for files that are away; None = no
            limit.

    Raises, from `next`: WorkersLostError.
    """

    def __init__(
        self,
        iterator: Iterator[Any],
        *,
        workers: Sequence[BaseProcess],
        reading: Reading,
        timeout_sec: float | None,
    ):
        self._iterator: Iterator[Any] | None = iterator
        self._workers, self._reading, self._timeout_sec = workers, reading, timeout_sec
        self._watch = _Watch(workers, lambda: reading.waited_until() + (timeout_sec or 0.0))
        self._by_force = weakref.finalize(self, _end_by_force, workers, self._watch)

    def __iter__(self) -> "WorkerBatches":
        return self

    def __next__(self) -> Any:
        self._watch.waits_since = time.monotonic()
        if self._timeout_sec is not None:
            self._watch.deadline = time.monotonic() + self._timeout_sec
        try:
            while True:
                try:
                    return next(self._iterator)
                except Exception as error:
                    fault = self._fault(error)
                    if fault is None and "timed out" not in str(error):
                        raise
                # Out here, where no error holds on to the iterator.
                if fault is not None:
                    raise WorkersLostError(fault)
        finally:
            self._watch.deadline = self._watch.waits_since = None

    def end(self) -> None:
        """Ends the workers, in good order where they react."""
        self._watch.deadline = time.monotonic() + _GRACE_SEC
        self._iterator = None
        self._by_force()

    def _fault(self, error: Exception) -> str | None:
        """What is wrong with the workers; None where the error is not theirs."""
        broken = isinstance(error, OSError | EOFError)
        if broken:
            # What a worker has sent is fetched over a connection, which breaks a moment before it is seen dead.
            ending = wait([worker.sentinel for worker in self._workers], timeout=_GRACE_SEC)
            for worker in self._workers:
                if worker.sentinel in ending:
                    worker.join()
        dead = {n: worker.exitcode for n, worker in enumerate(self._workers) if not worker.is_alive()}
        if self._watch.fired:
            hanging = [f"data worker {n} hangs{self._reading.in_words(n)}" for n in self._reading.busy()]
            return f"{' and '.join(hanging) or 'the data workers hang'}: no batch in {self._timeout_sec:g} s"
        if dead:
            return " and ".join(
                f"data worker {n} {_end_in_words(code)}{self._reading.in_words(n)}"
                for n, code in dead.items()
            )
        return "the connection to a data worker was lost" if broken else None


class _Watch(threading.Thread):
    """Kills all workers once a deadline has passed, or one is dead and may have sent half a batch.

    Args: not_before: when that may be at the earliest, by the monotonic clock.
    """

    def __init__(self, workers: Sequence[BaseProcess], not_before: Callable[[], float]):
        super().__init__(daemon=True)
        self.workers, self.not_before = workers, not_before
        self.deadline: float | None = None
        self.waits_since: float | None = None
        self.fired = False
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.wait(LOOK_EVERY_SEC):
            deadline = self.deadline
            if deadline is not None and time.monotonic() > max(deadline, self.not_before()):
                self.fired = True
                _kill(self.workers)
            since = self.waits_since
            # Asking a process whether it is alive would take its exit code from the main thread.
            if since is not None and time.monotonic() - since > _GRACE_SEC:
                if wait([worker.sentinel for worker in self.workers], timeout=0):
                    _kill(self.workers)


def _end_by_force(workers: Sequence[BaseProcess], watch: _Watch) -> None:
    watch.over.set()
    _kill(workers)
    for worker in workers:
        worker.join(_GRACE_SEC)


def _kill(workers: Sequence[BaseProcess]) -> None:
    for worker in workers:
        worker.kill()  # they ignore SIGTERM


def _end_in_words(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with code {code}"
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL, as where memory is short)"
    if code == -signal.SIGBUS:
        return "died of SIGBUS (as where /dev/shm is full)"
    return f"died of {signal.Signals(-code).name}"
