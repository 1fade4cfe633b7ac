"""Sets of images: where pictures come from, and how one becomes (uint8 [C,H,W], float32 [K])."""

from datamodules.datasets.files import FolderFiles, ZipFiles, open_pictures
from datamodules.datasets.flowers import FlowersDataset
from datamodules.datasets.image_dataset import Chosen, ImageDataset, XFlipped
from datamodules.datasets.pictures import BadImageError, PictureDataset

__all__ = [
    "BadImageError",
    "Chosen",
    "FlowersDataset",
    "FolderFiles",
    "ImageDataset",
    "PictureDataset",
    "XFlipped",
    "ZipFiles",
    "open_pictures",
]
