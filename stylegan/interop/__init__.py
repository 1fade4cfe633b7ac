"""Networks from files and to files: our own, and those with the names of the public implementation."""

from stylegan.interop.checkpoint import FORMAT_VERSION, load_discriminator, load_generator, save_generator
from stylegan.interop.nvidia_pickle import NetworkFile, read_pickle

__all__ = [
    "FORMAT_VERSION",
    "NetworkFile",
    "load_discriminator",
    "load_generator",
    "read_pickle",
    "save_generator",
]
