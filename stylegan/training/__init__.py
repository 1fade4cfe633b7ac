"""How the networks learn: the LightningModule, its clock, its random draws, and the controllers beside it."""

from stylegan.training.ada import AdaController
from stylegan.training.lit_module import StyleGAN2ADA

__all__ = ["AdaController", "StyleGAN2ADA"]
