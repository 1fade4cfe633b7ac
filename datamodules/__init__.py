"""Which pixels: data modules for images in folders and zips, and for the flowers of our own."""

from datamodules.flowers import FlowersData
from datamodules.folder import FolderData
from datamodules.image_datamodule import ImageDataModule
from datamodules.sampler import ResumableSampler

__all__ = ["FlowersData", "FolderData", "ImageDataModule", "ResumableSampler"]
