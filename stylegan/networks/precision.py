"""Half precision in the blocks of a network; their weights stay in float32."""

import torch
from torch import Tensor, nn


class ResolutionBlock(nn.Module):
    """All layers of one resolution, which can compute in another precision than its weights have.

    `level`: the block's nominal resolution in px. `compute_dtype`: None = the weights' own.
    """

    def __init__(self, level: int):
        super().__init__()
        self.level = level
        self.compute_dtype: torch.dtype | None = None

    def dtype_of(self, weight: Tensor) -> torch.dtype:
        """What the layers compute in. Weights of float64, as in exact comparisons, are never lowered."""
        half = self.compute_dtype
        return weight.dtype if half is None or weight.dtype != torch.float32 else half


def compute_in(network: nn.Module, dtype: torch.dtype | None, num_half_res: int | None = None) -> None:
    """Let the `num_half_res` highest resolutions of `network` compute in `dtype`, the others as their weights.

    Args: dtype: bfloat16, float16, or None = the weights' own. num_half_res: None = all resolutions.
    Source: Karras et al. 2020 (ADA), appendix C, has float16 in the four highest.
    """
    blocks = [module for module in network.modules() if isinstance(module, ResolutionBlock)]
    levels = sorted({block.level for block in blocks}, reverse=True)
    chosen = levels if num_half_res is None else levels[:num_half_res]
    for block in blocks:
        block.compute_dtype = dtype if block.level in chosen else None
