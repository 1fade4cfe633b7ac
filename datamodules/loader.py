"""Reading in worker processes, which must neither stop early nor stay behind."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader, Dataset, default_collate, get_worker_info

from datamodules.datasets import BadPicture


class ImageLoader(DataLoader):
    """A loader whose workers outlive signals to the group, and end with it, also after a failure."""

    def __iter__(self) -> Iterator[Any]:
        for batch in super().__iter__():
            if isinstance(batch, _Failure):
                batch.reraise()
            yield batch


def make_loader(dataset: Dataset, *, sampler, workers: int, pin_memory: bool) -> ImageLoader:
    """The loader of batches of a set. Args: sampler: yields lists of indices; workers: processes, 0 = none."""
    return ImageLoader(
        _Guarded(dataset),
        batch_sampler=sampler,
        collate_fn=_collate,
        num_workers=workers,
        worker_init_fn=_start_worker,
        prefetch_factor=2 if workers else None,
        pin_memory=pin_memory,
        # Without one, each loader would draw its workers' seeds from the global generator.
        generator=torch.Generator(),
    )


@dataclass(frozen=True)
class _Failure:
    """What a worker sends in place of a batch that it could not read."""

    error: BadPicture | ExceptionWrapper

    def reraise(self) -> NoReturn:
        if isinstance(self.error, BadPicture):
            raise self.error
        self.error.reraise()


class _Guarded(Dataset):
    """A set whose failures in a worker come as values: once one raises, torch cannot stop its workers but by
    SIGTERM, which these ignore, and the program would wait for them at its end."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __getitems__(self, indices: list[int]) -> list | _Failure:
        worker = get_worker_info()
        if worker is None:
            return [self.dataset[index] for index in indices]
        try:
            return [self.dataset[index] for index in indices]
        except BadPicture as error:
            # Its words are for the user, without the worker's traceback.
            return _Failure(error)
        except Exception:
            return _Failure(ExceptionWrapper(where=f"in worker process {worker.id}"))


def _collate(items: list | _Failure) -> Any:
    return items if isinstance(items, _Failure) else default_collate(items)


def _start_worker(worker: int) -> None:
    """Makes a worker process a quiet helper: the main process alone decides when to stop."""
    # A terminal's Ctrl-C, `timeout` and cluster schedulers signal the whole group. A worker that dies of it
    # takes down the main process before that has saved; without the main process workers end by themselves.
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):  # Windows has no SIGUSR1
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    torch.set_num_threads(1)
