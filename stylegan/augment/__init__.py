"""Adaptive discriminator augmentation: the pipe of image transforms that the discriminator looks through.

Shapes: N batch, C channels, H W pixels. Source: Karras et al. 2020 (StyleGAN2-ADA), appendix B.
"""

from stylegan.augment.pipe import AugmentPipe

__all__ = ["AugmentPipe"]
