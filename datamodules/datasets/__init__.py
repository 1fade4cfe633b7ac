"""Sets of images: where images come from, and how one becomes (uint8 [C,H,W], float32 [K])."""

from datamodules.datasets.file_dataset import FileDataset
from datamodules.datasets.files import FolderFiles, open_image_files
from datamodules.datasets.flowers import FlowersDataset
from datamodules.datasets.image_dataset import Chosen, ImageDataset, XFlipped
from datamodules.datasets.zip_files import ZipFiles

__all__ = [
    "Chosen",
    "FlowersDataset",
    "FolderFiles",
    "ImageDataset",
    "FileDataset",
    "XFlipped",
    "ZipFiles",
    "open_image_files",
]
