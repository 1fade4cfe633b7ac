"""Path length regularisation: a step in w should change the image by the same amount everywhere."""

import torch
from torch import Tensor, nn

from stylegan.ops.convolution import without_weight_gradients


class PathLengthPenalty(nn.Module):
    """weight · (length − running mean)², the mean following the lengths seen.

    The penalty uses the mean after the update, and the gradient flows through it. That couples the samples of a
    batch; `coefficients` lets a batch be worked on in parts nevertheless.

    Args:
        weight: 0 = off, the running mean being kept as it is.
        decay: how far the mean moves towards each batch, 0..1.
        batch_shrink: the penalty is taken on 1/batch_shrink of the batch, since it costs much memory.
    Buffers: `mean_length`, the running mean.
    Raises: ValueError for values out of range.
    Source: Karras et al. 2020 (StyleGAN2), section 3.2 and appendix B.
    """

    mean_length: Tensor

    def __init__(self, *, weight: float = 2.0, decay: float = 0.01, batch_shrink: int = 2):
        super().__init__()
        if not 0 <= weight < float("inf"):
            raise ValueError(f"weight must be at least 0, got {weight}")
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must be from 0 to 1, got {decay}")
        if batch_shrink < 1:
            raise ValueError(f"batch_shrink must be at least 1, got {batch_shrink}")
        self.weight, self.decay, self.batch_shrink = weight, decay, batch_shrink
        self.register_buffer("mean_length", torch.zeros([]))

    def samples_of(self, batch_size: int) -> int:
        """How many samples of a batch the penalty is taken on: M."""
        return max(1, batch_size // self.batch_shrink)

    @staticmethod
    def lengths(images: Tensor, ws: Tensor, noise: Tensor, *, create_graph: bool) -> Tensor:
        """‖Jᵀ noise‖ a sample, root mean square over the layers of w.

        Args:
            images: [M,C,H,W], made from ws.
            ws: [M,L,W].
            noise: [M,C,H,W], unit normal.
            create_graph: whether the lengths can be differentiated.
        Returns: [M].
        """
        height, width = images.shape[2:]
        scalar = (images * (noise / (height * width) ** 0.5)).sum()
        with without_weight_gradients():
            (gradient,) = torch.autograd.grad(scalar, ws, create_graph=create_graph)
        return gradient.square().sum(dim=2).mean(dim=1).sqrt()

    def forward(self, lengths: Tensor) -> Tensor:
        """Lengths [M] of the whole batch → penalties [M] before the weight; moves the running mean."""
        mean = torch.lerp(self.mean_length, lengths.mean().to(self.mean_length.dtype), self.decay)
        self.mean_length.copy_(mean.detach())
        return (lengths - mean).square()

    @torch.no_grad()
    def coefficients(self, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """∂(mean penalty)/∂length for the whole batch; moves the running mean.

        Back-propagating Σ cᵢ·lengthᵢ part by part gives the gradient of the mean of `forward`: with m the new mean,
        cᵢ = (2/M)·[(lᵢ − m) − decay·mean(l − m)].

        Args:
            lengths: [M].
        Returns: coefficients [M], and penalties [M] before the weight.
        """
        penalties = self(lengths)
        excess = lengths - self.mean_length
        return 2 / len(lengths) * (excess - self.decay * excess.mean()), penalties
