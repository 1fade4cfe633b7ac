"""Data loader: batches of a set, also where the worker processes that read them hang or die.

The order of the items being a function of seed and position, workers can be started again at the batch that is missing.
All of it rests on public parts of torch and Python:

    noticing a loss   `DataLoader(timeout=...)` with a short timeout; an iterator that timed out can be asked again.
                      What a worker reads it notes in shared memory
    a stopped worker  may have sent half a batch, for which no timeout counts: a thread kills it after the deadline
    SIGCHLD           torch raises a worker's death in any line of the main process, as in half an iteration.
                      Its handler is taken away again; the death is found where the worker's batch is missed
    the end           an iterator ends its workers once nothing refers to it; those that do not stop are killed,
                      also at the end of the program, which would wait for them without end
"""

import multiprocessing
import signal
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from datamodules.datasets.pixel_memory import shared_zeros
from datamodules.sampler import ResumableSampler
from datamodules.sending import SHARED_MEMORY, Guarded, SentBatch, collate, quieten, shared_memory_advice
from stylegan.errors import BadImageError
from stylegan.machine.console import warn
from stylegan.machine.files import is_full_disk

MOST_RESTARTS = 3
# From one look at the workers to the next, while a batch is waited for.
_LOOK_EVERY_SEC = 0.5
# So long a worker may take to end what it is reading, before it is ended.
_GRACE_SEC = 2.0
_NONE = -1


class WorkersGivenUpError(BadImageError):
    """No batch comes, however often the workers are started again; the message names what they were reading."""


class WorkersLostError(Exception):
    """Workers hang or are dead. The message says which, since when, and reading what."""


class ImageLoader(DataLoader):
    """A loader whose workers outlive signals to the group, and end with it, also after a failure.

    Workers that hang or die are started again at the batch that is missing, `MOST_RESTARTS` times in a row, each time
    with a warning. The batches are what they would have been.
    """

    timeout_sec: float | None = None
    _warned = False

    def __iter__(self) -> Iterator[Any]:
        if not self.num_workers:
            yield from super().__iter__()
            return
        taken = restarts = 0
        while True:
            batches = self._started(taken)
            try:
                for batch in batches:
                    if isinstance(batch, Exception):
                        raise batch
                    taken, restarts = taken + 1, 0
                    yield self._unpacked(batch)
            except WorkersLostError as lost:
                restarts += 1
                if restarts > MOST_RESTARTS:
                    raise WorkersGivenUpError(_advice(lost)) from lost
                warn(
                    f"{lost}; started again at the batch that is missing (time {restarts} of {MOST_RESTARTS})"
                )
            finally:
                batches.end()

    def _unpacked(self, batch: Any) -> Any:
        if not isinstance(batch, SentBatch):
            return batch
        if not self._warned:
            self._warned = True
            warn(
                f"{SHARED_MEMORY} has no room for the batches of the data workers, so they come by a slower way:"
                f" {shared_memory_advice()}"
            )
        return batch.tensors

    def _started(self, taken: int) -> "WorkerBatches":
        """New workers, which begin after the batches of this pass that were taken already."""
        reading: Reading = self.dataset.reading
        reading.clear()
        handler, others = _child_handler(), multiprocessing.active_children()
        self.batch_sampler.passed_batches = taken
        try:
            iterator = super().__iter__()
        except OSError as error:
            if not (is_full_disk(error) or isinstance(error, FileNotFoundError)):
                raise
            raise WorkersGivenUpError(
                f"data workers cannot be started ({error.strerror or error}); they need a little of"
                f" {SHARED_MEMORY}: {shared_memory_advice()}"
            ) from error
        finally:
            self.batch_sampler.passed_batches = 0
            if handler is not None:
                signal.signal(signal.SIGCHLD, handler)
        # Python numbers them as they are started: Process-3, Process-4.
        workers = sorted(
            (child for child in multiprocessing.active_children() if child not in others),
            key=lambda child: int(child.name.replace(":", "-").rpartition("-")[2]),
        )
        return WorkerBatches(iterator, workers=workers, reading=reading, timeout_sec=self.timeout_sec)


def make_loader(
    dataset: Dataset, *, sampler: ResumableSampler, workers: int, pin_memory: bool, timeout_sec: float | None
) -> ImageLoader:
    """The loader of batches of a set.

    Args:
        dataset: of (uint8 [C,H,W], float32 [K]).
        sampler: which items come, in which order.
        workers: processes that read, 0 = none.
        pin_memory: whether batches are put into memory from which a GPU copies while it computes.
        timeout_sec: how long the workers may take for a batch, None = no limit.
    """
    loader = ImageLoader(
        Guarded(dataset, Reading(dataset, workers)),
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=quieten,
        prefetch_factor=2 if workers else None,
        pin_memory=pin_memory,
        timeout=_LOOK_EVERY_SEC if workers else 0,
        # Without one, each loader would draw its workers' seeds from the global generator.
        generator=torch.Generator(),
    )
    loader.timeout_sec = timeout_sec
    return loader


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

    def in_words(self, worker: int) -> str:
        """What a worker is reading; a set of a user's own may have no names for its items."""
        item = int(self._items[worker])
        if item == _NONE:
            return ""
        return f" reading {self.dataset.key(item) if hasattr(self.dataset, 'key') else f'item {item}'}"


class WorkerBatches:
    """One pass over a loader in worker processes. `end` leaves none of them behind.

    Args:
        iterator: of torch's, that times out every `_LOOK_EVERY_SEC`; nothing else may refer to it.
        workers: its processes, in the order of their numbers.
        reading: what they read.
        timeout_sec: how long to wait for a batch; None = no limit.

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
        self._watch = _Watch(workers)
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
    """Kills all workers once a deadline has passed, or one is dead and may have sent half a batch."""

    def __init__(self, workers: Sequence[BaseProcess]):
        super().__init__(daemon=True)
        self.workers = workers
        self.deadline: float | None = None
        self.waits_since: float | None = None
        self.fired = False
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.wait(_LOOK_EVERY_SEC):
            deadline = self.deadline
            if deadline is not None and time.monotonic() > deadline:
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


def _advice(lost: WorkersLostError) -> str:
    return (
        f"{lost}, {MOST_RESTARTS + 1} times in a row; look at that file, its disk (a network disk that is away?) and "
        "the free memory; data.workers=0 reads without workers and shows where it fails, a larger "
        "data.worker_timeout_sec waits longer"
    )


def _child_handler() -> Any:
    """What answers SIGCHLD before torch's own answer does; None where there is nothing to put back."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.getsignal(signal.SIGCHLD)
    # Another loader, of a user's own, may have installed it before.
    is_torchs = getattr(handler, "__module__", None) == "torch.utils.data._utils.signal_handling"
    return signal.SIG_DFL if is_torchs else handler
