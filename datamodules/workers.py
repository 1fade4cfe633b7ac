"""Processes that read batches, and what becomes of one that hangs or dies."""

import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info
from torch.utils.data._utils.signal_handling import _remove_worker_pids
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

# From one look at the workers to the next, while a batch is waited for.
_LOOK_EVERY_SEC = 0.5
# So long a worker may take to end what it is reading, before it is ended.
_GRACE_SEC = 2.0
_NOTHING = -1


class WorkersLost(Exception):
    """Workers hang or are dead. The message says which, since when, and reading what."""


class Reading:
    """Which item each worker is reading, where the main process sees it. Args: dataset: the set they read."""

    def __init__(self, dataset: Dataset, workers: int):
        self.dataset = dataset
        self._items = torch.full((workers,), _NOTHING, dtype=torch.int64).share_memory_()

    def clear(self) -> None:
        self._items.fill_(_NOTHING)

    def begin(self, index: int) -> None:
        """Notes, in a worker, what it is about to read."""
        self._items[get_worker_info().id] = index

    def end(self) -> None:
        self._items[get_worker_info().id] = _NOTHING

    def busy(self) -> list[int]:
        """Numbers of the workers that are reading."""
        return [number for number, item in enumerate(self._items.tolist()) if item != _NOTHING]

    def told(self, worker: int) -> str:
        """What a worker is reading, in words; a set of a user's own may have no names for its items."""
        item = int(self._items[worker])
        if item == _NOTHING:
            return ""
        return (
            f" reading {self.dataset.key(item)}" if hasattr(self.dataset, "key") else f" reading item {item}"
        )


class WorkerBatches(_MultiProcessingDataLoaderIter):
    """One pass over a loader in worker processes. `end` leaves none of them behind.

    Args: timeout_sec: how long a batch may be waited for; None = for ever.
    Raises, from `next`: WorkersLost.
    """

    def __init__(self, loader: DataLoader, *, reading: Reading, timeout_sec: float | None):
        reading.clear()
        super().__init__(loader)
        # torch raises a worker's death in whatever the main process is doing, as in half an iteration. Here it is
        # found where the worker's batch is missed.
        _remove_worker_pids(id(self))
        self._worker_pids_set = False
        self._reading, self._timeout_sec = reading, timeout_sec
        self._watch = _Watch(self._workers)
        # At the end of the program it would be waited for for ever.
        self._by_force = Finalize(self, _end_by_force, (self._workers, self._watch), exitpriority=0)

    def __next__(self) -> Any:
        if self._timeout_sec is not None:
            self._watch.deadline = time.monotonic() + self._timeout_sec
        try:
            return super().__next__()
        except Exception as error:
            fault = self._fault(error)
            if fault is None:
                raise
            raise WorkersLost(fault) from error
        finally:
            self._watch.deadline = None

    def end(self) -> None:
        """Ends the workers, in good order where they heed it."""
        self._watch.deadline = time.monotonic() + _GRACE_SEC
        self._shutdown_workers()
        self._by_force()

    def _try_get_data(self, timeout: float = _LOOK_EVERY_SEC) -> tuple[bool, Any]:
        return super()._try_get_data(timeout)

    def _fault(self, error: Exception) -> str | None:
        """What is wrong with the workers; None where the error is none of theirs."""
        broken = isinstance(error, OSError | EOFError)
        if broken:
            # What a worker has sent is fetched over a connection, which breaks a moment before it is seen dead.
            ending = wait([worker.sentinel for worker in self._workers], timeout=_GRACE_SEC)
            for worker in self._workers:
                if worker.sentinel in ending:
                    worker.join()
        dead = {n: worker.exitcode for n, worker in enumerate(self._workers) if not worker.is_alive()}
        if self._watch.fired:
            told = [f"data worker {n} hangs{self._reading.told(n)}" for n in self._reading.busy()]
            return f"{' and '.join(told) or 'the data workers hang'}: no batch in {self._timeout_sec:g} s"
        if dead:
            return " and ".join(
                f"data worker {n} {_end_in_words(code)}{self._reading.told(n)}" for n, code in dead.items()
            )
        return "the connection to a data worker broke" if broken else None


class _Watch(threading.Thread):
    """Kills all workers once a deadline has passed: whoever waits for them then wakes up.

    A thread of its own, since a wait for what a stopped process has half sent knows no timeout.
    """

    def __init__(self, workers: Sequence[BaseProcess]):
        super().__init__(daemon=True)
        self.workers = workers
        self.deadline: float | None = None
        self.fired = False
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.wait(_LOOK_EVERY_SEC):
            deadline = self.deadline
            if deadline is not None and time.monotonic() > deadline:
                self.fired = True
                _kill(self.workers)


def _end_by_force(workers: Sequence[BaseProcess], watch: _Watch) -> None:
    watch.over.set()
    _kill(workers)
    for worker in workers:
        worker.join(_GRACE_SEC)


def _kill(workers: Sequence[BaseProcess]) -> None:
    for worker in workers:
        worker.kill()  # SIGTERM is ignored by them; see start_worker


def _end_in_words(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with code {code}"
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL, as where memory is short)"
    if code == -signal.SIGBUS:
        return "died of SIGBUS (as where /dev/shm is full)"
    return f"died of {signal.Signals(-code).name}"


def start_worker(worker: int) -> None:
    """Makes a worker process a quiet helper: the main process alone decides when to stop."""
    # A terminal's Ctrl-C, `timeout` and cluster schedulers signal the whole group. A worker that dies of it
    # is missed before the main process has saved; without the main process workers end by themselves.
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"):
        if hasattr(signal, name):  # Windows lacks some
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    torch.set_num_threads(1)
