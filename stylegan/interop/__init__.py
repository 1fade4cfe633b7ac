"""Networks from files and to files: our own, and those with the names of the public implementation."""

from stylegan.interop.checkpoint import FORMAT_VERSION, load_discriminator, load_generator, save_generator

__all__ = ["FORMAT_VERSION", "load_discriminator", "load_generator", "save_generator"]
