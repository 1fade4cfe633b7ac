"""Sending: what comes from a data worker, a batch or an error as a value, also where shared memory is short.

torch puts the tensors of a batch into shared memory, of which a container has 64 MB unless it is told otherwise: three
workers with two batches of 32 images of 512 px each need 150 MB. A batch that finds no room goes through the worker's
pipe instead, which always has some. That is not the way for all: from 512 px on it takes several times as long.
"""

import pickle
import shutil
import signal
import traceback
from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate, get_worker_info

from stylegan.errors import BadImageError, ImagesAwayError
from stylegan.machine.memory import in_words

# Where Linux keeps it; with semaphores of Python's, of which a pool of workers needs a few.
SHARED_MEMORY = "/dev/shm"


class SentBatch:
    """A batch on its way through a pipe: on the other side it is in memory of that process's own.

    Args: tensors: on the CPU.
    """

    def __init__(self, tensors: Sequence[Tensor]):
        self.tensors = list(tensors)

    def __reduce__(self) -> tuple:
        # As arrays: torch pickles tensors for other processes by moving them into shared memory.
        return _received, ([tensor.numpy() for tensor in self.tensors],)

    def pin_memory(self) -> Self:
        """As torch's thread asks of what it puts into memory from which a GPU copies while it computes."""
        return type(self)([tensor.pin_memory() for tensor in self.tensors])


def _received(arrays: Sequence[np.ndarray]) -> SentBatch:
    return SentBatch([torch.from_numpy(array) for array in arrays])


def collate(items: list[tuple[Tensor, ...]] | Exception) -> Any:
    """The batch of some items, as a list of tensors; in a worker perhaps on its way; an error as it is."""
    if isinstance(items, Exception):
        return items
    try:
        return default_collate(items)
    except RuntimeError:
        if get_worker_info() is None:
            raise
        # Whatever else is wrong with the items is wrong here, too.
        return SentBatch([torch.stack(parts) for parts in zip(*items, strict=True)])


def shared_memory_advice() -> str:
    """How much there is, and what gives more, as the end of a line."""
    try:
        usage = shutil.disk_usage(SHARED_MEMORY)
        room = f"{in_words(usage.free)} of {in_words(usage.total)} are free"
    except OSError:
        room = "it is not there"
    return f"{room}; docker run --shm-size=2g (or --ipc=host) gives more, and data.workers=0 needs none"


class Noting(Protocol):
    """Where a worker notes which item it reads."""

    def begin(self, index: int) -> None: ...

    def end(self) -> None: ...


class Guarded(Dataset):
    """A set whose failures in a worker come as values: once one raises, torch cannot stop its workers but by
    SIGTERM, which these ignore, and the program would wait for them at its end."""

    def __init__(self, dataset: Dataset, reading: Noting):
        self.dataset, self.reading = dataset, reading

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __getitems__(self, indices: list[int]) -> list | Exception:
        worker = get_worker_info()
        if worker is None:
            return [self.dataset[index] for index in indices]
        try:
            items = []
            for index in indices:
                self.reading.begin(index)
                items.append(self.dataset[index])
            return items
        except (BadImageError, ImagesAwayError) as error:
            # Its words are for the user, without the worker's traceback.
            return error
        except Exception as error:
            return _for_sending(error, worker.id)
        finally:
            self.reading.end()


def _for_sending(error: Exception, worker: int) -> Exception:
    """An error with the traceback that it had in a worker as a note; another one where it cannot be sent."""
    note = f"In data worker {worker}:\n{''.join(traceback.format_exception(error))}"
    try:
        sent = pickle.loads(pickle.dumps(error))
    except Exception:  # anything that a user's class raises there
        sent = RuntimeError(f"{type(error).__name__}: {error}")
    sent.add_note(note)
    return sent


def quieten(worker: int) -> None:
    """Makes a worker process a quiet helper: the main process alone decides when to stop."""
    # A terminal's Ctrl-C, `timeout` and cluster schedulers signal the whole group. A worker that dies of it
    # is missed before the main process has saved; without the main process workers end by themselves.
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"):
        if hasattr(signal, name):  # Windows lacks some
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    torch.set_num_threads(1)
