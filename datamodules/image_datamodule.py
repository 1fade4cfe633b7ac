"""The LightningDataModule: a set of images, dealt from where the training is."""

import signal
from abc import ABC, abstractmethod

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.datasets import ImageDataset, XFlipped
from datamodules.sampler import ResumableSampler

# Keeps the choice of pictures to show apart from other draws under the same seed.
_PREVIEW_STREAM = int.from_bytes(b"show", "big")


def check_whole(key: str, value: int, at_least: int) -> None:
    """Raises ValueError unless the option `key` is a whole number and large enough."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ValueError(
            f"{key} must be a whole number of at least {at_least}, got {value!r}; try {key}={at_least}"
        )


class ImageDataModule(pl.LightningDataModule, ABC):
    """Deals batches (uint8 [N,C,H,W], float32 [N,K]) for ever; a subclass says which set in `open_dataset`.

    The order is a function of the seed and the images seen, which the training module counts in
    `images_seen`: with the same seed a resumed run is dealt what an uninterrupted one would be, with any
    number of workers.

    Args: resolution in px; channels: 3 = RGB, 1 = grey; batch_size: of all devices together;
      xflip: double the set by left-right flips; workers: processes that read, 0 = none,
      None = 0 on a CPU and 3 beside a GPU.
    After `setup`: `dataset`, `num_items` (flips included), `label_width` (0 = no labels).
    Raises: ValueError for values out of range; `setup` for a set that cannot be opened.
    """

    def __init__(
        self,
        *,
        resolution: int,
        channels: int = 3,
        batch_size: int,
        seed: int = 0,
        xflip: bool = False,
        workers: int | None = None,
    ):
        super().__init__()
        check_whole("resolution", resolution, at_least=8)
        if channels not in (1, 3):
            raise ValueError(
                f"data.channels must be 3 (RGB) or 1 (grey), got {channels!r}; try data.channels=3"
            )
        check_whole("batch_size", batch_size, at_least=1)
        check_whole("seed", seed, at_least=0)
        if not isinstance(xflip, bool):
            raise ValueError(f"data.xflip must be true or false, got {xflip!r}; try data.xflip=true")
        if workers is not None:
            check_whole("data.workers", workers, at_least=0)
        self.resolution = resolution
        self.channels = channels
        self.batch_size = batch_size
        self.seed = seed
        self.xflip = xflip
        self.workers = workers
        self.dataset: ImageDataset | None = None

    @abstractmethod
    def open_dataset(self) -> ImageDataset:
        """The set without flips. Raises: ValueError where it cannot be opened."""

    def setup(self, stage: str | None = None) -> None:
        if self.dataset is None:
            dataset = self.open_dataset()
            self.dataset = XFlipped(dataset) if self.xflip else dataset

    @property
    def num_items(self) -> int:
        return len(self._set_up())

    @property
    def label_width(self) -> int:
        return self._set_up().label_width

    def labels(self, indices: Tensor) -> Tensor:
        """Labels of items: int64 [n] -> float32 [n,K]."""
        return self._set_up().labels(indices)

    def preview(self, count: int) -> tuple[Tensor, Tensor]:
        """Items to look at, the same at every call: uint8 [count,C,H,W], float32 [count,K].

        They are chosen at random; a set with fewer is shown repeatedly.
        """
        dataset = self._set_up()
        rng = np.random.default_rng([self.seed, _PREVIEW_STREAM])
        chosen = rng.choice(len(dataset), size=min(count, len(dataset)), replace=False)
        items = [dataset[int(index)] for index in np.resize(chosen, count)]
        return torch.stack([image for image, _ in items]), torch.stack([label for _, label in items])

    def train_dataloader(self) -> DataLoader:
        """Infinite, from the images seen by the attached trainer's module on, else from the start."""
        module = self.trainer.lightning_module if self.trainer is not None else None
        sampler = ResumableSampler(
            num_items=self.num_items,
            batch_size=self.batch_size,
            seed=self.seed,
            start=int(getattr(module, "images_seen", 0)),
            rank=self.trainer.global_rank if self.trainer is not None else 0,
            world=self.trainer.world_size if self.trainer is not None else 1,
        )
        workers = self.workers
        if workers is None:
            workers = 3 if torch.cuda.is_available() else 0
        return DataLoader(
            self._set_up(),
            batch_sampler=sampler,
            num_workers=workers,
            worker_init_fn=start_worker,
            prefetch_factor=2 if workers else None,
            pin_memory=torch.cuda.is_available(),
            # Without one, each loader would draw its workers' seeds from the global generator.
            generator=torch.Generator(),
        )

    def _set_up(self) -> ImageDataset:
        if self.dataset is None:
            raise RuntimeError("the data module is not open yet; call setup() first")
        return self.dataset


def start_worker(worker: int) -> None:
    """Makes a worker process a quiet helper: the main process alone decides when to stop."""
    # A terminal's Ctrl-C, `timeout` and cluster schedulers signal the whole group. A worker that dies of it
    # takes down the main process before that has saved; without the main process workers end by themselves.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
