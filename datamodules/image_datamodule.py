"""Image data module: a set of images as batches, from where the training is; and the ranges of its options."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.datasets import ImageDataset, XFlipped
from datamodules.datasets.image_dataset import split
from datamodules.datasets.pixel_memory import check_cache, pixel_memory_for
from datamodules.loader import make_loader
from datamodules.sampler import ResumableSampler, items_of_classes
from datamodules.start_notes import about_labels
from stylegan.machine.process import usable_cores
from stylegan.machine.text import counted_are, printable
from stylegan.sizes import Size, parse_size

# Keeps the choice of images to show apart from other draws under the same seed.
_PREVIEW_STREAM = int.from_bytes(b"show", "big")
# Fewer than these, and a discriminator learns them by heart unless something is done about it.
_FEW_IMAGES = 1000
_LABELS_AT_ONCE = 4096


class ImageDataModule(pl.LightningDataModule, ABC):
    """Batches (uint8 [N,C,H,W], float32 [N,K]) without end; a subclass says of which set in `open_dataset`.

    The order is a function of the seed and the images seen, which the training module counts in
    `images_seen`: with the same seed a resumed run gets the batches of an uninterrupted one, with any
    number of workers.

    Args:
        resolution: px a side, or [height, width]; None where the set says it itself.
        channels: 1 = grey, 2 = grey and alpha, 3 = RGB, 4 = RGB and alpha, or more.
        batch_size: of all devices together.
        seed: of the order and of every choice among the items.
        xflip: double the set by left-right flips.
        balanced: each class equally often.
        val_fraction: share of the items that are held out.
        cache: True = keep images in memory once they are read, "auto" = do so where a quarter of the free memory is
            enough.
        devices: of this machine, which share that quarter, or a list of them.
        workers: processes that read, 0 = none, None = 0 on a CPU, and with a GPU 3, or as many as there are cores.
        worker_timeout_sec: how long they may take for a batch before they are started again, None = no limit.

    After `setup`: `dataset`, `num_items` (flips included), `size`, `label_width` (0 = no labels), `label_kind`,
      `label_names`, `fingerprint`, `validation` (the items held out, without flips, or None) and `notes`,
      each a line that a person should read before training.
    Raises: ValueError for values out of range; `setup` for a set that cannot be opened.
    """

    # Which option the labels come from.
    labels_from = "data.labels"

    def __init__(
        self,
        *,
        resolution: int | Sequence[int] | None,
        channels: int = 3,
        batch_size: int,
        seed: int = 0,
        xflip: bool = False,
        balanced: bool = False,
        val_fraction: float = 0.0,
        cache: Any = False,
        devices: int | str | Sequence[int] = 1,
        workers: int | None = None,
        worker_timeout_sec: float | None = 300.0,
    ):
        super().__init__()
        self._size = None if resolution is None else _sized(resolution)
        check_whole("channels", channels, at_least=1)
        check_whole("batch_size", batch_size, at_least=1)
        check_whole("seed", seed, at_least=0)
        check_true_or_false("xflip", xflip)
        check_true_or_false("balanced", balanced)
        check_fraction("val_fraction", val_fraction)
        if workers is not None:
            check_whole("workers", workers, at_least=0)
        check_seconds("worker_timeout_sec", worker_timeout_sec)
        self.resolution = resolution
        self.channels = channels
        self.batch_size = batch_size
        self.seed = seed
        self.xflip = xflip
        self.balanced = balanced
        self.val_fraction = val_fraction
        self.cache = check_cache(cache)
        self.devices = _counted(devices)
        self.workers = workers
        self.worker_timeout_sec = worker_timeout_sec
        self.notes: list[str] = []
        self.dataset: ImageDataset | None = None
        self.validation: ImageDataset | None = None

    @abstractmethod
    def open_dataset(self) -> ImageDataset:
        """The set without flips. Raises: ValueError where it cannot be opened."""

    def setup(self, stage: str | None = None) -> None:
        if self.dataset is not None:
            return
        try:
            self._open()
        except ValueError as error:
            # A message names files, and what their names may hold must not reach a terminal as it is.
            if printable(str(error)) == str(error):
                raise
            raise ValueError(printable(str(error))) from error
        self.notes = [printable(note) for note in self.notes]

    def _open(self) -> None:
        dataset = self.open_dataset()
        validation = None
        if self.val_fraction:
            dataset, validation = self._hold_out(dataset)
        if self.balanced and dataset.label_kind != "classes":
            raise ValueError(
                f"data.balanced=true needs exactly one class for each picture, and the labels are "
                f"{dataset.label_kind}; use data.balanced=false"
            )
        self.notes += about_labels(dataset, validation, source=self.labels_from)
        if len(dataset) < _FEW_IMAGES:
            self.notes.append(_few_images(len(dataset), self.xflip))
        dataset.memory, notes = pixel_memory_for(
            len(dataset),
            cache=self.cache,
            shape=(self.channels, *self.size),
            devices=self.devices,
            workers=self._num_workers(),
        )
        self.notes += notes
        # Last, so that what failed is not taken for set up.
        self.validation = validation
        self.dataset = XFlipped(dataset) if self.xflip else dataset

    @property
    def originals(self) -> ImageDataset:
        """The items to train on, without mirrored copies."""
        dataset = self._set_up()
        return dataset.dataset if isinstance(dataset, XFlipped) else dataset

    @property
    def size(self) -> Size:
        """Height and width in px."""
        if self._size is None:
            raise RuntimeError("the size follows from the pictures; call setup() first")
        return self._size

    @property
    def num_items(self) -> int:
        return len(self._set_up())

    @property
    def label_width(self) -> int:
        return self._set_up().label_width

    @property
    def label_kind(self) -> str:
        """ "none", "classes" (exactly one class an item), "multi" or "vector"."""
        return self._set_up().label_kind

    @property
    def label_names(self) -> list[str]:
        """Names of the K classes; [] where there are none."""
        return list(self._set_up().label_names)

    @cached_property
    def fingerprint(self) -> str:
        """Digest, as hex digits, of the contents and labels of the items to train on, in order, without flips."""
        return self.originals.fingerprint()

    def labels(self, indices: Tensor) -> Tensor:
        """Labels of items: int64 [n] -> float32 [n,K]."""
        return self._set_up().labels(indices)

    @cached_property
    def label_items(self) -> Tensor:
        """Items whose labels, drawn with equal chances, are as frequent as those of the batches: int64 [m].

        All items; with `balanced` one of each class.
        """
        groups = self._groups
        if groups is None:
            return torch.arange(self.num_items)
        return torch.tensor([int(members[0]) for members in groups])

    def preview(self, count: int) -> tuple[Tensor, Tensor]:
        """Items to look at, the same at every call: uint8 [count,C,H,W], float32 [count,K].

        They are chosen at random; a set with fewer is shown repeatedly.
        """
        dataset = self._set_up()
        rng = np.random.default_rng([self.seed, _PREVIEW_STREAM])
        chosen = rng.choice(len(dataset), size=min(count, len(dataset)), replace=False)
        items = [dataset[int(index)] for index in np.resize(chosen, count)]
        return torch.stack([image for image, _ in items]), torch.stack([label for _, label in items])

    def preview_of_classes(self, classes: int, each: int) -> Tensor:
        """`each` items of each of the first classes, the same at every call: uint8 [classes * each,C,H,W].

        They are chosen at random; a class with fewer is shown repeatedly, one without any as white images.
        """
        dataset = self._set_up()
        white = torch.full((self.channels, *self.size), 255, dtype=torch.uint8)
        rng = np.random.default_rng([self.seed, _PREVIEW_STREAM])
        chosen = items_of_classes(self._class_of_item, classes, each, rng)
        return torch.stack([white if item is None else dataset[item][0] for item in chosen])

    def train_dataloader(self) -> DataLoader:
        """Infinite, from the images seen by the attached trainer's module on, else from the start."""
        module = self.trainer.lightning_module if self.trainer is not None else None
        sampler = ResumableSampler(
            num_items=self.num_items,
            batch_size=self.batch_size,
            seed=self._seed_of_order(module),
            start=int(getattr(module, "images_seen", 0)),
            rank=self.trainer.global_rank if self.trainer is not None else 0,
            world=self.trainer.world_size if self.trainer is not None else 1,
            groups=self._groups,
        )
        return make_loader(
            self._set_up(),
            sampler=sampler,
            workers=self._num_workers(),
            pin_memory=self._beside_gpu(),  # from it Lightning's copies to the GPU pass while that computes
            timeout_sec=self.worker_timeout_sec,
            ends_between_iterations=self.trainer is not None,
        )

    def _num_workers(self) -> int:
        if self.workers is not None:
            return self.workers
        return min(3, usable_cores()) if self._beside_gpu() else 0

    def _beside_gpu(self) -> bool:
        """Whether a GPU trains; without a trainer, whether there is one."""
        if self.trainer is not None:
            return self.trainer.strategy.root_device.type == "cuda"
        return torch.cuda.is_available()

    def _seed_of_order(self, module: pl.LightningModule | None) -> int:
        """That of the data, or another one after the run went back to an older checkpoint."""
        rollbacks = module.settle_rollbacks() if hasattr(module, "settle_rollbacks") else 0
        if not rollbacks:
            return self.seed
        return int(np.random.SeedSequence([self.seed, rollbacks]).generate_state(1, np.uint64)[0])

    @cached_property
    def _groups(self) -> list[np.ndarray] | None:
        """Indices of the items of each class that has any; None where the classes are not balanced."""
        if not self.balanced:
            return None
        classes = self._class_of_item
        order = np.argsort(classes, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(classes[order])) + 1)

    @cached_property
    def _class_of_item(self) -> np.ndarray:
        """Number of each item's class, int64 [n]."""
        places = torch.arange(self.num_items).split(_LABELS_AT_ONCE)
        return torch.cat([self.labels(some).argmax(1) for some in places]).numpy()

    def _hold_out(self, dataset: ImageDataset) -> tuple[ImageDataset, ImageDataset | None]:
        training, held_out = split(len(dataset), dataset.key, fraction=self.val_fraction, seed=self.seed)
        if not len(training):
            raise ValueError(
                f"data.val_fraction={self.val_fraction} leaves none of {len(dataset)} to train on; use a smaller one"
            )
        self.notes.append(f"held out by data.val_fraction: {len(held_out)} of {len(dataset)} pictures")
        return dataset.choose(training), dataset.choose(held_out) if len(held_out) else None

    def _set_up(self) -> ImageDataset:
        if self.dataset is None:
            raise RuntimeError("the data module is not open yet; call setup() first")
        return self.dataset


