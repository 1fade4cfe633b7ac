"""R1 regularisation: the discriminator's gradient at real images."""

import torch
from torch import Tensor

from stylegan.ops.convolution import without_weight_gradients


class R1Penalty:
    """gamma/2 · ‖∂D/∂image‖².

    Args:
        gamma: weight, 0 = off; it grows with the pixel count and shrinks with the batch.
    Raises: ValueError for a negative gamma.
    Source: Mescheder et al. 2018, equation 9; applied lazily as in StyleGAN2, section 3.1.
    """

    def __init__(self, *, gamma: float):
        if not 0 <= gamma < float("inf"):
            raise ValueError(f"gamma must be at least 0, got {gamma}")
        self.gamma = gamma

    @property
    def weight(self) -> float:
        """What the penalty counts for: gamma/2."""
        return self.gamma / 2

    def __call__(self, logits: Tensor, images: Tensor) -> Tensor:
        """Squared gradient norm, before the weight.

        Args:
            logits: [N,1], of the images.
            images: [N,C,H,W], before augmentation; must require grad.
        Returns: [N].
        Raises: ValueError if the images do not require grad.
        """
        if not images.requires_grad:
            raise ValueError(
                "R1 differentiates with respect to the images: call images.requires_grad_() first"
            )
        with without_weight_gradients():
            (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        return gradient.square().sum(dim=[1, 2, 3])
