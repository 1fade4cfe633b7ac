"""The user's own pictures."""

from pathlib import Path

from datamodules.datasets import ImageDataset, PictureDataset, open_pictures
from datamodules.image_datamodule import ImageDataModule


class FolderData(ImageDataModule):
    """Pictures in a folder (with the folders below it) or in a zip, used as they are.

    Transparent ones are put on white; all are cropped to the centre square and resized by Lanczos to
    `resolution` where they differ. Sorted by name, so that a folder and a zip of it are the same set.

    Args: path: folder or zip; labels: "none"; the others as in `ImageDataModule`.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        resolution: int,
        channels: int = 3,
        labels: str = "none",
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
        if not isinstance(path, str | Path) or not str(path):
            raise ValueError(
                f"data.path must name a folder or a zip of pictures, got {path!r}; try data.path=pictures.zip"
            )
        if labels != "none":
            raise ValueError(
                f"data.labels={labels} is not known for data=folder: its pictures carry no labels, "
                f"and the network learns them as one kind; use data.labels=none"
            )
        self.path = path

    def open_dataset(self) -> ImageDataset:
        files = open_pictures(self.path)
        return PictureDataset(files, resolution=self.resolution, channels=self.channels)
