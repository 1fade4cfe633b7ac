"""Networks from files and to files: our own, and those with the names of other implementations."""

from stylegan.interop.checkpoint import build, load_discriminator, load_generator, read_networks
from stylegan.interop.native import save_generator, save_networks
from stylegan.version import FORMAT_VERSION

__all__ = [
    "FORMAT_VERSION",
    "build",
    "load_discriminator",
    "load_generator",
    "read_networks",
    "save_generator",
    "save_networks",
]
