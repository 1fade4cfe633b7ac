"""Sets of images: where pictures come from, and how one becomes (uint8 [C,H,W], float32 [K])."""

import zipfile
from pathlib import Path

from datamodules.datasets.flowers_dataset import FlowersDataset
from datamodules.datasets.folder import FolderFiles
from datamodules.datasets.image_dataset import ImageDataset, XFlipped
from datamodules.datasets.pictures import SUFFIXES, PictureDataset
from datamodules.datasets.zip_file import ZipFiles

__all__ = [
    "FlowersDataset",
    "FolderFiles",
    "ImageDataset",
    "PictureDataset",
    "XFlipped",
    "ZipFiles",
    "open_pictures",
]


def open_pictures(path: str | Path) -> FolderFiles | ZipFiles:
    """The pictures of a folder or a zip; which of them it is shows in the file, not in its name.

    Raises: ValueError where there is neither, or no picture in it.
    """
    path = Path(path).expanduser()
    try:
        if path.is_dir():
            files = FolderFiles(path)
        elif not path.exists():
            raise ValueError(
                f"data.path does not exist: {path} (looked from {Path.cwd()}); "
                f"give a folder or a zip of pictures, data.path=pictures.zip"
            )
        elif zipfile.is_zipfile(path):
            files = ZipFiles(path)
        else:
            raise ValueError(
                f"data.path is neither a folder nor a whole zip: {path}; "
                f"put the pictures into a folder or a zip, or fetch the zip again"
            )
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"data.path cannot be opened: {path} ({error}); repair it or give another"
        ) from error
    if not files.names:
        raise ValueError(
            f"data.path has no pictures: {path}; give a folder or a zip with files "
            f"that end in {' '.join(SUFFIXES)} (hidden ones do not count)"
        )
    return files
