"""Flowers data: the set that needs no download."""

from collections.abc import Sequence
from typing import Any

from datamodules.datasets import FlowersDataset, ImageDataset
from datamodules.image_datamodule import ImageDataModule, check_whole


class FlowersData(ImageDataModule):
    """Drawn flowers of 3 to 8 petals, at any size.

    Args:
        channels: 1 = grey, 3 = RGB; 2 and 4 = the same, cut out with a soft alpha.
        labels: "none", or "own" = one-hot number of petals.
        num_items: how many there are before flips.
        The others as in `ImageDataModule`. The seed chooses the flowers, too.
    """

    def __init__(
        self,
        *,
        resolution: int | Sequence[int],
        channels: int = 3,
        labels: str = "none",
        num_items: int = 10000,
        val_fraction: float = 0.0,
        cache: Any = "auto",
        devices: int | str | Sequence[int] = 1,
        batch_size: int,
        seed: int = 0,
        xflip: bool = False,
        workers: int | None = None,
        worker_timeout_sec: float | None = 300.0,
    ):
        super().__init__(
            resolution=resolution,
            channels=channels,
            val_fraction=val_fraction,
            cache=cache,
            devices=devices,
            batch_size=batch_size,
            seed=seed,
            xflip=xflip,
            workers=workers,
            worker_timeout_sec=worker_timeout_sec,
        )
        if resolution is None:
            raise ValueError(
                "resolution must be given for flowers, which have no size of their own, got null; try 32"
            )
        if channels > 4:
            raise ValueError(
                "channels must be 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha) for flowers, "
                f"got {channels}"
            )
        if labels not in ("none", "own"):
            raise ValueError(f"labels must be none or own (the number of petals) for flowers, got {labels!r}")
        check_whole("num_items", num_items, at_least=1)
        self.num_flowers = num_items
        self.labelled = labels == "own"
        self.labels_from = f"data.labels={labels}"

    def open_dataset(self) -> ImageDataset:
        return FlowersDataset(
            seed=self.seed,
            num_items=self.num_flowers,
            size=self.size,
            channels=self.channels,
            labelled=self.labelled,
        )
