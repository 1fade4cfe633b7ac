"""Statistics of w: where its mean is, how far latents usually are from it, and how far one is in that unit."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from stylegan.machine.devices import full_precision

# As published.
SAMPLES = 10_000
_SEED = 123
_AT_ONCE = 1000


@dataclass(frozen=True)
class WStatistics:
    """Of the latents w of one label.

    Args: mean: [W]. spread: root of the mean squared distance to the mean, one number.
    """

    mean: Tensor
    spread: float

    def distance(self, ws: Tensor) -> Tensor:
        """How far ws [N,L,W] are from the mean, in units of the spread → [N]: near 1 for a seed's; of the L entries
        the root of the mean square."""
        offset = (ws - self.mean).square().sum(2).mean(1)
        return offset.sqrt() / max(self.spread, 1e-12)


@torch.no_grad()
def w_statistics(generator: nn.Module, label: Tensor | None = None, samples: int = SAMPLES) -> WStatistics:
    """Mean and spread of w, over samples that are always the same ones.

    Args: label: [K] for a generator with labels.
    Source: Karras et al. 2020 (StyleGAN2), appendix D.
    """
    device = next(generator.parameters()).device
    z = torch.from_numpy(np.random.RandomState(_SEED).randn(samples, generator.z_dim).astype(np.float32))
    parts = []
    with full_precision(device):
        for some in z.split(_AT_ONCE):
            labels = None if label is None else label.to(device).expand(len(some), -1)
            ws = generator.mapping(some.to(device), labels, track_average=False)
            parts.append(ws[:, 0].double().cpu())
    w = torch.cat(parts)
    mean = w.mean(0)
    spread = float((w - mean).square().sum(1).mean().sqrt())
    return WStatistics(mean.float().to(device), spread)
