"""Second-moment normalisation."""

from torch import Tensor


def normalize_2nd_moment(x: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x · rsqrt(mean of x² along `dim` + eps); the shape of x. Source: Karras et al. 2018, section 4.2."""
    return x * (x.square().mean(dim=dim, keepdim=True) + eps).rsqrt()