def _sized(resolution: int | Sequence[int]) -> Size:
    if isinstance(resolution, bool):
        raise ValueError(f"resolution must be a size in px, got {resolution}; try 64")
    listed = isinstance(resolution, Sequence) and not isinstance(resolution, str)
    try:
        return parse_size(list(resolution) if listed else resolution)
    except ValueError as error:
        raise ValueError(
            f"resolution must be a size that networks draw, got {resolution}: {error}"
        ) from error


def _counted(devices: int | str | Sequence[int]) -> int:
    """How many devices the trainer's option names."""
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        return len(devices)
    count = int(devices) if str(devices).isdecimal() else devices
    check_whole("devices", count, at_least=1)
    return count


def _few_images(count: int, xflip: bool) -> str:
    flips = "" if xflip else ", data.xflip=true where mirrored pictures are right"
    return (
        f"{counted_are(count, 'picture')} fewer than {_FEW_IMAGES}: expect variations of them rather than new ones, and"
        f" watch for copies; what helps: more pictures, ada=adaptive (the default){flips}"
    )


def check_whole(name: str, value: int, at_least: int) -> None:
    """Raises ValueError unless the argument is a whole number and large enough."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ValueError(
            f"{name} must be a whole number of at least {at_least}, got {value!r}; try {at_least}"
        )


def check_true_or_false(name: str, value: bool) -> None:
    """Raises ValueError unless the argument is one of these two."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")


def check_fraction(name: str, value: float) -> None:
    """Raises ValueError unless the argument is at least 0 and below 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise ValueError(f"{name} must be a number from 0 to less than 1, got {value!r}; try 0.1")


def check_seconds(name: str, value: float | None) -> None:
    """Raises ValueError unless the argument is a time above 0, or None for none."""
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be seconds above 0, or null for no limit, got {value!r}; try 300")


def check_patterns(name: str, value: Sequence[str] | str | None) -> list[str]:
    """The patterns of an argument, of which one may stand alone. Raises: ValueError for anything but texts."""
    patterns = [value] if isinstance(value, str) else list(value or ())
    for pattern in patterns:
        if not isinstance(pattern, str | int) or isinstance(pattern, bool) or pattern == "":
            way_out = f"; try '{name}=[cats,*.png]'"
            raise ValueError(f"{name} must be a list of names or globs, got {value!r}{way_out}")
    return [str(pattern) for pattern in patterns]
