"""Data loader: batches of a set, also where the worker processes that read them hang or die.

The order of the items being a function of seed and position, workers can be started again at the batch that is missing.
How a loss is noticed: `datamodules.worker_batches`. torch raises a worker's death in any line of the main process, as
in half an iteration; its answer to SIGCHLD is taken away again, and the death is found where the batch is missed.
"""

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from datamodules.sampler import ResumableSampler
from datamodules.sending import SHARED_MEMORY, Guarded, SentBatch, collate, quieten, shared_memory_advice
from datamodules.worker_batches import LOOK_EVERY_SEC, Reading, WorkerBatches, WorkersLostError
from stylegan.errors import BadImageError, ImagesAwayError
from stylegan.machine.console import say_error, warn
from stylegan.machine.files import is_full_disk

MOST_RESTARTS = 3


class WorkersGivenUpError(BadImageError):
    """No batch comes, however often the workers are started again; the message names what they were reading."""


class ImageLoader(DataLoader):
    """A loader whose workers outlive signals to the group, and end with it, also after a failure.

    Workers that hang or die are started again at the batch that is missing, `MOST_RESTARTS` times in a row, each time
    with a warning. The batches are what they would have been.
    """

    timeout_sec: float | None = None
    # Under a trainer, which asks for a batch before it trains on the one before: that is trained on and saved first.
    ends_between_iterations = False
    away: ImagesAwayError | None = None  # why there are no more batches
    _warned = False

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batches()
        except ImagesAwayError as error:
            if not self.ends_between_iterations:
                raise
            self.away = error
            say_error(f"data        {error}")
            # Never trained on: whoever asks for the next one before taking it gets the error.
            yield error
            raise

    def _batches(self) -> Iterator[Any]:
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
    dataset: Dataset,
    *,
    sampler: ResumableSampler,
    workers: int,
    pin_memory: bool,
    timeout_sec: float | None,
    ends_between_iterations: bool = False,
) -> ImageLoader:
    """The loader of batches of a set.

    Args:
        dataset: of (uint8 [C,H,W], float32 [K]).
        sampler: which items come, in which order.
        workers: processes that read, 0 = none.
        pin_memory: whether batches are put into memory from which a GPU copies while it computes.
        timeout_sec: how long the workers may take for a batch, None = no limit.
        ends_between_iterations: as of `ImageLoader`.
    """
    loader = ImageLoader(
        Guarded(dataset, Reading(dataset, workers)),
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=quieten,
        prefetch_factor=2 if workers else None,
        pin_memory=pin_memory,
        timeout=LOOK_EVERY_SEC if workers else 0,
        # Without one, each loader would draw its workers' seeds from the global generator.
        generator=torch.Generator(),
    )
    loader.timeout_sec, loader.ends_between_iterations = timeout_sec, ends_between_iterations
    return loader


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
