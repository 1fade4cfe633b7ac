"""Batches of a set, also where the processes that read them hang or die."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader, Dataset, default_collate, get_worker_info

from datamodules.sampler import ResumableSampler
from datamodules.workers import Reading, WorkerBatches, WorkersLost, start_worker
from stylegan.errors import BadImageError

MOST_RESTARTS = 3


class WorkersGivenUp(BadImageError):
    """No batch comes, however often the workers are started anew; the message names what they were reading."""


class ImageLoader(DataLoader):
    """A loader whose workers outlive signals to the group, and end with it, also after a failure.

    Workers that hang or die are started anew at the batch that is missing, `MOST_RESTARTS` times in a row, each time
    with a warning. The order being a function of seed and position, the batches are what they would have been.
    """

    timeout_sec: float | None = None

    def __iter__(self) -> Iterator[Any]:
        if not self.num_workers:
            yield from super().__iter__()
            return
        dealt = restarts = 0
        while True:
            self.batch_sampler.passed_batches = dealt
            batches = WorkerBatches(self, reading=self.dataset.reading, timeout_sec=self.timeout_sec)
            self.batch_sampler.passed_batches = 0
            try:
                for batch in batches:
                    if isinstance(batch, _Failure):
                        batch.reraise()
                    dealt, restarts = dealt + 1, 0
                    yield batch
            except WorkersLost as lost:
                restarts += 1
                if restarts > MOST_RESTARTS:
                    raise WorkersGivenUp(_advice(lost)) from lost
                _say(
                    f"{lost}; started anew at the batch that is missing (time {restarts} of {MOST_RESTARTS})"
                )
            finally:
                batches.end()


def make_loader(
    dataset: Dataset, *, sampler: ResumableSampler, workers: int, pin_memory: bool, timeout_sec: float | None
) -> ImageLoader:
    """The loader of batches of a set.

    Args: workers: processes, 0 = none; timeout_sec: how long a batch may take them, None = for ever.
    """
    loader = ImageLoader(
        _Guarded(dataset, Reading(dataset, workers)),
        batch_sampler=sampler,
        collate_fn=_collate,
        num_workers=workers,
        worker_init_fn=start_worker,
        prefetch_factor=2 if workers else None,
        pin_memory=pin_memory,
        # Without one, each loader would draw its workers' seeds from the global generator.
        generator=torch.Generator(),
    )
    loader.timeout_sec = timeout_sec
    return loader


@dataclass(frozen=True)
class _Failure:
    """What a worker sends in place of a batch that it could not read."""

    error: BadImageError | ExceptionWrapper

    def reraise(self) -> NoReturn:
        if isinstance(self.error, BadImageError):
            raise self.error
        self.error.reraise()


class _Guarded(Dataset):
    """A set whose failures in a worker come as values: once one raises, torch cannot stop its workers but by
    SIGTERM, which these ignore, and the program would wait for them at its end."""

    def __init__(self, dataset: Dataset, reading: Reading):
        self.dataset, self.reading = dataset, reading

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __getitems__(self, indices: list[int]) -> list | _Failure:
        worker = get_worker_info()
        if worker is None:
            return [self.dataset[index] for index in indices]
        try:
            return [self._read(index) for index in indices]
        except BadImageError as error:
            # Its words are for the user, without the worker's traceback.
            return _Failure(error)
        except Exception:
            return _Failure(ExceptionWrapper(where=f"in worker process {worker.id}"))
        finally:
            self.reading.end()

    def _read(self, index: int) -> Any:
        self.reading.begin(index)
        return self.dataset[index]


def _collate(items: list | _Failure) -> Any:
    return items if isinstance(items, _Failure) else default_collate(items)


def _advice(lost: WorkersLost) -> str:
    return (
        f"{lost}, {MOST_RESTARTS + 1} times in a row; look at that file, its disk (a network disk that is away?) and "
        "the free memory; data.workers=0 reads without workers and shows where it fails, a larger "
        "data.worker_timeout_sec waits longer"
    )


def _say(line: str) -> None:
    print(f"warning     {line}", flush=True)
