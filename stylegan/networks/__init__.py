"""Generator and discriminator of StyleGAN2, with the parameter names of the public implementation."""

from stylegan.networks.discriminator import Discriminator
from stylegan.networks.generator import Generator

__all__ = ["Discriminator", "Generator"]
