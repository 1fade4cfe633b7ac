"""The set that needs no download."""

from datamodules.datasets import FlowersDataset, ImageDataset
from datamodules.image_datamodule import ImageDataModule, check_whole


class FlowersData(ImageDataModule):
    """Drawn flowers of 3 to 8 petals, at any resolution.

    Args: labels: "none", or "own" = one-hot number of petals; num_items: how many there are before flips;
      the others as in `ImageDataModule`. The seed chooses the flowers, too.
    """

    def __init__(
        self,
        *,
        resolution: int,
        channels: int = 3,
        labels: str = "none",
        num_items: int = 10000,
        batch_size: int,
        seed: int = 0,
        xflip: bool = False,
        workers: int | None = None,
    ):
        super().__init__(
            resolution=resolution,
            channels=channels,
            batch_size=batch_size,
            seed=seed,
            xflip=xflip,
            workers=workers,
        )
        if labels not in ("none", "own"):
            raise ValueError(
                f"data.labels={labels} is not known for data=flowers; use none, or own (the number of petals)"
            )
        check_whole("data.num_items", num_items, at_least=1)
        self.num_flowers = num_items
        self.labelled = labels == "own"

    def open_dataset(self) -> ImageDataset:
        return FlowersDataset(
            seed=self.seed,
            num_items=self.num_flowers,
            size=(self.resolution, self.resolution),
            channels=self.channels,
            labelled=self.labelled,
        )
