"""Sets of images: where pictures come from, and how one becomes (uint8 [C,H,W], float32 [K])."""

from datamodules.datasets.flowers_dataset import FlowersDataset
from datamodules.datasets.folder import FolderFiles
from datamodules.datasets.image_dataset import Chosen, ImageDataset, XFlipped
from datamodules.datasets.open_pictures import open_pictures
from datamodules.datasets.pictures import PictureDataset
from datamodules.datasets.zip_file import ZipFiles

__all__ = [
    "Chosen",
    "FlowersDataset",
    "FolderFiles",
    "ImageDataset",
    "PictureDataset",
    "XFlipped",
    "ZipFiles",
    "open_pictures",
]
